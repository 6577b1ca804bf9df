// Messages to rank 0 that travel while their senders work on: a rank sends what it has finished and goes
// on, and looks at the network only when it has time between two pieces of work (`progress`). Nobody
// polls, and rank 0 sends nothing.
//
// A message goes in pieces below the size up to which MPI libraries send at once and without asking
// (Open MPI over TCP: 64 KiB), so that it flows into the sockets' buffers also while the receiver is
// busy. A piece that is not full ends a message, so its length need not be known before.

/// This rank's messages to rank 0, and at rank 0 those of all others.
///
/// The object lives until ``finish()`` has returned on every rank.
public final class MessagesUnderWay {
  /// The most bytes of a piece.
  public static let defaultPieceBytes = 48 << 10
  private let communicator: any Communicator
  private let pieceBytes: Int
  private var sends: [(bytes: UnsafeMutableRawBufferPointer, transfer: any Transfer)] = []
  private var sent = 0
  private var own: [[UInt8]] = []
  private var streams: [Stream] = []

  /// Starts to receive at rank 0.
  ///
  /// - Parameters:
  ///   - counts: How many messages each rank is going to send, the same on every rank.
  ///   - pieceBytes: The same on every rank.
  public init(
    over communicator: any Communicator, counts: [Int], pieceBytes: Int = defaultPieceBytes
  ) throws {
    precondition(counts.count == communicator.size, "\(counts.count) counts")
    precondition(pieceBytes > 0, "pieces of \(pieceBytes) bytes")
    self.communicator = communicator
    self.pieceBytes = pieceBytes
    guard communicator.rank == 0 else { return }
    streams = try (1..<max(1, communicator.size)).map {
      try Stream(from: $0, count: counts[$0], pieceBytes, communicator)
    }
  }

  deinit { for send in sends { send.bytes.deallocate() } }

  /// Starts to send a message; on rank 0, keeps it.
  public func send(_ message: [UInt8]) throws {
    guard communicator.rank != 0 else {
      own.append(message)
      return
    }
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: message.count, alignment: 16)
    bytes.copyBytes(from: message)
    sent += 1
    var start = 0
    repeat {
      let piece = UnsafeRawBufferPointer(
        rebasing: bytes[start..<min(start + pieceBytes, bytes.count)])
      let transfer = try communicator.startSend(piece, to: 0, channel: Channel.uploads)
      let isLast = start + pieceBytes > bytes.count
      sends.append((isLast ? bytes : .init(start: nil, count: 0), transfer))
      start += pieceBytes
    } while start <= bytes.count
  }

  /// Moves along what is under way and waits for nothing.
  public func progress() throws {
    for stream in streams { try stream.advance(waiting: false) }
    _ = try sends.last?.transfer.isFinished()
  }

  /// Waits until all messages that were announced are at rank 0.
  ///
  /// - Returns: At rank 0 the messages as `[rank][message]`; elsewhere nothing.
  public func finish() throws -> [[[UInt8]]] {
    for send in sends { _ = try send.transfer.finish() }
    for stream in streams { try stream.advance(waiting: true) }
    return communicator.rank == 0 ? [own] + streams.map(\.messages) : []
  }

  /// Ends it where a rank has not sent all that was announced: what is missing is sent as empty
  /// messages, and everything is thrown away.
  ///
  /// - Parameter announced: This rank's count.
  public func abandon(announced: Int) throws {
    while communicator.rank != 0, sent < announced { try send([]) }
    _ = try finish()
  }

  /// What comes from one rank.
  private final class Stream {
    private(set) var messages: [[UInt8]] = []
    private let sender: Int
    private let count: Int
    private let communicator: any Communicator
    private let buffer: UnsafeMutableRawBufferPointer
    private var pending: [UInt8] = []
    private var transfer: (any Transfer)?

    init(from sender: Int, count: Int, _ pieceBytes: Int, _ communicator: any Communicator) throws {
      (self.sender, self.count, self.communicator) = (sender, count, communicator)
      buffer = .allocate(byteCount: pieceBytes, alignment: 64)
      try receive()
    }

    deinit { buffer.deallocate() }

    private func receive() throws {
      guard messages.count < count else { return }
      transfer = try communicator.startReceive(buffer, from: sender, channel: Channel.uploads)
    }

    /// Takes the pieces that are there or, waiting, all that are to come.
    func advance(waiting: Bool) throws {
      while let current = transfer, try waiting || current.isFinished() {
        let length = try current.finish()
        transfer = nil
        pending += UnsafeRawBufferPointer(rebasing: buffer[..<length])
        if length < buffer.count {
          messages.append(pending)
          pending = []
        }
        try receive()
      }
    }
  }
}

extension Communicator {
  /// Hands every rank's messages to `each` at rank 0, in the order of ranks and, within a rank, of its
  /// messages; all of them are under way at once, and rank 0 holds them all.
  ///
  /// - Parameter counts: How many messages each rank has, the same on every rank.
  /// - Communication: The messages, in pieces.
  public func streamGather(
    _ messages: [[UInt8]], counts: [Int],
    each: (_ rank: Int, _ index: Int, _ message: [UInt8]) throws -> Void
  ) throws {
    let underWay = try MessagesUnderWay(over: self, counts: counts)
    for message in messages { try underWay.send(message) }
    for (rank, messages) in try underWay.finish().enumerated() {
      for (index, message) in messages.enumerated() { try each(rank, index, message) }
    }
  }
}
