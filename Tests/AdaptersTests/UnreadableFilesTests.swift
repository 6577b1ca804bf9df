// Files of adapters and models that cannot be read or written: the error has their path and the system's cause.

import Adapters
import Foundation
import Safetensors
import TestSupport
import Testing
import Transformers

@Suite("Adapters: files that cannot be read or written")
struct UnreadableFilesTests {
  private func loop(_ path: String) throws {
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: path)
  }

  @Test("an adapter_config.json that cannot be read is not one that is missing")
  func configuration() throws {
    let directory = try TemporaryDirectory()
    let missing = #expect(throws: ModelError.self) {
      try AdapterDescription(directory: directory.path)
    }
    #expect(missing?.isMissing == true)
    try loop(directory.path + "/adapter_config.json")
    let error = #expect(throws: SafetensorsError.self) {
      try AdapterDescription(directory: directory.path)
    }
    #expect(error?.errorNumber == ELOOP)
    #expect(error?.description.hasPrefix(directory.path + "/adapter_config.json: ") == true)
  }

  @Test("a directory that cannot be made is an error with its path and the system's words")
  func folder() throws {
    let golden = try Golden("llama_classification_gqa")
    let directory = try TemporaryDirectory()
    let path = directory.path + "/adapter"
    try Data().write(to: URL(fileURLWithPath: path))
    func refused(_ body: () throws -> Void) {
      let error = #expect(throws: SafetensorsError.self) { try body() }
      #expect(error?.description == "\(path): File exists")
    }
    refused {
      try AdapterDirectory.write(
        golden.vector, layout: golden.layout, configuration: golden.model.configuration,
        baseModel: "base", to: path)
    }
    refused {
      try MergedModel.write(
        model: golden.model, layout: golden.layout, vector: golden.vector, labelNames: [], to: path)
    }
  }

  @Test("a tokenizer file that cannot be read is not left out of a copy of the model")
  func companions() throws {
    let golden = try Golden("llama_classification_gqa")
    let directory = try TemporaryDirectory()
    let source = directory.path + "/source"
    try FileManager.default.copyItem(atPath: golden.model.directory, toPath: source)
    try loop(source + "/tokenizer.json")
    let model = try PretrainedModel(directory: source)
    let error = #expect(throws: SafetensorsError.self) {
      try MergedModel.write(
        model: model, layout: golden.layout, vector: golden.vector, labelNames: [],
        to: directory.path + "/target")
    }
    #expect(error?.path == source + "/tokenizer.json" && error?.errorNumber == ELOOP)
  }

  @Test("a merged base whose directory cannot be examined is not one without it")
  func mergedBase() throws {
    let directory = try TemporaryDirectory()
    #expect(try !MergedBase.exists(at: directory.path))
    try loop(directory.path + "/merged_base.safetensors")
    #expect(throws: SafetensorsError.self) { try MergedBase.exists(at: directory.path) }
  }
}
