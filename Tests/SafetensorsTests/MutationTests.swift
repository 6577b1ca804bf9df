// Valid files, damaged at random with a fixed seed: the reader refuses or reads, it never crashes.

import Foundation
import Safetensors
import TestSupport
import Testing

/// SplitMix64 (Steele, Lea, Flood 2014); only for damage.
private struct Damage {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(bound, 1))) }

  /// One to four changes; most of them in the header, where the structure is.
  mutating func apply(to original: [UInt8]) -> [UInt8] {
    var bytes = original
    let telling =
      Array("{}[]\",:0123456789-.eE\\u_\u{0}\u{1F}\u{7F}".utf8) + [0x80, 0xC0, 0xED, 0xFF]
    for _ in 0...below(4) where !bytes.isEmpty {
      let header = Int(original[0]) + Int(original[1]) << 8 + 8
      let place = below(below(8) == 0 ? bytes.count : min(header, bytes.count))
      switch below(9) {
      case 0: bytes[place] ^= 1 << UInt8(below(8))
      case 1, 2: bytes[place] = telling[below(telling.count)]
      case 3: bytes[place] = UInt8(below(256))
      case 4: bytes.removeSubrange(place..<min(bytes.count, place + 1 + below(6)))
      case 5: bytes.insert(telling[below(telling.count)], at: place)
      case 6: bytes.removeSubrange(place...)
      case 7: bytes.swapAt(place, below(bytes.count))
      default:
        let from = below(bytes.count)
        bytes.insert(contentsOf: Array(bytes[from..<min(bytes.count, from + below(40))]), at: place)
      }
      // Half of the time the length is set right again, so that the damage reaches the JSON.
      if bytes.count > 8 && below(2) == 0 {
        let length = max(0, header - 8 + bytes.count - original.count)
        for byte in 0..<8 { bytes[byte] = UInt8(truncatingIfNeeded: length >> (8 * byte)) }
      }
    }
    return bytes
  }
}

/// Unlinked first: many file systems force a file to disk when it is cut to 0 and written again.
private func writeNew(_ bytes: some Collection<UInt8>, _ path: String) throws {
  unlink(path)
  try Data(bytes).write(to: URL(filePath: path))
}

@Suite("damaged safetensors files")
struct MutationTests {
  @Test("8 000 damaged files are refused or read, and what is read is in bounds")
  func mutations() throws {
    let folder = try TemporaryDirectory()
    let path = folder.file("damaged.safetensors")
    let names = try Goldens.table("verdicts.tsv")
      .filter { $0[1] == "accepted" && $0[0].hasSuffix(".safetensors") }.map { $0[0] }
    let originals = try names.map { [UInt8](try Data(contentsOf: URL(filePath: Goldens.path($0)))) }
    var damage = Damage(state: 2024)
    var refused = 0
    var accepted = 0
    for round in 0..<8000 {
      let damaged = damage.apply(to: originals[round % originals.count])
      try writeNew(damaged, path)
      do {
        let file = try SafetensorsFile(path: path)
        accepted += 1
        for tensor in file.tensors {
          let product = tensor.shape.reduce(1) {
            $0.multipliedReportingOverflow(by: $1).partialValue
          }
          if tensor.byteRange.upperBound > file.byteCount || product != tensor.elementCount {
            Issue.record("round \(round): \(tensor) in \(file.byteCount) bytes")
          }
        }
        _ = file.readEverything()
      } catch let error as SafetensorsError {
        refused += 1
        if error.description.contains("\n") { Issue.record("round \(round): \(error)") }
      }
    }
    #expect(refused > 4000, "\(refused) refused, \(accepted) accepted")
    #expect(accepted > 200, "\(refused) refused, \(accepted) accepted")
  }

  @Test("2 000 damaged indices of a sharded model are refused or read")
  func indices() throws {
    let folder = try TemporaryDirectory()
    for shard in ["s1.safetensors", "s2.safetensors"] {
      try FileManager.default.copyItem(
        atPath: Goldens.path("model_sharded/\(shard)"), toPath: folder.file(shard))
    }
    let index = "model.safetensors.index.json"
    let original = Array(
      try Data(contentsOf: URL(filePath: Goldens.path("model_sharded/\(index)"))))
    var damage = Damage(state: 77)
    for _ in 0..<2000 {
      try writeNew(damage.apply(to: original), folder.file(index))
      do {
        _ = try SafetensorsCollection(directory: folder.path).readEverything()
      } catch let error as SafetensorsError {
        if error.description.contains("\n") { Issue.record("\(error)") }
      }
    }
  }

  @Test("a file cut short anywhere is refused")
  func cuts() throws {
    let folder = try TemporaryDirectory()
    let path = folder.file("cut.safetensors")
    let original = try Data(
      contentsOf: URL(filePath: Goldens.path("python_all_types.safetensors")))
    for count in stride(from: 0, to: original.count, by: 3) {
      try writeNew(original.prefix(count), path)
      #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: path) }
    }
  }
}
