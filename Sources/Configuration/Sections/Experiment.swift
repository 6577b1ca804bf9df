// What an experiment file says, as a value: every key that has an effect, with its default.
// The table in ExperimentKeys.swift binds each property to its key; nothing else reads the file.

package import Corpora
package import Federation
internal import Files
package import FineTuning
package import Kernels
package import Sparsity

/// One experiment: a model, a corpus, who owns which examples, what is trained and what travels.
package struct Experiment: Sendable, Equatable {
  /// The pretrained model.
  package var model = Model()
  /// The tokenized corpus.
  package var data = DataSet()
  /// What the model is trained to do.
  package var task = TaskSection()
  /// Which client owns which training examples.
  package var partition = PartitionSection()
  /// The trained adapter.
  package var adapter = AdapterSection()
  /// What travels between the server and the clients.
  package var method = MethodSection()
  /// Rounds, cohorts and the server's optimizer.
  package var federation = FederationSection()
  /// What is clipped and how much noise is added.
  package var privacy = PrivacySection()
  /// What a client does in a round.
  package var local = LocalSection()
  /// When and on what the trained vector is evaluated.
  package var evaluation = EvaluationSection()
  /// How the work is carried out on a rank; changes no result beyond rounding.
  package var compute = ComputeSection()
  /// When the state is saved; changes no result.
  package var checkpoint = CheckpointSection()
  /// When a run that hangs is ended; changes no result.
  package var watchdog = WatchdogSection()
  /// What is written besides the tables; changes no result.
  package var output = OutputSection()
  /// What clients' devices and links can do, and who is there and in time by that.
  package var system = SystemSection()
  /// The one number that all randomness is derived from.
  package var seed: UInt64 = 0

  /// An experiment of defaults, whose model and data are still to be named.
  package init() {}

  /// The pretrained model.
  package struct Model: Sendable, Equatable {
    /// Directory as Hugging Face has it, or its name in the asset directory.
    package var path = ""
  }

  /// The tokenized corpus.
  package struct DataSet: Sendable, Equatable {
    /// Directory of token files, or its name in the asset directory.
    package var path = ""
    /// Longer examples are cut to this number of tokens.
    package var maximumLength = 128
  }

  /// What the model is trained to do.
  package struct TaskSection: Sendable, Equatable {
    /// The task.
    package var kind = TaskKind.classification
    /// The hidden state that stands for a sequence.
    package var pooling = Pooling.auto

    /// The hidden states that can stand for a sequence; `auto` is the model family's own choice.
    package enum Pooling: String, Sendable, CaseIterable { case auto, first, last, mean }
  }

  /// Which client owns which training examples.
  package struct PartitionSection: Sendable, Equatable {
    /// The rule.
    package var kind = Kind.dirichlet
    /// The population.
    package var clients = 350
    /// Concentration of the Dirichlet distribution over clients, label by label, or over a virtual
    /// client's labels.
    package var alpha = 0.1
    /// Shards of a client.
    package var shardsPerClient = 2
    /// Median of the sizes of virtual clients.
    package var medianExamples = 32
    /// Standard deviation of the logarithm of a client's size.
    package var sigma = 1.0
    /// No client owns fewer examples.
    package var minimumExamples = 1
    /// Share of each client's examples that is exchanged with draws from all clients.
    package var iidMix = 0.0
    /// File of a partition made elsewhere.
    package var path: String?
    /// Whether clients of the file may have the same examples.
    package var sharesExamples = false

    /// The rules by which examples get their owners.
    package enum Kind: String, Sendable, CaseIterable {
      case dirichlet, iid, natural, shards
      case quantitySkew = "quantity_skew"
      case virtual, file
    }
  }

  /// The trained adapter.
  package struct AdapterSection: Sendable, Equatable {
    /// What is trained.
    package var kind = Kind.lora
    /// Rank of the two factors.
    package var loraRank = 16
    /// The product of the factors is scaled by alpha / lora_rank.
    package var alpha = 16.0
    /// The adapted matrices; nil means all linear ones.
    package var targets: [String]?
    /// Probability with which an input of an adapter is dropped in training.
    package var dropout = 0.0
    /// PEFT directory to start from.
    package var initial: String?
    /// The factors that stay as they start.
    package var frozen = Frozen.none

    /// What can be trained beside the head: factors that are added to frozen matrices, or all weights.
    package enum Kind: String, Sendable, CaseIterable { case lora, full }

    /// The parts of an adapter that can be frozen.
    package enum Frozen: String, Sendable, CaseIterable {
      case none
      case loraA = "lora_a"
      case both
    }
  }

  /// What travels between the server and the clients.
  package struct MethodSection: Sendable, Equatable {
    /// Server to client.
    package var download = Download()
    /// Client to server.
    package var upload = Upload()
    /// How a round's download depends on the one before.
    package var persistence = Persistence.anew
    /// Which coordinates a client trains.
    package var trainable = TrainedCoordinates.all
    /// What becomes of the part of a change that is not sent.
    package var residual = Residual.dropped
    /// How the server combines the uploads.
    package var aggregation = AggregationRule.mean
    /// Kinds of clients.
    package var tiers: [Tier] = []
    /// Which tier a client is in.
    package var tierAssignment = TierAssignment.modulo
    /// How clients give up ranks of their own.
    package var rankPruning = RankPruningSection()

    /// Server to client.
    package struct Download: Sendable, Equatable {
      /// The rule.
      package var select = Select.topMagnitude
      /// The share of coordinates that travels.
      package var density = DensitySchedule.constant(0.25)
      /// How values are written.
      package var values = ValueFormat.fp32
      /// How it is said which coordinates they are.
      package var indices = DownloadIndices.complete

      /// The rules by which coordinates are selected.
      package enum Select: String, Sendable, CaseIterable {
        case topMagnitude = "top_magnitude"
        case all, random
      }
    }

    /// Client to server.
    package struct Upload: Sendable, Equatable {
      /// The rule.
      package var select = Select.topMagnitude
      /// The share of coordinates that travels.
      package var density = DensitySchedule.constant(0.25)
      /// How values are written.
      package var values = ValueFormat.fp32

      /// The rules by which coordinates are selected.
      package enum Select: String, Sendable, CaseIterable {
        case topMagnitude = "top_magnitude"
        case all, random, downloaded
      }
    }

    /// How clients give up ranks of their own.
    package struct RankPruningSection: Sendable, Equatable {
      /// The share of its ranks that a client keeps when it prunes; 1 for no pruning.
      package var factor = 1.0
      /// The weight of the last ranks' norms in the local loss.
      package var penalty = 0.0
    }
  }

  /// Rounds, cohorts and the server's optimizer.
  package struct FederationSection: Sendable, Equatable {
    /// Number of rounds.
    package var rounds = 200
    /// Clients of a round, for cohorts drawn by the program.
    var cohortSize = 10
    /// How cohorts are drawn.
    package var cohort = Cohort()
    /// The weight of a client in the mean.
    package var weighting = Weighting.uniform
    /// How the clients' messages reach rank 0.
    package var uploads = UploadCollective.auto
    /// What becomes of a client whose update is not finite.
    package var nonFinite = NonFinitePolicy.refuse
    /// The optimizer that steps the server's vector.
    package var server = Server()

    /// How cohorts are drawn.
    package struct Cohort: Sendable, Equatable {
      /// The rule.
      package var kind = Kind.uniform
      /// File with one line of client numbers per round.
      package var path: String?
      /// The rules by which cohorts are drawn.
      package enum Kind: String, Sendable, CaseIterable { case uniform, file }
    }

    /// The optimizer that steps the server's vector.
    package struct Server: Sendable, Equatable {
      /// The rule.
      package var optimizer = Optimizer.fedAdam
      /// Step size.
      package var learningRate = 0.005
      /// How the step size changes with the round.
      package var schedule = Schedule()
      /// FedAvgM's momentum.
      package var momentum = 0.9
      /// Decay of the first moment; where nothing is given, 0 with FedAdagrad.
      package var beta1 = 0.9
      /// Decay of the second moment; where nothing is given, 0.999 with AdamW.
      package var beta2 = 0.99
      /// Adaptivity of FedAdagrad, FedYogi and FedAdam (Reddi et al. 2021).
      package var tau = 0.001
      /// Added to the root of AdamW's second moment.
      package var epsilon = 1e-8
      /// AdamW's decoupled weight decay.
      package var weightDecay = 0.01

      /// The rules by which the server steps.
      package enum Optimizer: String, Sendable, CaseIterable {
        case sgd
        case fedAvgM = "fed_avgm"
        case fedAdagrad = "fed_adagrad"
        case fedYogi = "fed_yogi"
        case fedAdam = "fed_adam"
        case adamW = "adam_w"
      }
    }
  }

  /// What is clipped and how much noise is added.
  package struct PrivacySection: Sendable, Equatable {
    /// How uploads are clipped; without it there is no privacy.
    package var clipping = Clipping.none
    /// The largest L2 norm of an upload, at first where it adapts.
    package var clip = 1.0
    /// The share of clients whose uploads are to be within the clip.
    var clipQuantile = 0.5
    /// The step of the clip's logarithm.
    var clipLearningRate = 0.2
    /// Noise in the count of clients within the clip; nil means a twentieth of the cohort.
    var clipCountDeviation: Double?
    /// The epsilon to stay within; nil where the noise is given.
    package var targetEpsilon: Double?
    /// Noise over clip.
    package var noiseMultiplier = 1.0
    /// The delta of the guarantee.
    package var delta = 1e-5
    /// The cohort whose noise is simulated; nil means the one that is run.
    package var noiseCohortSize: Int?
    /// The population of the guarantee; nil means the one that is run.
    package var population: Int?

    /// The ways in which uploads are clipped.
    package enum Clipping: String, Sendable, CaseIterable { case none, fixed, adaptive }
  }

  /// What a client does in a round.
  package struct LocalSection: Sendable, Equatable {
    /// Passes over the client's examples.
    package var epochs = 1
    /// Examples of a local step.
    package var batchSize = 16
    /// The client's optimizer.
    package var optimizer = Optimizer.sgd
    /// Its step size.
    package var learningRate = 0.005
    /// How the step size changes with the round.
    package var schedule = Schedule()
    /// The momentum of SGD.
    package var momentum = 0.9
    /// Decay of AdamW's first moment.
    package var beta1 = 0.9
    /// Decay of AdamW's second moment.
    package var beta2 = 0.999
    /// Added to the root of AdamW's second moment.
    package var epsilon = 1e-8
    /// AdamW's decoupled weight decay.
    package var weightDecay = 0.01
    /// The weight mu of FedProx's term.
    package var proximal = 0.0
    /// Whether each pass has its own order.
    package var shuffle = true

    /// The client's optimizers.
    package enum Optimizer: String, Sendable, CaseIterable {
      case sgd
      case adamW = "adam_w"
    }
  }

  /// How a step size changes with the round.
  package struct Schedule: Sendable, Equatable {
    /// What follows the warm-up.
    package var kind = Kind.constant
    /// Rounds in which the step size rises.
    package var warmupRounds = 0
    /// The share of the step size that the schedule ends at.
    package var final = 0.0
    /// The step size is multiplied by it after every period.
    package var factor = 0.5
    /// Rounds between two multiplications.
    package var period = 10

    /// The ways in which a step size falls.
    package enum Kind: String, Sendable, CaseIterable { case constant, linear, cosine, exponential }
  }

  /// When and on what the trained vector is evaluated.
  package struct EvaluationSection: Sendable, Equatable {
    /// Rounds from one evaluation to the next.
    package var every = 10
    /// The splits.
    package var splits = [Split.test]
    /// Examples of a split that are looked at; nil means all.
    package var maximumExamples: Int?
    /// Whether the vector is evaluated as a client receives it.
    package var masked = Masked.yes
    /// Whether the vector is evaluated as the clients of each tier receive it, too.
    package var tiers = false
    /// Clients of each group that are evaluated one by one.
    package var clients = 0
    /// Share of the examples that is held out of training for the evaluation of clients.
    package var holdout = 0.0

    /// Whether the vector is evaluated under the round's download mask, as a whole, or both.
    package enum Masked: String, Sendable, CaseIterable {
      case yes = "true"
      case no = "false"
      case both
    }
  }

  /// How the work is carried out on a rank; changes no result beyond rounding.
  package struct ComputeSection: Sendable, Equatable {
    /// Threads of a rank.
    package var threads = 1
    /// Tokens that go through the model at a time; nil means that the program chooses.
    package var microBatchTokens: Int?
    /// Number format of the computation.
    package var precision = MatrixFormat.fp32
  }

  /// When the state is saved; changes no result.
  package struct CheckpointSection: Sendable, Equatable {
    /// Rounds from one checkpoint to the next; 0 for never by rounds.
    package var everyRounds = 10
    /// Minutes from one checkpoint to the next, at the end of a round; 0 for never by time.
    package var everyMinutes = 15.0
    /// How many checkpoints stay.
    package var keep = 2
  }

  /// When a run that hangs is ended; changes no result.
  package struct WatchdogSection: Sendable, Equatable {
    /// Minutes in which a rank gets nothing done; 0 for no watching.
    package var minutes = 30.0
  }

  /// What is written besides the tables; changes no result.
  package struct OutputSection: Sendable, Equatable {
    /// Whether there are curves for TensorBoard.
    package var tensorBoard = true
  }
}
