// The files of Tests/Goldens/safetensors.

import Foundation
import Safetensors
import TestSupport

/// What `make_broken.py` wrote.
enum Goldens {
  static let folder = URL(filePath: goldenPath("safetensors"))
  static let howToMake = "made by: python Tests/Goldens/safetensors/make_broken.py"

  static func path(_ name: String) -> String { folder.appending(path: "files/\(name)").path }

  /// The rows of a tab-separated table.
  static func table(_ name: String) throws -> [[String]] {
    try String(contentsOf: folder.appending(path: name), encoding: .utf8)
      .split(separator: "\n").map { $0.components(separatedBy: "\t") }
  }

  /// Opens a file, or a folder as a model directory.
  static func open(_ path: String) throws -> any TensorSource {
    path.hasSuffix(".safetensors")
      ? try SafetensorsFile(path: path) : try SafetensorsCollection(directory: path)
  }
}

extension TensorSource {
  /// Reads every byte of every tensor, by all means there are; a wrong range would crash here.
  func readEverything() -> UInt64 {
    var sum: UInt64 = 0
    for tensor in tensors {
      for byte in bytes(of: tensor) { sum = sum &* 31 &+ UInt64(byte) }
      if let floats = try? floats(named: tensor.name) {
        for value in floats { sum ^= UInt64(value.bitPattern) }
      }
      var copy = [Float](repeating: 0, count: tensor.elementCount)
      copy.withUnsafeMutableBufferPointer { try? readFloats(named: tensor.name, into: $0) }
      for value in copy { sum ^= UInt64(value.bitPattern) }
      for value in (try? readIntegers(named: tensor.name)) ?? [] {
        sum ^= UInt64(bitPattern: Int64(value))
      }
    }
    return sum
  }
}
