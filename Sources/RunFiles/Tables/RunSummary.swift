// The table at the end of a run, and the sentence that says which vector was evaluated. A checkpoint holds
// the rows, so that their number is bounded: when there are more than `mostRows`, every second one goes, and
// from then on half as many evaluations get a row. The last one always has its row.

package import Configuration
package import Corpora
package import Federation
internal import Files

/// Collects what the table at the end of a run shows.
package struct RunSummary: Codable, Equatable {
  /// The most rows that are kept beside the last one.
  static let mostRows = 100

  /// One row: the state after so many rounds.
  private struct Row: Codable, Equatable {
    package struct Evaluation: Codable, Equatable {
      package let split: String
      package let vector: String
      package let accuracy: Double?
      package let perplexity: Double?
      package let exactMatch: Double?
      package let pearson: Double?
      package let choiceAccuracy: Double?
    }
    package struct Clients: Codable, Equatable {
      package let group: String
      /// The mean over the clients.
      package let accuracy: Double
    }

    package let rounds: Int
    /// nil where no client counted.
    package let trainLoss: Double?
    package let evaluation: [Evaluation]
    package let clients: [Clients]
    package let totals: Manifest.Totals
  }

  /// The rows of every `stride`-th evaluation from the first one on.
  private var rows: [Row] = []
  /// The row of the last evaluation, where it is none of those.
  private var last: Row?
  private var evaluations = 0
  private var stride = 1
  private var totals = Manifest.Totals()

  package init() {}

  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let saved = try values.decode([Row].self, forKey: .rows)
    totals = try values.decode(Manifest.Totals.self, forKey: .totals)
    guard let evaluations = try values.decodeIfPresent(Int.self, forKey: .evaluations) else {
      // An earlier version kept every row.
      for row in saved { add(row) }
      return
    }
    rows = saved
    last = try values.decodeIfPresent(Row.self, forKey: .last)
    stride = try values.decode(Int.self, forKey: .stride)
    self.evaluations = evaluations
  }

  private mutating func add(_ row: Row) {
    if evaluations % stride == 0 {
      rows.append(row)
      last = nil
      if rows.count > Self.mostRows {
        rows = rows.indices.filter { $0 % 2 == 0 }.map { rows[$0] }
        stride *= 2
        if evaluations % stride != 0 { last = row }
      }
    } else {
      last = row
    }
    evaluations += 1
  }

  package mutating func add(_ record: RoundRecord, of rounds: Int) {
    totals.rounds += 1
    totals.tokens += record.clients.reduce(0) { $0 + $1.tokens }
    totals.downloadPayloadBytes += record.downloadPayload.total
    totals.uploadPayloadBytes += record.uploadPayload.total
    totals.densePayloadBytes += record.densePayloadBytes
    if let seconds = record.modelledSeconds {
      totals.modelledSeconds = (totals.modelledSeconds ?? 0) + seconds
    }
    if !record.refused.isEmpty {
      totals.refusedUploads = (totals.refusedUploads ?? 0) + record.refused.count
    }
    let isEvaluated = !record.evaluation.isEmpty || !record.clientEvaluation.isEmpty
    guard isEvaluated || record.round + 1 == rounds else { return }
    add(
      Row(
        rounds: record.round + 1, trainLoss: record.trainLoss,
        evaluation: record.evaluation.filter { $0.tier == nil }.map {
          Row.Evaluation(
            split: $0.split.rawValue, vector: $0.vector.rawValue, accuracy: $0.accuracy,
            perplexity: $0.perplexity, exactMatch: $0.exactMatch, pearson: $0.pearson,
            choiceAccuracy: $0.choiceAccuracy)
        },
        clients: record.clientEvaluation.map {
          Row.Clients(group: $0.group.rawValue, accuracy: $0.accuracy.mean)
        },
        totals: totals))
  }

  /// The totals so far, with the wire bytes of one more round.
  package func totals(after earlier: Manifest.Totals, wire: WireSummary) -> Manifest.Totals {
    var totals = totals
    totals.wireBytes = earlier.wireBytes + wire.wireBytes
    totals.wireMessages = earlier.wireMessages + wire.messages
    return totals
  }

  /// The table: a row per evaluated round, payloads summed up to it; of the evaluation, what there
  /// is of `split` and of the clients.
  package func text(split: Split) -> String {
    let rows = rows + (last.map { [$0] } ?? [])
    var columns: [(name: String, cell: (Row) -> String?)] = [
      ("rounds", { "\($0.rounds)" }), ("train loss", { $0.trainLoss.map { fixed($0, 4) } }),
    ]
    let vectors = Set(rows.flatMap { $0.evaluation.map(\.vector) })
    for vector in EvaluatedVector.allCases {
      let what = vectors.count < 2 ? "" : " (\(vector.rawValue))"
      func found(_ row: Row) -> Row.Evaluation? {
        row.evaluation.first { $0.split == split.rawValue && $0.vector == vector.rawValue }
      }
      columns += [
        ("\(split.rawValue) accuracy" + what, { found($0)?.accuracy.map { fixed($0, 4) } }),
        ("perplexity" + what, { found($0)?.perplexity.map { fixed($0, 2) } }),
        ("exact match" + what, { found($0)?.exactMatch.map { fixed($0, 4) } }),
        ("Pearson" + what, { found($0)?.pearson.map { fixed($0, 4) } }),
        ("acc" + what, { found($0)?.choiceAccuracy.map { fixed($0, 4) } }),
      ]
    }
    // Of the first vector alone: the table has to fit a terminal.
    for group in ClientGroup.allCases {
      columns.append(
        (
          "\(group.rawValue) clients",
          { row in row.clients.first { $0.group == group.rawValue }.map { fixed($0.accuracy, 4) } }
        ))
    }
    columns += [
      ("modelled time", { $0.totals.modelledSeconds.map(durationText) }),
      ("payload down", { byteText($0.totals.downloadPayloadBytes) }),
      ("payload up", { byteText($0.totals.uploadPayloadBytes) }),
      (
        "less than dense",
        { row in
          let sent = row.totals.payloadBytes
          guard sent > 0 else { return nil }
          return fixed(Double(row.totals.densePayloadBytes) / Double(sent), 2) + "x"
        }
      ),
    ]
    let shown = columns.filter { column in rows.contains { column.cell($0) != nil } }
    let refused = totals.refusedUploads.map {
      "\($0) clients left out of their rounds, their updates were not finite\n"
    }
    let thinned =
      stride == 1
      ? "" : "every \(stride)th of \(evaluations) evaluations; evaluation.csv has all of them\n"
    return alignedText(
      [shown.map(\.name)] + rows.map { row in shown.map { $0.cell(row) ?? "-" } })
      + thinned + (refused ?? "")
  }

  /// Lines that say which vector the table's evaluations are of; empty where nothing was evaluated.
  ///
  /// - Parameters:
  ///   - isWhole: Whether clients receive the whole vector.
  ///   - trainedName: The directory that holds the trained vector.
  package func evaluatedText(isWhole: Bool, trainedName: String) -> String {
    let vectors = Set((rows + (last.map { [$0] } ?? [])).flatMap { $0.evaluation.map(\.vector) })
    let isMasked = vectors.contains(EvaluatedVector.masked.rawValue) && !isWhole
    let includesWhole = vectors.contains(EvaluatedVector.whole.rawValue)
    if vectors.isEmpty { return "" }
    guard isMasked else { return "evaluated: the whole vector, as \(trainedName)/ holds it\n" }
    return includesWhole
      ? "evaluated: masked is the vector as clients receive it, zero outside of the round's download\n"
        + "whole is the whole vector, as \(trainedName)/ holds it\n"
      : "evaluated: the vector as clients receive it, zero outside of the round's download\n"
        + "\(trainedName)/ holds the whole vector; evaluation.masked: false or both evaluates that one\n"
  }
}

extension Manifest.Evaluation {
  /// What the manifest says of an evaluation; nil for one without an item to predict.
  package init?(_ record: EvaluationRecord, numbers: RoundNumbers) {
    guard let accuracy = record.accuracy, let loss = record.loss else { return nil }
    self.init(
      round: numbers[after: record.round], split: record.split.rawValue,
      masked: record.vector == .masked, accuracy: accuracy, loss: loss)
  }
}

extension Experiment {
  /// Whether clients receive the whole vector, so that it is evaluated masked or not.
  package var sendsWholeVector: Bool { method.tiers.isEmpty && method.download.select == .all }
}
