// The golden models as this program writes them: PEFT directories and merged models of both kinds. With
// CELLM_EXPORTS they stay in that directory, where Tests/Goldens/transformers/check_exports.py loads them
// with transformers and PEFT (Tests/Long/exports.sh).

import Adapters
import FineTuning
import Foundation
import Safetensors
import TestSupport
import Testing
import Transformers

@Suite("Exports of all families")
struct ExportTests {
  @Test(
    "a PEFT directory that was read is written again without a bit of difference",
    arguments: Golden.names)
  func peftDirectories(_ name: String) throws {
    let golden = try Golden(name)
    let directory = try ExportDirectory(name)
    let path = directory.path + "/adapter"
    try AdapterDirectory.write(
      golden.vector, layout: golden.layout, configuration: golden.model.configuration,
      baseModel: "", to: path)
    let original = try SafetensorsFile(
      path: "\(Golden.root)/\(name)/adapter/adapter_model.safetensors")
    let written = try SafetensorsFile(path: path + "/adapter_model.safetensors")
    #expect(Set(written.tensors.map(\.name)) == Set(original.tensors.map(\.name)))
    for tensor in original.tensors {
      #expect(written[tensor.name]?.shape == tensor.shape)
      #expect(
        try written.readFloats(named: tensor.name) == original.readFloats(named: tensor.name))
    }
    let lora = try AdapterDirectory.configuration(at: path)
    #expect(lora.scale == golden.layout.lora.scale)
    #expect(lora.loraRank == golden.layout.lora.loraRank)
  }

  @Test(
    "merged models have the tensors of the model's own files, in their shapes",
    arguments: Golden.names)
  func mergedModels(_ name: String) throws {
    let golden = try Golden(name)
    let directory = try ExportDirectory(name)
    let path = directory.path + "/merged"
    try MergedModel.write(
      model: golden.model, layout: golden.layout, vector: golden.vector, labelNames: [], to: path)
    let own = try SafetensorsCollection(directory: golden.model.directory)
    let written = try SafetensorsCollection(directory: path)
    #expect(written.tensors.count == own.tensors.count)
    for tensor in own.tensors {
      let found = written.tensors.first { $0.name == tensor.name }
      #expect(found?.shape == tensor.shape, "\(tensor.name)")
    }
  }
}

/// The directory of a golden's exports.
private struct ExportDirectory {
  let path: String
  private let temporary: TemporaryDirectory?

  init(_ name: String) throws {
    if let kept = ProcessInfo.processInfo.environment["CELLM_EXPORTS"] {
      (path, temporary) = (kept + "/" + name, nil)
    } else {
      let temporary = try TemporaryDirectory()
      (path, self.temporary) = (temporary.path, temporary)
    }
  }
}
