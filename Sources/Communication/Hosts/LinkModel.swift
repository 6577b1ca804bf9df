// What a message between two hosts costs: LogGP (Alexandrov, Ionescu, Schauser and Scheiman 1995) with the
// latency L and the overheads o of both sides taken together, since a ping-pong cannot tell them
// apart, and the gap per byte G. A message of n bytes takes L + 2 o + G n.

/// The cost of a message between two ranks.
public struct LinkModel: Sendable, Equatable {
  /// L + 2 o: seconds of a message of no bytes.
  public var latencySeconds: Double
  /// G: seconds that each byte adds.
  public var secondsPerByte: Double

  /// A link of these costs.
  public init(latencySeconds: Double, secondsPerByte: Double) {
    self.latencySeconds = latencySeconds
    self.secondsPerByte = secondsPerByte
  }

  /// Seconds of a message.
  public func seconds(bytes: Int) -> Double {
    latencySeconds + secondsPerByte * Double(bytes)
  }

  /// Measures the link between two ranks by messages back and forth; the same on every rank.
  ///
  /// - Parameter largeBytes: What the gap is taken from.
  /// - Communication: 200 short messages and `2 * repeats` of `largeBytes` between the two; a broadcast of
  ///   16 bytes.
  public init(
    between a: Int, and b: Int, over communicator: any Communicator, largeBytes: Int = 2 << 20,
    repeats: Int = 2
  ) throws {
    let short = try Self.seconds(8, 100, a, b, communicator)
    let long = try Self.seconds(largeBytes, repeats, a, b, communicator)
    var found = [short, max(0, long - short) / Double(largeBytes)]
    try communicator.broadcast(&found, root: a)
    self.init(latencySeconds: found[0], secondsPerByte: found[1])
  }

  /// The shortest time of a message one way, at `a`.
  public static func seconds(
    _ bytes: Int, _ repeats: Int, _ a: Int, _ b: Int, _ communicator: any Communicator
  ) throws -> Double {
    guard [a, b].contains(communicator.rank) else { return 0 }
    let peer = communicator.rank == a ? b : a
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 64)
    defer { buffer.deallocate() }
    buffer.initializeMemory(as: UInt8.self, repeating: 1)
    func send() throws {
      _ = try communicator.startSend(
        UnsafeRawBufferPointer(buffer), to: peer, channel: Channel.link
      ).finish()
    }
    func receive() throws {
      _ = try communicator.startReceive(buffer, from: peer, channel: Channel.link).finish()
    }
    var shortest = Double.infinity
    for _ in 0...repeats {
      let start = ContinuousClock.now
      if communicator.rank == a { try send() }
      try receive()
      if communicator.rank == b { try send() }
      shortest = min(shortest, (ContinuousClock.now - start) / .seconds(2))
    }
    return shortest
  }
}
