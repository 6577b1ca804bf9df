// What is written is read back, and is what Python writes; a failure leaves the old file and no other.

import Foundation
import Safetensors
import TestSupport
import Testing

@Suite("writing safetensors files")
struct WriterTests {
  @Test("tensors and metadata of every kind are read back")
  func roundTrip() throws {
    let folder = try TemporaryDirectory()
    let path = folder.file("x.safetensors")
    let awkward = "a\"b\\c\n\u{1}ü😀/"
    let floats: [Float] = [0.5, -0.0, .infinity, .leastNonzeroMagnitude, 1, 2]
    let metadata = [awkward: awkward, "format": "pt", "": ""]
    try SafetensorsWriter.write(
      [
        TensorToWrite(name: "bytes", elementType: .u8, shape: [3], bytes: [1, 2, 255]),
        TensorToWrite(name: awkward, shape: [2, 3], floats: floats),
        TensorToWrite(name: "longs", shape: [2], int64s: [.min, .max]),
        TensorToWrite(name: "ints", shape: [1, 2, 1], int32s: [-7, 8]),
        TensorToWrite(name: "none", shape: [0, 5], floats: []),
        TensorToWrite(name: "scalar", shape: [], floats: [3]),
      ], metadata: metadata, to: path)

    let file = try SafetensorsFile(path: path)
    #expect(file.metadata == metadata)
    #expect(file.tensors.map(\.name) == ["longs", awkward, "ints", "none", "scalar", "bytes"])
    for tensor in file.tensors where tensor.elementCount > 0 {
      #expect(tensor.byteRange.lowerBound % tensor.elementType.byteCount == 0)
    }
    #expect(try file.readFloats(named: awkward).map(\.bitPattern) == floats.map(\.bitPattern))
    #expect(file[awkward]?.shape == [2, 3])
    #expect(try file.readIntegers(named: "bytes") == [1, 2, 255])
    #expect(try file.readIntegers(named: "longs") == [.min, .max])
    #expect(try file.readIntegers(named: "ints") == [-7, 8])
    #expect(try file.floats(named: "none")?.count == 0)
    #expect(try file.readFloats(named: "none").isEmpty)
    #expect(try file.readFloats(named: "scalar") == [3])
    #expect(try folder.contents == ["x.safetensors"])
  }

  @Test("equal arguments give equal bytes, also over an existing file that is mapped")
  func deterministic() throws {
    let folder = try TemporaryDirectory()
    let path = folder.file("x.safetensors")
    let metadata = Dictionary(uniqueKeysWithValues: (0..<50).map { ("key \($0)", "\($0)") })
    var versions: Set<Data> = []
    for _ in 0..<3 {
      try SafetensorsWriter.write(
        [TensorToWrite(name: "a", shape: [2], floats: [1, 2])], metadata: metadata, to: path)
      versions.insert(try Data(contentsOf: URL(filePath: path)))
    }
    #expect(versions.count == 1)
    let old = try SafetensorsFile(path: path)
    try SafetensorsWriter.write([TensorToWrite(name: "a", shape: [1], floats: [9])], to: path)
    #expect(try old.readFloats(named: "a") == [1, 2])
    #expect(try SafetensorsFile(path: path).readFloats(named: "a") == [9])
  }

  @Test("the bytes are those that the Python package writes")
  func asPython() throws {
    let folder = try TemporaryDirectory()
    let path = folder.file("x.safetensors")
    try SafetensorsWriter.write(
      [
        TensorToWrite(name: "a ä\"", shape: [1, 3], floats: [1, 2, 3]),
        TensorToWrite(name: "bytes", elementType: .u8, shape: [1], bytes: [7]),
        TensorToWrite(name: "b", shape: [], floats: [4]),
        TensorToWrite(name: "longs", shape: [2], int64s: [5, -6]),
      ], metadata: ["format": "np"], to: path)
    let theirs = Goldens.path("python_as_ours.safetensors")
    let same = FileManager.default.contentsEqual(atPath: path, andPath: theirs)
    #expect(same, "\(Goldens.howToMake)")
  }

  @Test("a file without tensors is a file")
  func empty() throws {
    let folder = try TemporaryDirectory()
    try SafetensorsWriter.write([], to: folder.file("x.safetensors"))
    #expect(try SafetensorsFile(path: folder.file("x.safetensors")).tensors.isEmpty)
  }

  @Test("a folder that is not there is an error with errno's text")
  func noFolder() throws {
    let folder = try TemporaryDirectory()
    let path = folder.file("nowhere/x.safetensors")
    let error = #expect(throws: SafetensorsError.self) {
      try SafetensorsWriter.write([], to: path)
    }
    #expect(error?.errorNumber == ENOENT)
    #expect(error?.path == path)
  }

  @Test("a target that cannot be replaced leaves no temporary file")
  func targetIsFolder() throws {
    let folder = try TemporaryDirectory()
    let path = folder.file("x.safetensors")
    try FileManager.default.createDirectory(
      atPath: path + "/inside", withIntermediateDirectories: true)
    #expect(throws: SafetensorsError.self) { try SafetensorsWriter.write([], to: path) }
    #expect(try folder.contents == ["x.safetensors"])
  }

  @Test("an error of the caller's while writing leaves the old file and no temporary one")
  func callerFails() throws {
    struct Stop: Error {}
    let folder = try TemporaryDirectory()
    let path = folder.file("x")
    try Data("old".utf8).write(to: URL(filePath: path))
    #expect(throws: Stop.self) {
      try writeAtomically(to: path) { file in
        try Array("new".utf8).withUnsafeBytes { try file.append($0) }
        throw Stop()
      }
    }
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
    #expect(try folder.contents == ["x"])
  }

  @Test("a file that is not wanted any more when it is written leaves the old file")
  func notWanted() throws {
    let folder = try TemporaryDirectory()
    let path = folder.file("x")
    try Data("old".utf8).write(to: URL(filePath: path))
    #expect(try !writeAtomically(to: path, onlyIf: { false }) { try $0.append("new") })
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
    #expect(try writeAtomically(to: path, onlyIf: { true }) { try $0.append("new") })
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "new")
    #expect(try folder.contents == ["x"])
  }

  @Test("a write beyond what the system allows is reported, and leaves the old file alone")
  func noRoom() async throws {
    // In a process of its own, whose files may not exceed 4096 bytes (as a full disk, but without
    // one).
    await #expect(processExitsWith: .success) {
      let folder = try TemporaryDirectory()
      let path = folder.file("x.safetensors")
      try SafetensorsWriter.write([TensorToWrite(name: "a", shape: [1], floats: [5])], to: path)
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 4096, rlim_max: 4096)
      setrlimit(__rlimit_resource_t(1), &limit)
      let large = TensorToWrite(name: "a", shape: [4096], floats: .init(repeating: 1, count: 4096))
      let error = #expect(throws: SafetensorsError.self) {
        try SafetensorsWriter.write([large], to: path)
      }
      #expect(error?.errorNumber == EFBIG)
      #expect(error?.path == path)
      #expect(error?.description.contains("File too large") == true)
      #expect(try folder.contents == ["x.safetensors"])
      #expect(try SafetensorsFile(path: path).readFloats(named: "a") == [5])
      try FileManager.default.removeItem(atPath: folder.path)
    }
  }

  @Test("names that repeat, and bytes that do not fit the shape, stop the program")
  func ownMistakes() async {
    await #expect(processExitsWith: .failure) {
      let tensor = TensorToWrite(name: "a", shape: [1], floats: [1])
      try? SafetensorsWriter.write([tensor, tensor], to: "/dev/null/x")
    }
    await #expect(processExitsWith: .failure) {
      _ = TensorToWrite(name: "a", shape: [2], floats: [1])
    }
  }
}
