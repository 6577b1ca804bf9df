// Splits and partitions that cannot be read are not ones that are missing.

import Corpora
import Foundation
import Safetensors
import TestSupport
import Testing

@Suite("corpora that cannot be read")
struct UnreadableInputsTests {
  @Test("a validation split that cannot be examined is not left out")
  func validation() throws {
    let folder = try TemporaryDirectory()
    for split in ["train", "test"] { try DatasetParts().write(folder.file("\(split).safetensors")) }
    #expect(try TokenCorpus(directory: folder.path).validation == nil)
    let path = folder.file("validation.safetensors")
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: path)
    let error = #expect(throws: SafetensorsError.self) { try TokenCorpus(directory: folder.path) }
    #expect(error?.description == "\(path): Too many levels of symbolic links")
    #expect(error?.errorNumber == ELOOP)
  }

  @Test("a partition file that cannot be read is an error with the cause")
  func partition() throws {
    let folder = try TemporaryDirectory()
    let path = folder.file("p.json")
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: path)
    let error = #expect(throws: SafetensorsError.self) {
      try Partition.fromFile(path: path, exampleCount: 1)
    }
    #expect(error?.description == "\(path): Too many levels of symbolic links")
  }
}
