// The supports that clients know, in a checkpoint. Two columns pair clients and supports; all supports stand
// one after the other as bytes, so that ten thousand of them are two tensors and not ten thousand names:
//
//   known_clients   I64 (clients, 2)   client, place of its support
//   known_ends      I64 (supports)     where each support's bytes end
//   known_supports  U8                 the bytes (EncodedSupport.swift)
//
// An earlier version had rows of client, round and tier, and a bitmap `known.ROUND.TIER` for each support;
// they are read too.

package import Federation
internal import Files
package import Safetensors
internal import Sparsity

extension ClientKnowledge {
  /// The tensors of a checkpoint; none while no client knows a support.
  package var tensors: [TensorToWrite] {
    guard !numbers.isEmpty else { return [] }
    var places: [Int: Int] = [:]
    var ends: [Int64] = []
    var bytes: [UInt8] = []
    var rows: [Int64] = []
    // By client, so that equal knowledge has equal tensors.
    for (client, number) in numbers.sorted(by: { $0.key < $1.key }) {
      if places[number] == nil {
        places[number] = ends.count
        bytes += supports[number]?.bytes ?? []
        ends.append(Int64(bytes.count))
      }
      rows += [Int64(client), Int64(places[number] ?? 0)]
    }
    return [
      TensorToWrite(name: "known_clients", shape: [rows.count / 2, 2], int64s: rows),
      TensorToWrite(name: "known_ends", shape: [ends.count], int64s: ends),
      TensorToWrite(
        name: "known_supports", elementType: .u8, shape: [bytes.count], bytes: bytes),
    ]
  }

  /// The knowledge in a checkpoint of a vector of `length` coordinates.
  ///
  /// - Throws: `CommandFailure` where it is not whole.
  package init(_ file: SafetensorsFile, length: Int) throws {
    if file["known_sources"] != nil {
      try self.init(bitmapsOf: file, length: length)
      return
    }
    guard file["known_clients"] != nil else {
      self.init()
      return
    }
    let rows = try file.readIntegers(named: "known_clients").map { Int($0) }
    let ends = try file.readIntegers(named: "known_ends").map { Int($0) }
    let bytes = file.bytes(of: try file.tensor(named: "known_supports"))
    guard rows.count % 2 == 0, ends.last == bytes.count, ends.first ?? -1 >= 0,
      zip(ends, ends.dropFirst()).allSatisfy(<=)
    else { throw Self.damaged(file) }
    var supports: [Int: EncodedSupport] = [:]
    for (place, end) in ends.enumerated() {
      let support = EncodedSupport(bytes: Array(bytes[(place == 0 ? 0 : ends[place - 1])..<end]))
      guard (try? support.support(length: length)) != nil else { throw Self.damaged(file) }
      supports[place] = support
    }
    var numbers: [Int: Int] = [:]
    for row in stride(from: 0, to: rows.count, by: 2) {
      guard supports[rows[row + 1]] != nil else { throw Self.damaged(file) }
      numbers[rows[row]] = rows[row + 1]
    }
    self.init(numbers: numbers, supports: supports)
  }

  /// The form of an earlier version.
  private init(bitmapsOf file: SafetensorsFile, length: Int) throws {
    struct Source: Hashable { var round, tier: Int }
    let rows = try file.readIntegers(named: "known_sources").map { Int($0) }
    var places: [Source: Int] = [:]
    var numbers: [Int: Int] = [:]
    var supports: [Int: EncodedSupport] = [:]
    for row in stride(from: 0, to: rows.count - 2, by: 3) {
      let source = Source(round: rows[row + 1], tier: rows[row + 2])
      if places[source] == nil {
        let tensor = try file.tensor(named: "known.\(source.round).\(source.tier)")
        let bits = file.bytes(of: tensor)
        guard bits.count == (length + 7) / 8 else { throw Self.damaged(file) }
        let indices = (0..<length).lazy.filter { bits[$0 / 8] >> UInt8($0 % 8) & 1 == 1 }
        let support = SupportMask(length: length, indices: indices.map { UInt32($0) })
        places[source] = supports.count
        supports[supports.count] = EncodedSupport(support)
      }
      numbers[rows[row]] = places[source]
    }
    self.init(numbers: numbers, supports: supports)
  }

  private static func damaged(_ file: SafetensorsFile) -> CommandFailure {
    CommandFailure(
      ExitCode.data, "\(file.path): not a whole checkpoint: what clients know of their downloads")
  }
}
