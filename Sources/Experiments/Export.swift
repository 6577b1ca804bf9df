// `cellm-mpi export`: the adapter of a run as a PEFT directory, the whole model with it merged, or the
// fully trained model.

internal import Adapters
internal import Corpora
public import Federation
import Foundation
internal import Safetensors
internal import Transformers

/// Writes the adapter of a run, or with `merge` the whole model, to a new directory; of full fine-tuning
/// always the whole model. With `logits` also what the model says of that split, or of its first
/// `examples`: `logits.safetensors`, (examples, labels).
/// - Returns: A line for the user.
/// - Throws: 66 where the run or its adapter is missing, 64 where `target` is taken or `merge` has no
///   effect, 65, 74.
public func exportRun(
  _ run: String, to target: String, merge: Bool, logits: Split? = nil,
  examples: Int? = nil, assets: AssetDirectory = AssetDirectory()
) throws -> String {
  let configuration = run + "/config.yaml"
  guard FileManager.default.fileExists(atPath: configuration) else {
    throw CommandFailure(ExitCode.missingInput, "\(run) is no run directory: no config.yaml")
  }
  let experiment = try ExperimentRequest(path: configuration).load().experiment
  let isFull = experiment.adapter.kind == .full
  let trained = run + "/" + (isFull ? RunDirectory.modelName : RunDirectory.adapterName)
  let isMerged = !isFull && MergedBase.exists(at: trained)
  if isMerged, !merge {
    throw CommandFailure(
      ExitCode.usage,
      "\(run) merged its factors into the base weights, so there is no adapter; give --merge for the"
        + " full model")
  }
  let weights = trained + (isFull ? "/model.safetensors" : "/adapter_model.safetensors")
  guard isMerged || FileManager.default.fileExists(atPath: weights) else {
    throw CommandFailure(
      ExitCode.missingInput,
      "\(run) has no \(isFull ? "model" : "adapter"); one is written at each evaluation")
  }
  if isFull, merge {
    throw CommandFailure(
      ExitCode.usage, "--merge: full fine-tuning has no adapter; leave it out for the whole model")
  }
  if FileManager.default.fileExists(atPath: target) {
    let content = try? FileManager.default.contentsOfDirectory(atPath: target)
    guard content?.isEmpty == true else {
      throw CommandFailure(ExitCode.usage, "--to \(target): is not a new or empty directory")
    }
  }
  try experiment.checkInputs(assets)
  let directory = try assets.existing(experiment.model.path, what: "model")
  // A fully trained model has the shapes of the one that it was, and its tokenizer.
  var model = try PretrainedModel(directory: isFull ? trained : directory)
  let corpus = try TokenCorpus(directory: try assets.existing(experiment.data.path, what: "data"))
  let layout = try TrainableLayout(
    model: model, adaptation: experiment.adapter.adaptation,
    task: try experiment.trainingTask(model.configuration, corpus))
  let base =
    isMerged
    ? try MergedBase(path: trained, layout: layout, configuration: model.configuration) : nil
  let vector =
    isFull
    ? try layout.weights(of: model)
    : try base?.vector ?? AdapterDirectory.read(trained, layout: layout)
  do {
    if isFull || merge {
      try MergedModel.write(
        model: model, base: base, layout: layout, vector: vector,
        labelNames: corpus.train.labelNames, to: target)
    } else {
      try AdapterDirectory.write(
        vector, layout: layout, configuration: model.configuration, baseModel: directory,
        to: target)
    }
    if let logits {
      if let base { model = base.replacing(in: model, layout) }
      try writeLogits(
        of: logits, examples: examples, corpus: corpus, limit: experiment.data.maximumLength,
        model: model,
        layout: layout, vector: vector, to: target + "/logits.safetensors")
    }
  } catch let failure as CommandFailure {
    throw failure
  } catch {
    throw CommandFailure(ExitCode.inputOutput, "\(error)")
  }
  if isFull { return "\(target): \(directory) as \(run) trained it\n" }
  return merge
    ? "\(target): \(directory) with the adapter of \(run) merged\n"
    : "\(target): PEFT adapter of \(run) for \(directory)\n"
}

/// Writes the logits of a split's examples, in its order.
private func writeLogits(
  of split: Split, examples: Int?, corpus: TokenCorpus, limit: Int, model: PretrainedModel,
  layout: TrainableLayout, vector: [Float], to path: String
) throws {
  guard case .classification(let labels, _) = layout.task else {
    throw CommandFailure(
      ExitCode.usage, "--logits: only classifiers; a language model's would be too large")
  }
  let found: TokenDataset? =
    switch split {
    case .train: corpus.train
    case .validation: corpus.validation
    case .test: corpus.test
    }
  guard let dataset = found else {
    throw CommandFailure(ExitCode.usage, "--logits: the corpus has no split \(split.rawValue)")
  }
  let longest = corpus.longest(limit: limit)
  let adapted = AdaptedModel(
    model: model, layout: layout, capacity: max(512, longest), longestSequence: longest)
  var logits: [Float] = []
  logits.reserveCapacity(dataset.count * labels)
  var batch = PackedSequences()
  func flush() {
    guard batch.count > 0 else { return }
    logits += adapted.logits(batch, parameters: vector)
    batch.removeAll()
  }
  let count = min(examples ?? dataset.count, dataset.count)
  for example in 0..<count {
    var tokens: [Int32] = []
    dataset.appendTokens(of: example, limit: limit, to: &tokens)
    if batch.tokenCount + tokens.count > adapted.capacity { flush() }
    batch.append(tokens)
  }
  flush()
  try SafetensorsWriter.write(
    [TensorToWrite(name: "logits", shape: [count, labels], floats: logits)], to: path)
}
