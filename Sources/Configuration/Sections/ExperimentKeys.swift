internal import Federation
// All keys of the experiment file. Reading, checking, `--set`, config.yaml and the printed
// reference come from this table, so a key is either here, with an effect, or unknown.
internal import FineTuning
internal import Kernels

extension ExperimentKey {
  /// All keys, in the order in which config.yaml has them.
  package static let all: [ExperimentKey] =
    subjectKeys + partitionKeys + adapterKeys + methodKeys + federationKeys + serverKeys
    + privacyKeys + localKeys + evaluationKeys + computeKeys + systemKeys + [
      ExperimentKey(
        "seed", \.seed, .seed,
        "the number that all randomness is derived from: same seed, same bits")
    ]

  private static let subjectKeys: [ExperimentKey] = [
    ExperimentKey(
      "model.path", \.model.path, .path, required: true,
      "directory of the pretrained model, as Hugging Face has it"),
    ExperimentKey(
      "data.path", \.data.path, .path, required: true,
      "directory of the tokenized corpus; it belongs to the model's tokenizer"),
    ExperimentKey(
      "data.max_length", \.data.maximumLength, .integer(atLeast: 1, atMost: 1 << 24),
      "longer examples are cut to this number of tokens, whichever token comes last"),
    ExperimentKey(
      "task.kind", \.task.kind, .choice,
      "what is learnt: the label of an example, or its next tokens"),
    ExperimentKey(
      "task.pooling", \.task.pooling, .choice,
      only: when("task.kind", \.task.kind, is: .classification),
      "the token whose hidden state stands for an example; auto is what the model family does:"
        + " first (with pooler) for BERT, last for Llama"),
  ]

  private static let partitionKeys: [ExperimentKey] = [
    ExperimentKey(
      "partition.kind", \.partition.kind, .choice,
      "which client owns which training examples: skewed by label, at random, by the corpus's own"
        + " clients, a few shards of sorted labels each, of log-normal sizes, drawn for each client"
        + " from the whole corpus, or as a file says"),
    ExperimentKey(
      "partition.clients", \.partition.clients, .integer(atLeast: 1, atMost: 1 << 31),
      only: partitionIs(.dirichlet, .iid, .shards, .quantitySkew, .virtual),
      "number of clients in the population"),
    ExperimentKey(
      "partition.alpha", \.partition.alpha, .number(above: 0),
      only: partitionIs(.dirichlet, .virtual),
      "concentration of the Dirichlet distribution: small is very different clients"),
    ExperimentKey(
      "partition.shards_per_client", \.partition.shardsPerClient,
      .integer(atLeast: 1, atMost: 1 << 31), only: partitionIs(.shards),
      "shards of a client, each of about one label (McMahan et al. 2017)"),
    ExperimentKey(
      "partition.median_examples", \.partition.medianExamples,
      .integer(atLeast: 1, atMost: 1 << 31), only: partitionIs(.virtual),
      "median of the log-normal sizes of clients"),
    ExperimentKey(
      "partition.sigma", \.partition.sigma, .number(atLeast: 0, atMost: 20),
      only: partitionIs(.quantitySkew, .virtual),
      "standard deviation of the logarithm of a client's size; 0 is clients of one size"),
    ExperimentKey(
      "partition.minimum_examples", \.partition.minimumExamples,
      .integer(atLeast: 1, atMost: 1 << 31),
      only: partitionIs(.dirichlet, .quantitySkew, .virtual),
      "no client owns fewer training examples"),
    ExperimentKey(
      "partition.iid_mix", \.partition.iidMix, .number(atLeast: 0, atMost: 1),
      only: partitionIs(.dirichlet, .natural, .shards, .file),
      "share of each client's examples that is exchanged with draws from all clients' (FLASC's"
        + " iid-mix): 1 is IID in all but sizes"),
    ExperimentKey(
      "partition.path", optional: \.partition.path, required: true, only: partitionIs(.file),
      "JSON file with a list of example numbers for each client, as [[0, 2], [1]]"),
    ExperimentKey(
      "partition.shares_examples", \.partition.sharesExamples, .boolean, only: partitionIs(.file),
      "whether the file may give an example to several clients, or to one twice"),
  ]

  private static let isLoRA = when("adapter.kind", \.adapter.kind, is: .lora)

  private static let adapterKeys: [ExperimentKey] = [
    ExperimentKey(
      "adapter.kind", \.adapter.kind, .choice,
      "what is trained and travels: LoRA's factors, or all weights as their difference from the"
        + " pretrained ones (full fine-tuning); and the task's head"),
    ExperimentKey(
      "adapter.lora_rank", \.adapter.loraRank, .integer(atLeast: 1, atMost: 4096), only: isLoRA,
      "rank of the two factors that are added to each adapted matrix"),
    ExperimentKey(
      "adapter.alpha", \.adapter.alpha, .numerator, only: isLoRA,
      "the product of the two factors is scaled by alpha / lora_rank"),
    ExperimentKey(
      "adapter.targets", \.adapter.targets, .either("all_linear", or: .names), only: isLoRA,
      "the adapted matrices, by the last part of their names"),
    ExperimentKey(
      "adapter.dropout", \.adapter.dropout, .floatShare, only: isLoRA,
      "probability with which an adapter's input is dropped in training"),
    ExperimentKey(
      "adapter.initial", optional: \.adapter.initial, only: isLoRA,
      "PEFT adapter to start from, of the same rank, alpha and targets"),
    ExperimentKey(
      "adapter.frozen", \.adapter.frozen, .choice, only: isLoRA,
      "the factors that stay as they start, are not sent and not counted: lora_a is FFA-LoRA, both"
        + " trains the task's head alone"),
  ]

  private static let methodKeys: [ExperimentKey] = [
    ExperimentKey(
      "method.download.select", \.method.download.select, .choice,
      "the coordinates of the server's vector that are sent to the clients"),
    ExperimentKey(
      "method.download.density", \.method.download.density, .density,
      only: when("method.download.select", \.method.download.select, is: .topMagnitude, .random),
      "share of the coordinates that is sent to the clients"),
    ExperimentKey(
      "method.download.values", \.method.download.values, .choice,
      "how the values are written; int8 and int4 round at random and have a scale per tensor"),
    ExperimentKey(
      "method.download.indices", \.method.download.indices, .choice,
      "which coordinates they are: said in full, or by what changed since the client's last download"
        + " where that is shorter"),
    ExperimentKey(
      "method.upload.select", \.method.upload.select, .choice,
      "the coordinates of a client's change that are sent to the server"),
    ExperimentKey(
      "method.upload.density", \.method.upload.density, .density,
      only: when("method.upload.select", \.method.upload.select, is: .topMagnitude, .random),
      "share of the coordinates that is sent to the server"),
    ExperimentKey(
      "method.upload.values", \.method.upload.values, .choice,
      "how the values are written; int8 and int4 round at random and have a scale per tensor"),
    ExperimentKey(
      "method.persistence", \.method.persistence, .choice,
      "whether the download is chosen anew from the whole vector, or within the one before, the rest"
        + " pruned for good"),
    ExperimentKey(
      "method.trainable", \.method.trainable, .choice,
      "the coordinates that a client trains: all, whichever it received, or those alone"),
    ExperimentKey(
      "method.residual", \.method.residual, .choice,
      "the part of a client's change that is not sent: dropped, or kept and added to its next"
        + " (error feedback)"),
    ExperimentKey(
      "method.aggregation", \.method.aggregation, .aggregation, Aggregators.help),
    ExperimentKey(
      "method.tiers", \.method.tiers, .tiers,
      "kinds of clients that differ in lora_rank or densities; [] where all are alike"),
    ExperimentKey(
      "method.tier_assignment", \.method.tierAssignment, .choice,
      "the tier of a client: its number modulo the tiers, or drawn by their shares"),
    ExperimentKey(
      "method.rank_pruning.factor", \.method.rankPruning.factor, .number(above: 0, atMost: 1),
      "share of its ranks that a client keeps for good when the last ones shrank in its training"
        + " (HetLoRA's self-pruning, gamma); 1 for no pruning"),
    ExperimentKey(
      "method.rank_pruning.penalty", \.method.rankPruning.penalty, .float,
      only: ExperimentKey.Condition(
        path: "method.rank_pruning.factor", values: ["below 1"],
        current: { $0.method.rankPruning.factor < 1 ? "below 1" : "1" }),
      "weight of the norms of those ranks in the clients' loss (HetLoRA's lambda)"),
  ]

  private static let federationKeys: [ExperimentKey] = [
    ExperimentKey(
      "federation.rounds", \.federation.rounds, .integer(atLeast: 1, atMost: 1 << 31),
      "number of rounds"),
    ExperimentKey(
      "federation.cohort.kind", \.federation.cohort.kind, .choice,
      "how the clients of a round are found: drawn at random, or as a file says"),
    ExperimentKey(
      "federation.cohort.path", optional: \.federation.cohort.path, required: true,
      only: when("federation.cohort.kind", \.federation.cohort.kind, is: .file),
      "JSON file with a list of client numbers for each round, as [[0, 2], [1, 3]]"),
    ExperimentKey(
      "federation.cohort_size", \.federation.cohortSize, .integer(atLeast: 1, atMost: 1 << 31),
      only: when("federation.cohort.kind", \.federation.cohort.kind, is: .uniform),
      "clients of a round"),
    ExperimentKey(
      "federation.weighting", \.federation.weighting, .choice,
      "the weight of a client in the mean: the same for all, or its number of examples"),
    ExperimentKey(
      "federation.uploads", \.federation.uploads, .choice,
      "how uploads move between MPI ranks: clients' messages (gather, overlapped with training,"
        + " all_gather) or sums of hosts (docs/communication-model.md); changes no result"),
    ExperimentKey(
      "federation.non_finite", \.federation.nonFinite, .choice,
      "a client whose update is not finite: left out of the round and reported, or the end of the run"
    ),
  ]

  private static let serverKeys: [ExperimentKey] = [
    ExperimentKey(
      "federation.server.optimizer", \.federation.server.optimizer, .choice,
      "how the server steps: sgd, fed_avgm (Hsu et al. 2019), fed_adagrad, fed_yogi or fed_adam"
        + " (Reddi et al. 2021), or adam_w (as PyTorch's AdamW)"),
    ExperimentKey(
      "federation.server.learning_rate", \.federation.server.learningRate, .positiveFloat,
      "the server's step size"),
    ExperimentKey(
      "federation.server.momentum", \.federation.server.momentum, .floatShare,
      only: serverIs(.fedAvgM), "decay of FedAvgM's moment, the sum of past pseudo-gradients"),
    ExperimentKey(
      "federation.server.beta1", \.federation.server.beta1, .floatShare,
      only: serverIs(.fedAdagrad, .fedYogi, .fedAdam, .adamW),
      "decay of the first moment; with fed_adagrad the default is 0"),
    ExperimentKey(
      "federation.server.beta2", \.federation.server.beta2, .floatShare,
      only: serverIs(.fedYogi, .fedAdam, .adamW),
      "decay of the second moment; with adam_w the default is 0.999"),
    ExperimentKey(
      "federation.server.tau", \.federation.server.tau, .rootFloat,
      only: serverIs(.fedAdagrad, .fedYogi, .fedAdam),
      "adaptivity of FedAdagrad, FedYogi and FedAdam: the second moment starts at its square"),
    ExperimentKey(
      "federation.server.epsilon", \.federation.server.epsilon, .positiveFloat,
      only: serverIs(.adamW), "added to the root of AdamW's second moment"),
    ExperimentKey(
      "federation.server.weight_decay", \.federation.server.weightDecay, .float,
      only: serverIs(.adamW), "AdamW's decoupled weight decay"),
    ExperimentKey(
      "federation.server.schedule.kind", \.federation.server.schedule.kind, .choice,
      "how the server's step size changes with the round"),
    ExperimentKey(
      "federation.server.schedule.warmup_rounds", \.federation.server.schedule.warmupRounds,
      .warmup, warmupMeaning),
    ExperimentKey(
      "federation.server.schedule.final", \.federation.server.schedule.final, .finalShare,
      only: when(
        "federation.server.schedule.kind", \.federation.server.schedule.kind, is: .linear, .cosine),
      finalMeaning),
    ExperimentKey(
      "federation.server.schedule.factor", \.federation.server.schedule.factor, .shrinkage,
      only: when(
        "federation.server.schedule.kind", \.federation.server.schedule.kind, is: .exponential),
      factorMeaning),
    ExperimentKey(
      "federation.server.schedule.period", \.federation.server.schedule.period, .period,
      only: when(
        "federation.server.schedule.kind", \.federation.server.schedule.kind, is: .exponential),
      periodMeaning),
  ]

  private static func partitionIs(_ kinds: Experiment.PartitionSection.Kind...) -> Condition {
    Condition(
      path: "partition.kind", values: kinds.map(\.rawValue),
      current: { $0.partition.kind.rawValue })
  }

  private static let warmupMeaning =
    "rounds in which the step size rises from 1 / (warmup_rounds + 1) of itself; the schedule"
    + " follows"
  private static let finalMeaning =
    "share of the step size that a round after the last one would have"
  private static let factorMeaning = "the step size is multiplied by it after every period"
  private static let periodMeaning = "rounds between two multiplications of the step size"

  private static func serverIs(
    _ optimizers: Experiment.FederationSection.Server.Optimizer...
  ) -> Condition {
    Condition(
      path: "federation.server.optimizer", values: optimizers.map(\.rawValue),
      current: { $0.federation.server.optimizer.rawValue })
  }

  private static let localKeys: [ExperimentKey] = [
    ExperimentKey(
      "local.epochs", \.local.epochs, .integer(atLeast: 1, atMost: 1 << 20),
      "passes of a client over its examples in a round"),
    ExperimentKey(
      "local.batch_size", \.local.batchSize, .integer(atLeast: 1, atMost: 1 << 30),
      "examples of a local step"),
    ExperimentKey(
      "local.optimizer", \.local.optimizer, .choice,
      "the clients' optimizer, as PyTorch's; its moments are fresh for each client and round"),
    ExperimentKey(
      "local.learning_rate", \.local.learningRate, .positiveFloat, "the clients' step size"),
    ExperimentKey(
      "local.momentum", \.local.momentum, .floatShare,
      only: when("local.optimizer", \.local.optimizer, is: .sgd),
      "the clients' momentum, fresh for each client and round"),
    ExperimentKey(
      "local.beta1", \.local.beta1, .floatShare,
      only: when("local.optimizer", \.local.optimizer, is: .adamW),
      "decay of AdamW's first moment"),
    ExperimentKey(
      "local.beta2", \.local.beta2, .floatShare,
      only: when("local.optimizer", \.local.optimizer, is: .adamW),
      "decay of AdamW's second moment"),
    ExperimentKey(
      "local.epsilon", \.local.epsilon, .positiveFloat,
      only: when("local.optimizer", \.local.optimizer, is: .adamW),
      "added to the root of AdamW's second moment"),
    ExperimentKey(
      "local.weight_decay", \.local.weightDecay, .float,
      only: when("local.optimizer", \.local.optimizer, is: .adamW),
      "AdamW's decoupled weight decay"),
    ExperimentKey(
      "local.proximal", \.local.proximal, .float,
      "FedProx's mu (Li et al. 2020): a client's loss gets mu / 2 times the squared distance from"
        + " where it started"),
    ExperimentKey(
      "local.shuffle", \.local.shuffle, .boolean, "whether each pass has its own order"),
    ExperimentKey(
      "local.schedule.kind", \.local.schedule.kind, .choice,
      "how the clients' step size changes with the round"),
    ExperimentKey(
      "local.schedule.warmup_rounds", \.local.schedule.warmupRounds, .warmup, warmupMeaning),
    ExperimentKey(
      "local.schedule.final", \.local.schedule.final, .finalShare,
      only: when("local.schedule.kind", \.local.schedule.kind, is: .linear, .cosine),
      finalMeaning),
    ExperimentKey(
      "local.schedule.factor", \.local.schedule.factor, .shrinkage,
      only: when("local.schedule.kind", \.local.schedule.kind, is: .exponential),
      factorMeaning),
    ExperimentKey(
      "local.schedule.period", \.local.schedule.period, .period,
      only: when("local.schedule.kind", \.local.schedule.kind, is: .exponential),
      periodMeaning),
  ]

  private static let evaluationKeys: [ExperimentKey] = [
    ExperimentKey(
      "evaluation.every", \.evaluation.every, .integer(atLeast: 1, atMost: 1 << 31),
      "rounds from one evaluation to the next; the last round is always evaluated"),
    ExperimentKey(
      "evaluation.splits", \.evaluation.splits, .list(), "the splits that are evaluated"),
    ExperimentKey(
      "evaluation.maximum_examples", \.evaluation.maximumExamples,
      .either("all", or: .integer(atLeast: 1)),
      "examples of a split that are looked at: the same random ones every time"),
    ExperimentKey(
      "evaluation.masked", \.evaluation.masked, .choice,
      "evaluate the vector as a client receives it, under the round's download mask, as a whole, or"
        + " both"),
    ExperimentKey(
      "evaluation.tiers", \.evaluation.tiers, .boolean,
      only: Condition(
        path: "method.tiers", values: ["a list of tiers"],
        current: { $0.method.tiers.isEmpty ? "[]" : "a list of tiers" }),
      "whether the splits are evaluated besides with what the clients of each tier receive"),
    ExperimentKey(
      "evaluation.clients", \.evaluation.clients, .integer(atLeast: 0, atMost: 1 << 20),
      "clients that took part so far, and as many that never did, which are evaluated one by one on"
        + " examples of their own; 0 for none"),
    ExperimentKey(
      "evaluation.holdout", \.evaluation.holdout, .number(atLeast: 0, below: 1),
      only: Condition(
        path: "evaluation.clients", values: ["1 or more"],
        current: { $0.evaluation.clients > 0 ? "1 or more" : "0" }),
      "share of the training examples that no client trains on and on which clients are evaluated;"
        + " with 0 they are evaluated on what they train on"),
  ]

  private static let computeKeys: [ExperimentKey] = [
    ExperimentKey(
      "compute.threads", \.compute.threads, .integer(atLeast: 1, atMost: 1024),
      "threads of a rank, each on a micro-batch of its own with its own memory; never changes a bit;"
        + " under mpirun give a rank as many cores (--map-by slot:PE=N)"
    ),
    ExperimentKey(
      "compute.micro_batch_tokens", \.compute.microBatchTokens,
      .either("auto", or: .integer(atLeast: 1, atMost: 1 << 24)),
      "tokens that go through the model at a time, which bounds a rank's memory; another value"
        + " rounds otherwise, and with adapter.dropout draws other masks"),
    ExperimentKey(
      "compute.precision", \.compute.precision, .choice,
      "number format of the frozen products; bf16 needs a build with the trait oneDNN and a CPU that"
        + " has it"),
    ExperimentKey(
      "checkpoint.every_rounds", \.checkpoint.everyRounds, .integer(atLeast: 0, atMost: 1 << 31),
      "rounds from one checkpoint to the next; 0 for none by rounds"),
    ExperimentKey(
      "checkpoint.every_minutes", \.checkpoint.everyMinutes, .number(atLeast: 0),
      "minutes after which the end of a round is saved; 0 for none by time"),
    ExperimentKey(
      "checkpoint.keep", \.checkpoint.keep, .integer(atLeast: 1, atMost: 1 << 20),
      "checkpoints that stay: where the newest is damaged, the one before is taken"),
    ExperimentKey(
      "watchdog.minutes", \.watchdog.minutes, .number(atLeast: 0, atMost: 1_000_000),
      "minutes without progress after which a rank that hangs ends the run (exit code 76); 0 for never;"
        + " off by itself under a debugger"),
    ExperimentKey(
      "output.tensorboard", \.output.tensorBoard, .boolean,
      "whether the run directory gets curves for TensorBoard"),
  ]
}

extension ValueForm where Value == Int {
  fileprivate static var warmup: ValueForm { .integer(atLeast: 0, atMost: 1 << 31) }
  fileprivate static var period: ValueForm { .integer(atLeast: 1, atMost: 1 << 31) }
}

extension ValueForm where Value == Double {
  fileprivate static var finalShare: ValueForm { .number(atLeast: 0, atMost: 1) }
  fileprivate static var shrinkage: ValueForm { .number(above: 0, atMost: 1) }
}
