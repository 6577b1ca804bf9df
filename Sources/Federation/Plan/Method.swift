// A communication-efficient fine-tuning method as a value. The round (Round.swift) reads these
// values and never asks which method it plays.
public import Sparsity

/// What travels, which coordinates of it are kept, and what clients train.
///
/// FLASC (Kuo et al. 2024, arXiv 2406.05233, Algorithm 1): clients download the coordinates of the
/// server's vector that are largest by magnitude, train ALL coordinates, and upload the coordinates
/// of their delta that are largest by magnitude; the two selections have nothing to do with each
/// other. docs/methods.md lists the values of the other methods.
public struct Method: Sendable, Equatable {
  /// Which coordinates of the server's vector clients receive; they see zeros elsewhere.
  public var download: Selection
  /// Which coordinates of its delta a client sends; the server counts zeros elsewhere.
  public var upload: Selection
  /// How a round's download depends on the one before.
  public var persistence: Persistence
  /// Which coordinates a client trains.
  public var trained: TrainedCoordinates
  /// What becomes of the part of a delta that is not sent.
  public var residual: Residual
  /// How the server combines what it received.
  public var aggregation: AggregationRule
  /// How the values of downloads and uploads are written.
  public var values: MessageValues
  /// How downloads say which coordinates they hold.
  public var downloadIndices: DownloadIndices
  /// Kinds of clients that differ in what they receive and send; empty when all are alike.
  public var tiers: [Tier]
  /// Which tier a client is in.
  public var tierAssignment: TierAssignment
  /// How clients give up ranks of their own; nil where they do not.
  public var rankPruning: RankPruning?

  /// A method of these values; those of FLASC where nothing is said.
  public init(
    download: Selection, upload: Selection, persistence: Persistence = .anew,
    trained: TrainedCoordinates = .all, residual: Residual = .dropped,
    aggregation: AggregationRule = .mean, values: MessageValues = MessageValues(),
    downloadIndices: DownloadIndices = .complete, tiers: [Tier] = [],
    tierAssignment: TierAssignment = .modulo, rankPruning: RankPruning? = nil
  ) {
    self.download = download
    self.upload = upload
    self.persistence = persistence
    self.trained = trained
    self.residual = residual
    self.aggregation = aggregation
    self.values = values
    self.downloadIndices = downloadIndices
    self.tiers = tiers
    self.tierAssignment = tierAssignment
    self.rankPruning = rankPruning
  }
}

/// How the support of a round's download depends on the one before.
public enum Persistence: String, Sendable, CaseIterable {
  /// It is chosen from the whole vector, whatever was sent before.
  case anew
  /// It is chosen within the one before, and what is left out is zero on the server for good: pruning
  /// as in SparseAdapter (He et al. 2022, arXiv 2210.04284) and, with a density that falls by the
  /// period, in the lottery-ticket baseline (Frankle & Carbin 2019; Wu & Chen 2022).
  case nested
}

/// Which coordinates a client trains.
public enum TrainedCoordinates: String, Sendable, CaseIterable {
  /// All of them, whichever it received.
  case all
  /// Those that it received; the others stay zero.
  case downloaded
}

/// What becomes of the part of a delta that is not sent.
public enum Residual: String, Sendable, CaseIterable {
  /// It is lost.
  case dropped
  /// The client adds it to its next delta (error feedback: Seide et al. 2014; Stich et al. 2018,
  /// arXiv 1809.07599, Algorithm 1).
  case kept
}

/// The number formats of a method's messages.
public struct MessageValues: Sendable, Equatable {
  /// Server to client.
  public var download: ValueFormat
  /// Client to server.
  public var upload: ValueFormat

  /// These formats; fp32 where nothing is said.
  public init(download: ValueFormat = .fp32, upload: ValueFormat = .fp32) {
    self.download = download
    self.upload = upload
  }
}

/// How a download says which coordinates it holds.
public enum DownloadIndices: String, Sendable, CaseIterable {
  /// By itself, as for a client that knows nothing.
  case complete
  /// By what changed since the client's last download, which it remembers, where that is shorter.
  case difference
}

/// A kind of client.
public struct Tier: Sendable, Equatable {
  /// How many of the population are in it, in relation to the other tiers' shares.
  public var share: Double
  /// The first so many of the adapter's ranks are this tier's (HetLoRA's truncation); nil for all.
  public var loraRank: Int?
  /// The density of its downloads; nil for the method's.
  public var downloadDensity: Double?
  /// The density of its uploads; nil for the method's.
  public var uploadDensity: Double?

  /// A tier of these values.
  public init(
    share: Double = 1, loraRank: Int? = nil, downloadDensity: Double? = nil,
    uploadDensity: Double? = nil
  ) {
    self.share = share
    self.loraRank = loraRank
    self.downloadDensity = downloadDensity
    self.uploadDensity = uploadDensity
  }
}

/// Which tier a client is in.
public enum TierAssignment: String, Sendable, CaseIterable {
  /// Client c is in tier c mod T, as in the public FLASC scripts; shares do not count.
  case modulo
  /// Drawn for (seed, client) by the tiers' shares.
  case drawn
}

extension Method {
  /// FLASC at constant densities, each above 0 and at most 1.
  public static func flasc(download: Double, upload: Double) -> Method {
    Method(
      download: .topMagnitude(.constant(download)), upload: .topMagnitude(.constant(upload)))
  }

  /// Everything travels in both directions.
  package static let denseLoRA = Method(download: .all, upload: .all)

  /// SparseAdapter (He et al. 2022, arXiv 2210.04284) as FLASC compares with it: after one dense round
  /// a support is chosen once; the rest is pruned, and only the support is trained and travels.
  package static func sparseAdapter(density: Double) -> Method {
    Method(
      download: .topMagnitude(
        .geometric(initial: 1, factor: density, period: 1, minimum: density)),
      upload: .downloaded, persistence: .nested, trained: .downloaded)
  }

  /// Adapter-LTH: the support shrinks by `factor` every `period` rounds, down to `minimum`; only it is
  /// trained and travels.
  package static func adapterLTH(factor: Double, period: Int, minimum: Double = 0) -> Method {
    Method(
      download: .topMagnitude(
        .geometric(initial: 1, factor: factor, period: period, minimum: minimum)),
      upload: .downloaded, persistence: .nested, trained: .downloaded)
  }

  /// Federated select (Charles et al. 2022, arXiv 2208.09432) by magnitude: clients train and send
  /// what they received, chosen anew in each round.
  package static func federatedSelect(density: Double) -> Method {
    Method(
      download: .topMagnitude(.constant(density)), upload: .downloaded, trained: .downloaded)
  }
}
