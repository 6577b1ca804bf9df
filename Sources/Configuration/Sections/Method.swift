// The section `method` (docs/methods.md) and the `Method` that it makes.

package import Federation
package import Sparsity

extension Experiment {
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
}

extension ExperimentKey {
  static let methodKeys: [ExperimentKey] = [
    ExperimentKey(
      "method.download.select", \.method.download.select, .choice,
      "the coordinates of the server's vector that are sent to the clients"),
    ExperimentKey(
      "method.download.density", \.method.download.density, .density,
      only: when("method.download.select", \.method.download.select, is: .topMagnitude, .random),
      "share of the coordinates that is sent to the clients"),
    ExperimentKey(
      "method.download.values", \.method.download.values, .choice,
      "number format of the values; int8 and int4 use stochastic rounding and one scale per tensor"),
    ExperimentKey(
      "method.download.indices", \.method.download.indices, .choice,
      "send all indices (complete), or only the change since the client's last download if that"
        + " is shorter (difference)"),
    ExperimentKey(
      "method.upload.select", \.method.upload.select, .choice,
      "the coordinates of a client's delta that are sent to the server"),
    ExperimentKey(
      "method.upload.density", \.method.upload.density, .density,
      only: when("method.upload.select", \.method.upload.select, is: .topMagnitude, .random),
      "share of the coordinates that is sent to the server"),
    ExperimentKey(
      "method.upload.values", \.method.upload.values, .choice,
      "number format of the values; int8 and int4 use stochastic rounding and one scale per tensor"),
    ExperimentKey(
      "method.persistence", \.method.persistence, .choice,
      "choose the download mask again each round (anew), or only shrink it (nested): the rest"
        + " stays zero"),
    ExperimentKey(
      "method.trainable", \.method.trainable, .choice,
      "the coordinates that a client trains: all, or only those that it downloaded"),
    ExperimentKey(
      "method.residual", \.method.residual, .choice,
      "the part of a client's delta that is not sent: dropped, or kept and added to its next"
        + " delta (error feedback)"),
    ExperimentKey(
      "method.aggregation", \.method.aggregation, .aggregation, Aggregators.help),
    ExperimentKey(
      "method.tiers", \.method.tiers, .tiers,
      "groups of clients that differ in lora_rank or densities; []: all clients are equal"),
    ExperimentKey(
      "method.tier_assignment", \.method.tierAssignment, .choice,
      "the tier of a client: its number modulo the number of tiers, or drawn by the tiers' shares"),
    ExperimentKey(
      "method.rank_pruning.factor", \.method.rankPruning.factor, .number(.positiveShare),
      "share of its ranks that a client keeps if the last ranks shrink during its training"
        + " (HetLoRA's gamma); 1: no pruning"),
    ExperimentKey(
      "method.rank_pruning.penalty", \.method.rankPruning.penalty, .number(.float),
      only: ExperimentKey.Condition(
        path: "method.rank_pruning.factor", values: ["below 1"],
        current: { $0.method.rankPruning.factor < 1 ? "below 1" : "1" }),
      "weight of the norms of those ranks in the clients' loss (HetLoRA's lambda)"),
  ]
}

extension Experiment.MethodSection {
  package var plan: Method {
    Method(
      download: download.selection, upload: upload.selection,
      persistence: persistence, trained: trainable, residual: residual, aggregation: aggregation,
      values: MessageValues(download: download.values, upload: upload.values),
      downloadIndices: download.indices, tiers: tiers, tierAssignment: tierAssignment,
      rankPruning: rankPruning.factor < 1
        ? RankPruning(factor: rankPruning.factor, penalty: rankPruning.penalty) : nil)
  }
}

extension Experiment.MethodSection.Download {
  fileprivate var selection: Selection {
    switch select {
    case .all: .all
    case .topMagnitude: .topMagnitude(density)
    case .random: .random(density)
    }
  }
}

extension Experiment.MethodSection.Upload {
  fileprivate var selection: Selection {
    switch select {
    case .all: .all
    case .topMagnitude: .topMagnitude(density)
    case .random: .random(density)
    case .downloaded: .downloaded
    }
  }
}
