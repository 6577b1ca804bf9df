// How long a message is, and what for. Payload bytes are what the simulated client and server
// exchange; they are always taken from the message that was really built.

/// The bytes of one or more encoded messages, split by what they carry.
public struct PayloadSize: Sendable, Hashable {
  /// Bytes of values.
  public var values: Int
  /// Bytes that say which coordinates the values belong to.
  public var indices: Int
  /// Bytes of message headers.
  public var header: Int

  /// Makes a size of its three parts, in bytes.
  public init(values: Int, indices: Int, header: Int) {
    self.values = values
    self.indices = indices
    self.header = header
  }

  /// No bytes at all.
  public static let zero = PayloadSize(values: 0, indices: 0, header: 0)

  /// All bytes.
  public var total: Int { values + indices + header }

  /// Adds part by part.
  public static func + (a: PayloadSize, b: PayloadSize) -> PayloadSize {
    PayloadSize(
      values: a.values + b.values, indices: a.indices + b.indices, header: a.header + b.header)
  }

  /// Adds part by part.
  public static func += (a: inout PayloadSize, b: PayloadSize) { a = a + b }
}
