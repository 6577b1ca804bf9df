// What a rank is doing, for whoever watches it: a hang is told by its client and step.
public import Corpora

/// A piece of a rank's work in a round; rounds are counted from 0 in the cases and from 1 in the description.
public enum Activity: Sendable, Equatable, CustomStringConvertible {
  /// Selecting and encoding the download.
  case download(round: Int)
  /// A local step of a client, from 0.
  case training(round: Int, client: Int, step: Int, steps: Int)
  /// Selecting and encoding a client's upload.
  case encoding(round: Int, client: Int)
  /// Adding up uploads, and the server's step.
  case server(round: Int)
  /// Evaluating a block of examples.
  case evaluation(round: Int, Split)

  /// For example `training client 17 of round 3 (local step 2 of 12)`.
  public var description: String {
    switch self {
    case .download(let round): "making the download of round \(round + 1)"
    case .training(let round, let client, let step, let steps):
      "training client \(client) of round \(round + 1) (local step \(min(step + 1, steps)) of \(steps))"
    case .encoding(let round, let client):
      "encoding the upload of client \(client) of round \(round + 1)"
    case .server(let round): "aggregating the uploads of round \(round + 1)"
    case .evaluation(let round, let split): "evaluating \(split.rawValue) after round \(round + 1)"
    }
  }
}
