// What an experiment file says, as a value: every key that has an effect, with its default.
// The table in ExperimentKeys.swift binds each property to its key; nothing else reads the file.

public import Corpora
public import Federation
package import FineTuning
package import Kernels
public import Sparsity

/// One experiment: a model, a corpus, who owns which examples, what is trained and what travels.
public struct Experiment: Sendable, Equatable {
  /// The pretrained model.
  public var model = Model()
  /// The tokenized corpus.
  public var data = DataSet()
  /// What the model is trained to do.
  public var task = TaskSection()
  /// Which client owns which training examples.
  public var partition = PartitionSection()
  /// The trained adapter.
  public var adapter = AdapterSection()
  /// What travels between the server and the clients.
  public var method = MethodSection()
  /// Rounds, cohorts and the server's optimizer.
  public var federation = FederationSection()
  /// What is clipped and how much noise is added.
  public var privacy = PrivacySection()
  /// What a client does in a round.
  public var local = LocalSection()
  /// When and on what the trained vector is evaluated.
  public var evaluation = EvaluationSection()
  /// How the work is carried out on a rank; changes no result beyond rounding.
  public var compute = ComputeSection()
  /// When the state is saved; changes no result.
  public var checkpoint = CheckpointSection()
  /// When a run that hangs is ended; changes no result.
  public var watchdog = WatchdogSection()
  /// What is written besides the tables; changes no result.
  public var output = OutputSection()
  /// What clients' devices and links can do, and who is there and in time by that.
  public var system = SystemSection()
  /// The one number that all randomness is derived from.
  public var seed: UInt64 = 0

  /// An experiment of defaults, whose model and data are still to be named.
  public init() {}

  /// The pretrained model.
  public struct Model: Sendable, Equatable {
    /// Directory as Hugging Face has it, or its name in the asset directory.
    public var path = ""
  }

  /// The tokenized corpus.
  public struct DataSet: Sendable, Equatable {
    /// Directory of token files, or its name in the asset directory.
    public var path = ""
    /// Longer examples are cut to this number of tokens.
    public var maximumLength = 128
  }

  /// What the model is trained to do.
  public struct TaskSection: Sendable, Equatable {
    /// The task.
    package var kind = TaskKind.classification
    /// The hidden state that stands for a sequence.
    public var pooling = Pooling.auto

    /// The hidden states that can stand for a sequence; `auto` is the model family's own choice.
    public enum Pooling: String, Sendable, CaseIterable { case auto, first, last, mean }
  }

  /// Which client owns which training examples.
  public struct PartitionSection: Sendable, Equatable {
    /// The rule.
    public var kind = Kind.dirichlet
    /// The population.
    public var clients = 350
    /// Concentration of the Dirichlet distribution over clients, label by label, or over a virtual
    /// client's labels.
    public var alpha = 0.1
    /// Shards of a client.
    public var shardsPerClient = 2
    /// Median of the sizes of virtual clients.
    public var medianExamples = 32
    /// Standard deviation of the logarithm of a client's size.
    public var sigma = 1.0
    /// No client owns fewer examples.
    public var minimumExamples = 1
    /// Share of each client's examples that is exchanged with draws from all clients.
    public var iidMix = 0.0
    /// File of a partition made elsewhere.
    public var path: String?
    /// Whether clients of the file may have the same examples.
    public var sharesExamples = false

    /// The rules by which examples get their owners.
    public enum Kind: String, Sendable, CaseIterable {
      case dirichlet, iid, natural, shards
      case quantitySkew = "quantity_skew"
      case virtual, file
    }
  }

  /// The trained adapter.
  public struct AdapterSection: Sendable, Equatable {
    /// What is trained.
    public var kind = Kind.lora
    /// Rank of the two factors.
    public var loraRank = 16
    /// The product of the factors is scaled by alpha / lora_rank.
    public var alpha = 16.0
    /// The adapted matrices; nil means all linear ones.
    public var targets: [String]?
    /// Probability with which an input of an adapter is dropped in training.
    public var dropout = 0.0
    /// PEFT directory to start from.
    public var initial: String?
    /// The factors that stay as they start.
    public var frozen = Frozen.none

    /// What can be trained beside the head: factors that are added to frozen matrices, or all weights.
    public enum Kind: String, Sendable, CaseIterable { case lora, full }

    /// The parts of an adapter that can be frozen.
    public enum Frozen: String, Sendable, CaseIterable {
      case none
      case loraA = "lora_a"
      case both
    }
  }

  /// What travels between the server and the clients.
  public struct MethodSection: Sendable, Equatable {
    /// Server to client.
    public var download = Download()
    /// Client to server.
    public var upload = Upload()
    /// How a round's download depends on the one before.
    public var persistence = Persistence.anew
    /// Which coordinates a client trains.
    public var trainable = TrainedCoordinates.all
    /// What becomes of the part of a change that is not sent.
    public var residual = Residual.dropped
    /// How the server combines the uploads.
    public var aggregation = AggregationRule.mean
    /// Kinds of clients.
    public var tiers: [Tier] = []
    /// Which tier a client is in.
    public var tierAssignment = TierAssignment.modulo
    /// How clients give up ranks of their own.
    public var rankPruning = RankPruningSection()

    /// Server to client.
    public struct Download: Sendable, Equatable {
      /// The rule.
      public var select = Select.topMagnitude
      /// The share of coordinates that travels.
      public var density = DensitySchedule.constant(0.25)
      /// How values are written.
      public var values = ValueFormat.fp32
      /// How it is said which coordinates they are.
      public var indices = DownloadIndices.complete

      /// The rules by which coordinates are selected.
      public enum Select: String, Sendable, CaseIterable {
        case topMagnitude = "top_magnitude"
        case all, random
      }
    }

    /// Client to server.
    public struct Upload: Sendable, Equatable {
      /// The rule.
      public var select = Select.topMagnitude
      /// The share of coordinates that travels.
      public var density = DensitySchedule.constant(0.25)
      /// How values are written.
      public var values = ValueFormat.fp32

      /// The rules by which coordinates are selected.
      public enum Select: String, Sendable, CaseIterable {
        case topMagnitude = "top_magnitude"
        case all, random, downloaded
      }
    }

    /// How clients give up ranks of their own.
    public struct RankPruningSection: Sendable, Equatable {
      /// The share of its ranks that a client keeps when it prunes; 1 for no pruning.
      public var factor = 1.0
      /// The weight of the last ranks' norms in the local loss.
      public var penalty = 0.0
    }
  }

  /// Rounds, cohorts and the server's optimizer.
  public struct FederationSection: Sendable, Equatable {
    /// Number of rounds.
    public var rounds = 200
    /// Clients of a round, for cohorts drawn by the program.
    public var cohortSize = 10
    /// How cohorts are drawn.
    public var cohort = Cohort()
    /// The weight of a client in the mean.
    public var weighting = Weighting.uniform
    /// How the clients' messages reach rank 0.
    public var uploads = UploadCollective.auto
    /// What becomes of a client whose update is not finite.
    public var nonFinite = NonFinitePolicy.refuse
    /// The optimizer that steps the server's vector.
    public var server = Server()

    /// How cohorts are drawn.
    public struct Cohort: Sendable, Equatable {
      /// The rule.
      public var kind = Kind.uniform
      /// File with one line of client numbers per round.
      public var path: String?
      /// The rules by which cohorts are drawn.
      public enum Kind: String, Sendable, CaseIterable { case uniform, file }
    }

    /// The optimizer that steps the server's vector.
    public struct Server: Sendable, Equatable {
      /// The rule.
      public var optimizer = Optimizer.fedAdam
      /// Step size.
      public var learningRate = 0.005
      /// How the step size changes with the round.
      public var schedule = Schedule()
      /// FedAvgM's momentum.
      public var momentum = 0.9
      /// Decay of the first moment; where nothing is given, 0 with FedAdagrad.
      public var beta1 = 0.9
      /// Decay of the second moment; where nothing is given, 0.999 with AdamW.
      public var beta2 = 0.99
      /// Adaptivity of FedAdagrad, FedYogi and FedAdam (Reddi et al. 2021).
      public var tau = 0.001
      /// Added to the root of AdamW's second moment.
      public var epsilon = 1e-8
      /// AdamW's decoupled weight decay.
      public var weightDecay = 0.01

      /// The rules by which the server steps.
      public enum Optimizer: String, Sendable, CaseIterable {
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
  public struct PrivacySection: Sendable, Equatable {
    /// How uploads are clipped; without it there is no privacy.
    public var clipping = Clipping.none
    /// The largest L2 norm of an upload, at first where it adapts.
    public var clip = 1.0
    /// The share of clients whose uploads are to be within the clip.
    public var clipQuantile = 0.5
    /// The step of the clip's logarithm.
    public var clipLearningRate = 0.2
    /// Noise in the count of clients within the clip; nil means a twentieth of the cohort.
    public var clipCountDeviation: Double?
    /// The epsilon to stay within; nil where the noise is given.
    public var targetEpsilon: Double?
    /// Noise over clip.
    public var noiseMultiplier = 1.0
    /// The delta of the guarantee.
    public var delta = 1e-5
    /// The cohort whose noise is simulated; nil means the one that is run.
    public var noiseCohortSize: Int?
    /// The population of the guarantee; nil means the one that is run.
    public var population: Int?

    /// The ways in which uploads are clipped.
    public enum Clipping: String, Sendable, CaseIterable { case none, fixed, adaptive }
  }

  /// What a client does in a round.
  public struct LocalSection: Sendable, Equatable {
    /// Passes over the client's examples.
    public var epochs = 1
    /// Examples of a local step.
    public var batchSize = 16
    /// The client's optimizer.
    public var optimizer = Optimizer.sgd
    /// Its step size.
    public var learningRate = 0.005
    /// How the step size changes with the round.
    public var schedule = Schedule()
    /// The momentum of SGD.
    public var momentum = 0.9
    /// Decay of AdamW's first moment.
    public var beta1 = 0.9
    /// Decay of AdamW's second moment.
    public var beta2 = 0.999
    /// Added to the root of AdamW's second moment.
    public var epsilon = 1e-8
    /// AdamW's decoupled weight decay.
    public var weightDecay = 0.01
    /// The weight mu of FedProx's term.
    public var proximal = 0.0
    /// Whether each pass has its own order.
    public var shuffle = true

    /// The client's optimizers.
    public enum Optimizer: String, Sendable, CaseIterable {
      case sgd
      case adamW = "adam_w"
    }
  }

  /// How a step size changes with the round.
  public struct Schedule: Sendable, Equatable {
    /// What follows the warm-up.
    public var kind = Kind.constant
    /// Rounds in which the step size rises.
    public var warmupRounds = 0
    /// The share of the step size that the schedule ends at.
    public var final = 0.0
    /// The step size is multiplied by it after every period.
    public var factor = 0.5
    /// Rounds between two multiplications.
    public var period = 10

    /// The ways in which a step size falls.
    public enum Kind: String, Sendable, CaseIterable { case constant, linear, cosine, exponential }
  }

  /// When and on what the trained vector is evaluated.
  public struct EvaluationSection: Sendable, Equatable {
    /// Rounds from one evaluation to the next.
    public var every = 10
    /// The splits.
    public var splits = [Split.test]
    /// Examples of a split that are looked at; nil means all.
    public var maximumExamples: Int?
    /// Whether the vector is evaluated as a client receives it.
    public var masked = Masked.yes
    /// Whether the vector is evaluated as the clients of each tier receive it, too.
    public var tiers = false
    /// Clients of each group that are evaluated one by one.
    public var clients = 0
    /// Share of the examples that is held out of training for the evaluation of clients.
    public var holdout = 0.0

    /// Whether the vector is evaluated under the round's download mask, as a whole, or both.
    public enum Masked: String, Sendable, CaseIterable {
      case yes = "true"
      case no = "false"
      case both
    }
  }

  /// How the work is carried out on a rank; changes no result beyond rounding.
  public struct ComputeSection: Sendable, Equatable {
    /// Threads of a rank.
    public var threads = 1
    /// Tokens that go through the model at a time; nil means that the program chooses.
    public var microBatchTokens: Int?
    /// Number format of the computation.
    package var precision = MatrixFormat.fp32
  }

  /// When the state is saved; changes no result.
  public struct CheckpointSection: Sendable, Equatable {
    /// Rounds from one checkpoint to the next; 0 for never by rounds.
    public var everyRounds = 10
    /// Minutes from one checkpoint to the next, at the end of a round; 0 for never by time.
    public var everyMinutes = 15.0
    /// How many checkpoints stay.
    public var keep = 2
  }

  /// When a run that hangs is ended; changes no result.
  public struct WatchdogSection: Sendable, Equatable {
    /// Minutes in which a rank gets nothing done; 0 for no watching.
    public var minutes = 30.0
  }

  /// What is written besides the tables; changes no result.
  public struct OutputSection: Sendable, Equatable {
    /// Whether there are curves for TensorBoard.
    public var tensorBoard = true
  }
}
