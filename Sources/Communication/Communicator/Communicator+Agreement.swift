// What keeps ranks from drifting apart: checks that a value is the same on all of them, and steps in which the
// failure of one rank is the failure of all (instead of a hang of the others in the next collective).

extension Communicator {
  /// Throws on every rank unless all have the same text, naming the lowest rank that differs from rank 0.
  ///
  /// The texts are compared by length and a 64-bit hash (FNV-1a); they are exchanged only if they differ.
  ///
  /// - Parameters:
  ///   - text: This rank's value.
  ///   - what: Its name in the error, as "the experiment".
  /// - Communication: An all-gather of 16 bytes a rank.
  public func requireSame(_ text: String, as what: String) throws {
    let utf8 = Array(text.utf8)
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    let all = try allGather(values: [UInt64(utf8.count), hash])
    let differing = (1..<max(1, size)).first {
      all[2 * $0] != all[0] || all[2 * $0 + 1] != all[1]
    }
    guard let differing else { return }
    let expected = try broadcast(text, root: 0)
    let found = try broadcast(text, root: differing)
    let shown = Self.excerpts(found, expected)
    throw CommunicationError.disagreement(
      what: what, rank: differing, value: shown.0, expected: shown.1)
  }

  /// Throws on every rank unless all have the same number.
  public func requireSame(_ value: Int, as what: String) throws {
    try requireSame(String(value), as: what)
  }

  /// Runs `body` on every rank; if it throws on any, every rank throws.
  ///
  /// The lowest rank that failed throws its own error, every other rank a `RankFailure` that names it: so a
  /// program in which each rank prints its own errors, and no `RankFailure`, prints the cause once.
  /// `body` may call collectives only if it calls them on all ranks whatever happens.
  ///
  /// - Communication: A reduction of 8 bytes; in case of failure also two broadcasts.
  public func together<Result>(_ body: () throws -> Result) throws -> Result {
    let outcome = Swift.Result { try body() }
    var failed = size
    if case .failure = outcome { failed = rank }
    let lowest = try minimum(failed)
    if lowest == size { return try outcome.get() }
    var reason = ""
    var code: [Int32] = [70]
    if rank == lowest, case .failure(let error) = outcome {
      reason = "\(error)"
      code = [(error as? any ErrorWithExitCode)?.exitCode ?? 70]
    }
    reason = try broadcast(reason, root: lowest)
    try broadcast(&code, root: lowest)
    if rank == lowest, case .failure(let error) = outcome { throw error }
    throw RankFailure(rank: lowest, reason: reason, exitCode: code.first ?? 70)
  }

  /// Two differing texts cut to where they begin to differ, for one line of an error.
  private static func excerpts(_ a: String, _ b: String) -> (String, String) {
    let limit = 60
    let common = zip(a, b).prefix { $0 == $1 }.count
    let skipped = max(0, common - 20)
    func excerpt(_ text: String) -> String {
      let tail = text.dropFirst(skipped)
      return (skipped > 0 ? "..." : "") + "\(String(tail.prefix(limit)).debugDescription)"
        + (tail.count > limit ? "..." : "")
    }
    return (excerpt(a), excerpt(b))
  }
}
