// One suite for every communicator: what each collective must do, with expected values as functions of the rank
// and the size. Run over the single-process and thread communicators by CommunicationTests, and over MPI by
// communication-conformance under mpirun.

public import Communication

/// A check that all ranks run together.
public struct ConformanceCheck: Sendable, CustomStringConvertible {
  /// What holds, as a sentence.
  public let name: String
  private let body: @Sendable (any Communicator, Findings) throws -> Void

  init(_ name: String, _ body: @escaping @Sendable (any Communicator, Findings) throws -> Void) {
    (self.name, self.body) = (name, body)
  }

  /// The name.
  public var description: String { name }

  /// Runs the check on this rank and returns what all ranks found wrong, the same on every rank.
  ///
  /// - Throws: What the communicator threw where the check did not expect it.
  public func findings(over communicator: any Communicator) throws -> [String] {
    let findings = Findings(rank: communicator.rank)
    try body(communicator, findings)
    return try communicator.allGather(findings.texts).flatMap { $0 }
  }

  /// All checks.
  public static let all =
    collectiveChecks + valueChecks + messageChecks + agreementChecks + nodeChecks + treeChecks
}

/// What a rank found wrong.
final class Findings {
  private let rank: Int
  private(set) var texts: [String] = []

  init(rank: Int) { self.rank = rank }

  /// Notes a finding unless two values are equal.
  func expect<Value: Equatable>(_ found: Value, _ expected: Value, _ what: String) {
    guard found != expected else { return }
    note("\(what): found \(short(found)), expected \(short(expected))")
  }

  /// Notes a finding unless `body` throws an error, which is returned.
  func expectError(_ what: String, _ body: () throws -> Void) -> (any Error)? {
    do {
      try body()
      note("\(what): nothing was thrown")
      return nil
    } catch {
      return error
    }
  }

  private func note(_ text: String) { texts.append("rank \(rank): \(text)") }

  private func short(_ value: Any) -> String {
    let text = "\(value)"
    return text.count <= 120 ? text : text.prefix(120) + "..."
  }
}

/// The byte that a rank sends at a place in a test: different for neighbours, ranks and salts.
func pattern(_ rank: Int, _ index: Int, _ salt: Int = 0) -> UInt8 {
  UInt8(truncatingIfNeeded: rank &* 31 &+ index &* 7 &+ index / 251 &+ salt &* 101 &+ 1)
}

/// `count` bytes of a rank's pattern.
func pattern(of rank: Int, count: Int, salt: Int = 0) -> [UInt8] {
  (0..<count).map { pattern(rank, $0, salt) }
}

extension Communicator {
  /// The messages that a test's rank sends: `rank mod 4` of them and one empty one in the middle.
  func testMessages(of sender: Int, scale: Int = 1) -> [[UInt8]] {
    var messages = (0..<sender % 4).map { index in
      pattern(of: sender, count: (sender + 1) * (index * 13 + 5) * scale % 4099, salt: index)
    }
    if sender % 3 == 1 { messages.insert([], at: messages.count / 2) }
    return messages
  }
}
