// The reader against files written by Python: valid ones with their values, and all kinds of broken
// ones.

import Foundation
import Safetensors
import TestSupport
import Testing

@Suite("safetensors files from Python")
struct CorpusTests {
  @Test("every broken file is refused with its reason, every valid one is read")
  func verdicts() throws {
    let rows = try Goldens.table("verdicts.tsv")
    #expect(rows.count >= 120)
    for row in rows {
      let (name, accepted, words) = (row[0], row[1] == "accepted", row[2])
      do {
        let source = try Goldens.open(Goldens.path(name))
        _ = source.readEverything()
        #expect(accepted, "\(name) was accepted; \(Goldens.howToMake)")
      } catch let error as SafetensorsError {
        #expect(!accepted, "\(name) was refused: \(error)")
        #expect(error.reason.contains(words), "\(name): \(error)")
        #expect(!error.description.contains("\n"), "\(name): not one line")
        #expect(error.description.count < 600, "\(name): too long a line")
        #expect(error.path.contains(name), "\(name): \(error)")
      }
    }
  }

  @Test("every tensor of the valid files has Python's type, shape and values")
  func values() throws {
    var rowsOfFile: [String: Int] = [:]
    for row in try Goldens.table("values.tsv") {
      let file = try SafetensorsFile(path: Goldens.path(row[0]))
      let parsed = try JSONSerialization.jsonObject(
        with: Data(row[1].utf8), options: .fragmentsAllowed)
      let name = try #require(parsed as? String)
      let tensor = try file.tensor(named: name)
      let label: Comment = "\(row[0]) \(name)"
      rowsOfFile[row[0], default: 0] += 1
      #expect(file.tensors.count >= rowsOfFile[row[0]]!)
      #expect(tensor.elementType.rawValue == row[2], label)
      #expect(tensor.shape == row[3].split(separator: ",").map { Int($0)! }, label)
      let expected = row[4].split(separator: " ").map(String.init)
      #expect(tensor.elementCount == expected.count, label)
      switch tensor.elementType {
      case .f32, .f16, .bf16:
        let values = try file.readFloats(named: name)
        #expect(values.map(\.bitPattern) == expected.map { Float($0)!.bitPattern }, label)
        try withExtendedLifetime(file) {
          let inPlace = try file.floats(named: name)
          let isInPlace = tensor.elementType == .f32 && tensor.byteRange.lowerBound % 4 == 0
          #expect((inPlace != nil) == (isInPlace || tensor.elementCount == 0), label)
          if let inPlace { #expect(inPlace.elementsEqual(values), label) }
        }
      case .bool, .f64:
        #expect(throws: SafetensorsError.self) { try file.readIntegers(named: name) }
        #expect(throws: SafetensorsError.self) { try file.floats(named: name) }
      default:
        #expect(try file.readIntegers(named: name) == expected.map { Int($0)! }, label)
        #expect(throws: SafetensorsError.self) { try file.floats(named: name) }
      }
    }
    #expect(rowsOfFile.count >= 10)
  }

  @Test("metadata and the order of tensors come from the file")
  func metadataAndOrder() throws {
    let file = try SafetensorsFile(path: Goldens.path("metadata_only.safetensors"))
    #expect(file.metadata == ["format": "pt", "ü": "line\nbreak"])
    #expect(file.tensors.isEmpty)
    let unsorted = try SafetensorsFile(path: Goldens.path("unsorted.safetensors"))
    #expect(unsorted.tensors.map(\.name) == ["a", "b"])
    #expect(unsorted["c"] == nil)
  }

  @Test("a sharded model reads like one file")
  func sharded() throws {
    let model = try SafetensorsCollection(directory: Goldens.path("model_sharded"))
    #expect(model.files.count == 2)
    #expect(Set(model.tensors.map(\.name)) == ["a", "b", "c"])
    for name in ["a", "b", "c"] {
      #expect(try model.readFloats(named: name) == [1.5, -2.25])
      let tensor = try #require(model[name])
      #expect(model.path(of: tensor).hasSuffix(name == "a" ? "s1.safetensors" : "s2.safetensors"))
    }
    #expect(throws: SafetensorsError.self) { try model.tensor(named: "d") }
  }

  @Test("what is no file is refused, with errno where the system refused it")
  func notFiles() throws {
    let folder = try TemporaryDirectory()
    #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: folder.path) }
    do {
      _ = try SafetensorsFile(path: folder.file("nothing"))
      Issue.record("opened a file that does not exist")
    } catch let error as SafetensorsError {
      #expect(error.errorNumber == ENOENT)
      #expect(error.description.contains("No such file or directory"))
    }
    mkfifo(folder.file("pipe"), 0o600)
    #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: folder.file("pipe")) }
    #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: "/dev/zero") }
  }

  @Test("reading into a buffer of another length is an error that names both")
  func wrongLength() throws {
    let file = try SafetensorsFile(path: Goldens.path("one.safetensors"))
    var three: [Float] = [0, 0, 0]
    let error = #expect(throws: SafetensorsError.self) {
      try three.withUnsafeMutableBufferPointer { try file.readFloats(named: "a", into: $0) }
    }
    #expect(error?.reason.contains("shape [2], but 3") == true)
  }
}
