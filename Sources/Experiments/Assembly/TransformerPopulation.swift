// Who owns which training examples of a token corpus: the `partition` section as a population.

internal import Configuration
internal import Corpora
internal import Files

extension Experiment {
  /// Gives every client its training examples.
  func makePopulation(of train: TokenDataset, assets: AssetDirectory) throws -> any Population {
    do {
      switch partition.kind {
      case .virtual: return try virtualPopulation(train)
      case .file:
        return try mixed(
          Partition.fromFile(
            path: assets.resolve(partition.path ?? ""), exampleCount: train.count,
            sharing: partition.sharesExamples))
      case .natural:
        return try mixed(Partition.natural(owners: owners(train), names: train.clientNames))
      case .dirichlet:
        return try mixed(
          Partition.dirichlet(
            labels: labels(train), clients: partition.clients, alpha: partition.alpha,
            minimumExamples: partition.minimumExamples, seed: seed))
      case .shards:
        return try mixed(
          Partition.shards(
            labels: labels(train), clients: partition.clients,
            shardsPerClient: partition.shardsPerClient, seed: seed))
      case .iid:
        return try Partition.iid(
          exampleCount: train.count, clients: partition.clients, seed: seed)
      case .quantitySkew:
        return try Partition.quantitySkew(
          exampleCount: train.count, clients: partition.clients, sigma: partition.sigma,
          minimumExamples: partition.minimumExamples, seed: seed)
      }
    } catch let error as PartitionError {
      throw CommandFailure(
        partition.kind == .file ? ExitCode.data : ExitCode.usage, "partition: \(error)")
    }
  }

  /// A warning where a file refers to clients whose numbers are not those of the corpus; nil otherwise.
  func numberingNotice(_ train: TokenDataset) -> String? {
    guard partition.kind == .natural, let owners = train.owners else { return nil }
    let files = [
      federation.cohort.kind == .file ? "the cohort file" : nil,
      system.kind == .trace ? "the trace" : nil,
    ].compactMap(\.self)
    let present = Set(owners)
    guard !files.isEmpty,
      let gap = (0..<(present.max() ?? 0)).first(where: { !present.contains($0) })
    else { return nil }
    let place = Int(gap)
    let name = train.clientNames.indices.contains(place) ? " (\(train.clientNames[place]))" : ""
    return
      "the corpus's client \(gap)\(name) has no training example: clients after it have smaller"
      + " numbers in this run, to which \(files.joined(separator: " and ")) must refer;"
      + " cellm-mpi inspect of the corpus lists them"
  }

  private func mixed(_ base: Partition) throws -> Partition {
    partition.iidMix == 0 ? base : try base.mixed(share: partition.iidMix, seed: seed)
  }

  private func virtualPopulation(_ train: TokenDataset) throws -> VirtualPopulation {
    guard let classes = train.labels ?? train.owners else {
      throw CommandFailure(
        ExitCode.usage,
        "partition.kind: virtual mixes labels or, without them, the corpus's own clients; this"
          + " corpus has neither; give iid, quantity_skew or file")
    }
    return try VirtualPopulation(
      classes: classes, clients: partition.clients, alpha: partition.alpha,
      sizes: VirtualPopulation.Sizes(
        median: partition.medianExamples, sigma: partition.sigma,
        minimum: partition.minimumExamples),
      seed: seed)
  }

  private func labels(_ train: TokenDataset) throws -> [Int32] {
    guard let labels = train.labels else {
      throw CommandFailure(
        ExitCode.usage,
        "partition.kind: \(partition.kind.rawValue) needs labels, which the corpus lacks; give iid,"
          + " quantity_skew, natural or file")
    }
    return labels
  }

  private func owners(_ train: TokenDataset) throws -> [Int32] {
    guard let owners = train.owners else {
      throw CommandFailure(
        ExitCode.usage,
        "partition.kind: natural needs a corpus with clients of its own; give dirichlet, iid"
          + " or file")
    }
    return owners
  }
}
