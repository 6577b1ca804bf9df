// Communicators that wrap another one hand on every call, with its arguments, and its errors.

import Communication
import Foundation
import Synchronization
import Testing

private struct Broken: Error {}

private final class NotingTransfer: Transfer {
  let communicator: NotingCommunicator
  init(_ communicator: NotingCommunicator) { self.communicator = communicator }
  func finish() throws -> Int {
    communicator.calls.append("finish")
    return 6
  }
  func isFinished() throws -> Bool {
    communicator.calls.append("isFinished")
    return true
  }
}

/// Notes each call; throws instead where it is told so.
private final class NotingCommunicator: Communicator {
  var calls: [String] = []
  var isBroken = false
  let aborted = DispatchSemaphore(value: 0)

  let rank = 1
  let size = 3
  let hostName = "here"
  let node = NodePlace(index: 1, count: 2, leader: 1, rank: 0, size: 2)

  private func note(_ call: String) throws {
    if isBroken { throw Broken() }
    calls.append(call)
  }

  func barrier() throws { try note("barrier") }
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, root: Int) throws {
    try note("broadcast \(bytes.count) \(root)")
  }
  func allGather(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer
  ) throws { try note("allGather \(send.count) \(receive.count)") }
  func allGatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, byteCounts: [Int]
  ) throws { try note("allGatherVariable \(send.count) \(receive.count) \(byteCounts)") }
  func gatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer?,
    byteCounts: [Int], root: Int
  ) throws {
    try note("gatherVariable \(send.count) \(receive?.count ?? -1) \(byteCounts) \(root)")
  }
  func allReduce(_ values: UnsafeMutableBufferPointer<Int64>, _ operation: Reduction) throws {
    try note("allReduce \(values.count) \(operation.rawValue)")
  }
  func startSend(_ bytes: UnsafeRawBufferPointer, to: Int, channel: Int) throws -> any Transfer {
    try note("startSend \(bytes.count) \(to) \(channel)")
    return NotingTransfer(self)
  }
  func startReceive(_ bytes: UnsafeMutableRawBufferPointer, from: Int, channel: Int) throws
    -> any Transfer
  {
    try note("startReceive \(bytes.count) \(from) \(channel)")
    return NotingTransfer(self)
  }
  func abort(exitCode: Int32) -> Never {
    calls.append("abort \(exitCode)")
    aborted.signal()
    while true { sleep(3600) }
  }
}

@Suite struct DecoratorTests {
  /// Every call of the protocol but `abort`.
  private static func calls() -> [(any Communicator) throws -> Void] {
    [
      { try $0.barrier() },
      { communicator in
        var bytes: [UInt8] = [1, 2, 3]
        try bytes.withUnsafeMutableBytes { try communicator.broadcast($0, root: 2) }
      },
      { communicator in
        var all = [UInt8](repeating: 0, count: 6)
        try all.withUnsafeMutableBytes { all in
          try [UInt8](repeating: 1, count: 2).withUnsafeBytes {
            try communicator.allGather($0, into: all)
          }
        }
      },
      { communicator in
        var all = [UInt8](repeating: 0, count: 6)
        try all.withUnsafeMutableBytes { all in
          try [UInt8](repeating: 1, count: 2).withUnsafeBytes {
            try communicator.allGatherVariable($0, into: all, byteCounts: [1, 2, 3])
          }
        }
      },
      { communicator in
        var all = [UInt8](repeating: 0, count: 6)
        try all.withUnsafeMutableBytes { all in
          try [UInt8](repeating: 1, count: 2).withUnsafeBytes {
            try communicator.gatherVariable($0, into: all, byteCounts: [1, 2, 3], root: 1)
          }
        }
      },
      { communicator in
        var values: [Int64] = [4, 5]
        try values.withUnsafeMutableBufferPointer { try communicator.allReduce($0, .minimum) }
      },
      { communicator in
        try [UInt8](repeating: 1, count: 5).withUnsafeBytes { bytes in
          let transfer = try communicator.startSend(bytes, to: 2, channel: 7)
          #expect(try transfer.isFinished() && transfer.finish() == 6)
        }
      },
      { communicator in
        var bytes = [UInt8](repeating: 0, count: 8)
        try bytes.withUnsafeMutableBytes { bytes in
          let transfer = try communicator.startReceive(bytes, from: 0, channel: 8)
          #expect(try transfer.isFinished() && transfer.finish() == 6)
        }
      },
    ]
  }

  private static let expected = [
    "barrier", "broadcast 3 2", "allGather 2 6", "allGatherVariable 2 6 [1, 2, 3]",
    "gatherVariable 2 6 [1, 2, 3] 1", "allReduce 2 minimum", "startSend 5 2 7", "isFinished",
    "finish", "startReceive 8 0 8", "isFinished", "finish",
  ]

  @Test("a watched and a counting communicator hand on every call and every error")
  func forwarding() throws {
    let wrappers: [(any Communicator) -> any Communicator] = [
      { WatchedCommunicator($0, Heartbeat()) }, { CountingCommunicator($0) },
    ]
    for wrap in wrappers {
      let base = NotingCommunicator()
      let communicator = wrap(base)
      #expect(communicator.rank == 1 && communicator.size == 3)
      #expect(communicator.hostName == "here" && communicator.node == base.node)
      for call in Self.calls() { try call(communicator) }
      #expect(base.calls == Self.expected)
      base.isBroken = true
      for call in Self.calls() { #expect(throws: Broken.self) { try call(communicator) } }
      nonisolated(unsafe) let parked = communicator
      // It never returns, so that it has a thread of its own.
      Thread { parked.abort(exitCode: 71) }.start()
      #expect(base.aborted.wait(timeout: .now() + 10) == .success)
      #expect(base.calls.last == "abort 71")
    }
  }
}
