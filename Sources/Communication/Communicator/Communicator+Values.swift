// Arrays, text and small Codable values over the byte collectives: what has a length that only some ranks
// know is sent as the length, then the bytes.

import Foundation

extension Communicator {
  /// Gives every rank the root's array, whatever its length.
  ///
  /// - Communication: Two broadcasts, of 8 bytes and of the array.
  public func broadcast<Element: BitwiseCopyable>(
    _ array: inout [Element], root: Int = 0
  ) throws {
    var count = Int64(array.count)
    try withUnsafeMutableBytes(of: &count) { try broadcast($0, root: root) }
    if rank != root {
      guard count >= 0, count <= Int64(Int.max / max(1, MemoryLayout<Element>.stride)) else {
        throw CommunicationError.malformed("rank \(root) broadcast an array of \(count) elements")
      }
      array = Self.uninitialized(count: Int(count))
    }
    try array.withUnsafeMutableBytes { try broadcast($0, root: root) }
  }

  /// Gives every rank the root's text.
  public func broadcast(_ text: String, root: Int = 0) throws -> String {
    var bytes = rank == root ? Array(text.utf8) : []
    try broadcast(&bytes, root: root)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Gives every rank the root's value, as JSON; the others may pass nil.
  ///
  /// - Precondition: `value` is not nil at the root.
  public func broadcast<Value: Codable>(_ value: Value?, root: Int = 0) throws -> Value {
    var bytes: [UInt8] = []
    if rank == root {
      guard let value else { preconditionFailure("no value to broadcast at root \(root)") }
      bytes = try Self.encoded(value)
    }
    try broadcast(&bytes, root: root)
    return try Self.decoded(bytes, fromRank: root)
  }

  /// Every rank's values, end to end in the order of ranks; the same number on every rank.
  public func allGather<Element: BitwiseCopyable>(values: [Element]) throws -> [Element] {
    var all: [Element] = Self.uninitialized(count: size * values.count)
    try values.withUnsafeBytes { send in
      try all.withUnsafeMutableBytes { try allGather(send, into: $0) }
    }
    return all
  }

  /// Every rank's bytes, of any length, in the order of ranks.
  ///
  /// - Communication: An all-gather of 8 bytes a rank, then one of the bytes.
  public func allGather(bytes: [UInt8]) throws -> [[UInt8]] {
    let layout = BlockLayout(counts: try allGather(values: [bytes.count]))
    var all: [UInt8] = Self.uninitialized(count: layout.total)
    try bytes.withUnsafeBytes { send in
      try all.withUnsafeMutableBytes {
        try allGatherVariable(send, into: $0, byteCounts: layout.counts)
      }
    }
    return Self.split(all, layout)
  }

  /// Every rank's bytes, of any length, in the order of ranks, at the root; nil elsewhere.
  ///
  /// - Communication: An all-gather of 8 bytes a rank, then a gather of the bytes.
  public func gather(bytes: [UInt8], root: Int = 0) throws -> [[UInt8]]? {
    let layout = BlockLayout(counts: try allGather(values: [bytes.count]))
    var all: [UInt8] = Self.uninitialized(count: rank == root ? layout.total : 0)
    try bytes.withUnsafeBytes { send in
      try all.withUnsafeMutableBytes {
        try gatherVariable(
          send, into: rank == root ? $0 : nil, byteCounts: layout.counts, root: root)
      }
    }
    return rank == root ? Self.split(all, layout) : nil
  }

  /// Every rank's value in the order of ranks, as JSON; for small things.
  public func allGather<Value: Codable>(_ value: Value) throws -> [Value] {
    try allGather(bytes: Self.encoded(value)).enumerated().map {
      try Self.decoded($0.element, fromRank: $0.offset)
    }
  }

  /// Every rank's value in the order of ranks at the root, nil elsewhere; for small things.
  public func gather<Value: Codable>(_ value: Value, root: Int = 0) throws -> [Value]? {
    try gather(bytes: Self.encoded(value), root: root)?.enumerated().map {
      try Self.decoded($0.element, fromRank: $0.offset)
    }
  }

  /// An array whose elements are about to be overwritten.
  private static func uninitialized<Element: BitwiseCopyable>(count: Int) -> [Element] {
    [Element](unsafeUninitializedCapacity: count) { _, initialized in initialized = count }
  }

  private static func split(_ all: [UInt8], _ layout: BlockLayout) -> [[UInt8]] {
    zip(layout.offsets, layout.counts).map { offset, count in Array(all[offset..<offset + count]) }
  }

  private static func encoded<Value: Encodable>(_ value: Value) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return Array(try encoder.encode(value))
  }

  private static func decoded<Value: Decodable>(
    _ bytes: [UInt8], fromRank rank: Int
  ) throws -> Value {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do {
      return try decoder.decode(Value.self, from: Data(bytes))
    } catch {
      throw CommunicationError.malformed(
        "rank \(rank) sent \(bytes.count) bytes that are no \(Value.self): \(error)")
    }
  }
}
