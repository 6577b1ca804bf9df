// The section `partition`: the training examples of each client.

extension Experiment {
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
}

extension ExperimentKey {
  static let partitionKeys: [ExperimentKey] = [
    ExperimentKey(
      "partition.kind", \.partition.kind, .choice,
      "how training examples are assigned to clients: skewed by label (dirichlet), at random"
        + " (iid), by the corpus's own clients (natural), shards of sorted labels, log-normal"
        + " sizes (quantity_skew), drawn for each client from the whole corpus (virtual), or from"
        + " a file"),
    ExperimentKey(
      "partition.clients", \.partition.clients, .integer(atLeast: 1, atMost: 1 << 31),
      only: partitionIs(.dirichlet, .iid, .shards, .quantitySkew, .virtual),
      "number of clients in the population"),
    ExperimentKey(
      "partition.alpha", \.partition.alpha, .number(.positive),
      only: partitionIs(.dirichlet, .virtual),
      "concentration of the Dirichlet distribution; a small value gives very different clients"),
    ExperimentKey(
      "partition.shards_per_client", \.partition.shardsPerClient,
      .integer(atLeast: 1, atMost: 1 << 31), only: partitionIs(.shards),
      "shards per client, each with about one label (McMahan et al. 2017)"),
    ExperimentKey(
      "partition.median_examples", \.partition.medianExamples,
      .integer(atLeast: 1, atMost: 1 << 31), only: partitionIs(.virtual),
      "median of the log-normal client sizes"),
    ExperimentKey(
      "partition.sigma", \.partition.sigma, .number(.sigma),
      only: partitionIs(.quantitySkew, .virtual),
      "standard deviation of the logarithm of client sizes; 0: all clients have one size"),
    ExperimentKey(
      "partition.minimum_examples", \.partition.minimumExamples,
      .integer(atLeast: 1, atMost: 1 << 31),
      only: partitionIs(.dirichlet, .quantitySkew, .virtual),
      "each client owns at least this many training examples"),
    ExperimentKey(
      "partition.iid_mix", \.partition.iidMix, .number(.share),
      only: partitionIs(.dirichlet, .natural, .shards, .file),
      "share of each client's examples that is shuffled among all clients (FLASC's iid-mix); 1:"
        + " IID except for sizes"),
    ExperimentKey(
      "partition.path", optional: \.partition.path, required: true, only: partitionIs(.file),
      "JSON file with a list of example numbers for each client, for example [[0, 2], [1]]"),
    ExperimentKey(
      "partition.shares_examples", \.partition.sharesExamples, .boolean, only: partitionIs(.file),
      "whether the file may assign an example to several clients, or more than once to one client"),
  ]

  private static func partitionIs(_ kinds: Experiment.PartitionSection.Kind...) -> Condition {
    Condition(
      path: "partition.kind", values: kinds.map(\.rawValue),
      current: { $0.partition.kind.rawValue })
  }
}
