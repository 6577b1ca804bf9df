// tensorboard/: the curves of a run for `tensorboard --logdir DIRECTORY`. Each start of the run writes a file of its own; one
// that goes on cuts the earlier files before the round that it plays again, and tells a TensorBoard that has read them.

internal import EventFiles
package import Federation
internal import Files
internal import Foundation
internal import Safetensors

/// The event file of one start of a run.
package final class TensorBoardFile {
  private let folder: String
  /// nil until a run that goes on has played a round.
  private var file: OutputFile?
  private let numbers: RoundNumbers
  /// The rounds that stay where a run goes on; nil for a new one.
  private let kept: RoundsKept?

  /// Makes the file of a new run; that of a run that goes on is made with its first points.
  package init(_ directory: RunDirectory, numbers: RoundNumbers, keeping kept: RoundsKept?) throws {
    folder = directory.file("tensorboard")
    self.numbers = numbers
    self.kept = kept
    if kept == nil { try begin() }
  }

  /// Cuts the files of earlier starts before the round that is played again, and makes one of its own.
  private func begin(now: Date = Date()) throws {
    try makeFolders(folder)
    let round = kept?.next ?? numbers.first
    let earlier = try Self.files(in: folder)
    for path in earlier { try Self.cut(path, before: round) }
    // TensorBoard reads the files of a folder in the order of their names.
    let seconds = Int(now.timeIntervalSince1970)
    let name = "events.out.tfevents.\(seconds).\(earlier.count).cellm-mpi"
    let file = try OutputFile(creating: folder + "/" + name)
    let start = try ScalarEvents.start(
      wallTime: now.timeIntervalSince1970, goingOnFrom: earlier.isEmpty ? nil : round)
    try file.append(bytes: start)
    self.file = file
  }

  private static func files(in folder: String) throws -> [String] {
    let names = try namesIfThere(in: folder) ?? []
    return names.filter { $0.contains("tfevents") }.map { folder + "/" + $0 }
  }

  private static func cut(_ path: String, before round: Int) throws {
    guard let bytes = try contentsIfThere(of: path) else { return }
    let length = try ScalarEvents.length(of: bytes, belowStep: round)
    _ = try OutputFile(appendingTo: path, keeping: length)
  }

  /// Adds the points of a round.
  package func append(_ record: RoundRecord, memory: MemoryUse, totals: Manifest.Totals) throws {
    let sent = totals.downloadPayloadBytes + totals.uploadPayloadBytes
    var scalars: [(tag: String, value: Double)] = [
      ("payload/download_bytes", Double(record.downloadPayload.total)),
      ("payload/upload_bytes", Double(record.uploadPayload.total)),
      ("payload/total_bytes", Double(sent)),
      ("density/download", record.downloadDensity),
      ("clients/used", Double(record.count(.used))),
      ("clients/refused", Double(record.count(.refused))),
      ("seconds/round", record.seconds.total), ("seconds/train", record.seconds.train),
      ("seconds/wait", record.seconds.wait), ("seconds/transfer", record.seconds.transfer),
      ("seconds/server", record.seconds.server), ("seconds/evaluate", record.seconds.evaluate),
      ("memory/largest_rank_mb", memory.megabytes),
    ]
    func add(_ tag: String, _ value: Double?) { if let value { scalars.append((tag, value)) } }
    add("train/loss", record.trainLoss)
    add("train/accuracy", record.trainAccuracy)
    if record.count(.used) > 0 { add("density/upload", record.uploadDensity) }
    add("time/modelled_s", totals.modelledSeconds)
    if let privacy = record.privacy {
      scalars += [("privacy/epsilon", privacy.epsilon), ("privacy/clip", privacy.clip)]
    }
    for entry in record.evaluation {
      var curve = entry.split.rawValue + (entry.vector == .masked ? "" : "_whole")
      if let tier = entry.tier { curve += "_tier\(tier)" }
      add("\(curve)/accuracy", entry.accuracy)
      add("\(curve)/loss", entry.loss)
      add("\(curve)/f1_macro", entry.f1?.macro)
      add("\(curve)/perplexity", entry.perplexity)
      add("\(curve)/exact_match", entry.exactMatch)
      add("\(curve)/pearson", entry.pearson)
      add("\(curve)/acc", entry.choiceAccuracy)
      add("\(curve)/acc_norm", entry.choiceAccuracyNormalized)
    }
    for entry in record.clientEvaluation where entry.vector == record.clientEvaluation[0].vector {
      scalars.append(("\(entry.group.rawValue)_clients/accuracy", entry.accuracy.mean))
    }
    if file == nil { try begin() }
    try file?.append(
      bytes: ScalarEvents.points(
        step: numbers[after: record.round], wallTime: Date().timeIntervalSince1970, scalars))
  }

  /// Has what was written on the disk.
  package func synchronize() throws { try file?.synchronize() }
}
