// `cellm-mpi export`: the adapter of a run as a PEFT directory, or the whole model with it merged.

internal import Adapters
internal import Corpora
import Foundation
internal import Transformers

/// Writes the adapter of a run, or with `merge` the whole model, to a new directory.
/// - Returns: A line for the user.
/// - Throws: 66 where the run or its adapter is missing, 64 where `target` is taken, 65, 74.
public func exportRun(
  _ run: String, to target: String, merge: Bool, assets: AssetDirectory = AssetDirectory()
) throws -> String {
  let configuration = run + "/config.yaml"
  guard FileManager.default.fileExists(atPath: configuration) else {
    throw CommandFailure(ExitCode.missingInput, "\(run) is no run directory: no config.yaml")
  }
  let adapter = run + "/adapter"
  guard FileManager.default.fileExists(atPath: adapter + "/adapter_model.safetensors") else {
    throw CommandFailure(
      ExitCode.missingInput, "\(run) has no adapter; one is written at each evaluation")
  }
  if FileManager.default.fileExists(atPath: target) {
    let content = try? FileManager.default.contentsOfDirectory(atPath: target)
    guard content?.isEmpty == true else {
      throw CommandFailure(ExitCode.usage, "--to \(target): is not a new or empty directory")
    }
  }
  let experiment = try ExperimentRequest(path: configuration).load().experiment
  try experiment.checkInputs(assets)
  let directory = try assets.existing(experiment.model.path, what: "model")
  let model = try PretrainedModel(directory: directory)
  let corpus = try TokenCorpus(directory: try assets.existing(experiment.data.path, what: "data"))
  let layout = try TrainableLayout(
    model: model, lora: experiment.adapter.lora,
    task: try experiment.trainingTask(model.configuration, corpus))
  let vector = try AdapterDirectory.read(adapter, layout: layout)
  do {
    if merge {
      try MergedModel.write(
        model: model, layout: layout, vector: vector, labelNames: corpus.train.labelNames,
        to: target)
    } else {
      try AdapterDirectory.write(
        vector, layout: layout, configuration: model.configuration, baseModel: directory,
        to: target)
    }
  } catch {
    throw CommandFailure(ExitCode.inputOutput, "\(error)")
  }
  return merge
    ? "\(target): \(directory) with the adapter of \(run) merged\n"
    : "\(target): PEFT adapter of \(run) for \(directory)\n"
}
