// `cellm-mpi export`: the adapter of a run as a PEFT directory, the whole model with it merged, or the
// fully trained model.

internal import Adapters
package import Configuration
package import Corpora
internal import Files
internal import FineTuning
internal import Foundation
internal import RunFiles
internal import Safetensors
internal import Transformers

/// Writes the adapter of a run, or with `merge` the whole model, to a new directory; of full
/// fine-tuning always the whole model. With `logits` also what the model says of that split, or of
/// its first `examples`: `logits.safetensors`, (examples, labels).
///
/// - Parameter masked: Writes the vector that the run's last evaluation saw in place of the whole
///   one.
/// - Returns: A line for the user.
/// - Throws: 66 where the run or its adapter is missing, 64 where `target` is taken or an option
///   has no effect, 65 where the model or the corpus is not the one of the run any more, 74.
package func exportRun(
  _ run: String, to target: String, merge: Bool, masked: Bool = false, logits: Split? = nil,
  examples: Int? = nil, assets: AssetDirectory = AssetDirectory()
) throws -> String {
  let trained = try TrainedRun(run, merge: merge, masked: masked)
  try ExportTarget.check(target)
  let export = try Export(trained, masked: masked, needsCorpus: logits != nil, assets: assets)
  try writing {
    try ExportTarget.take(target) {
      try export.write(to: target, merge: merge)
      if let logits { try export.writeLogits(of: logits, examples: examples, to: target) }
    }
  }
  return "\(target): \(export.text(merge: merge, masked: masked))\n"
}

/// Runs `body`, which writes an export.
/// - Throws: `CommandFailure`: 74 for a system call that failed, 65 for an input that cannot be
///   used.
func writing(_ body: () throws -> Void) throws {
  do { try body() } catch let failure as CommandFailure { throw failure } catch {
    let code = ExitCode.code(of: error)
    throw CommandFailure(code == ExitCode.data ? code : ExitCode.inputOutput, "\(error)")
  }
}

/// The trained vector in a run directory.
struct TrainedRun {
  let run: String
  let experiment: Experiment
  /// The directory `adapter` or `model`.
  let path: String
  let isFull: Bool
  /// True if factors were merged into the base weights.
  let isMerged: Bool

  init(_ run: String, merge: Bool, masked: Bool) throws {
    self.run = run
    let configuration = run + "/config.yaml"
    guard try isThere(configuration) else {
      throw CommandFailure(ExitCode.missingInput, "\(run) is no run directory: no config.yaml")
    }
    experiment = try ExperimentRequest(path: configuration).load().experiment
    isFull = experiment.adapter.kind == .full
    path = run + "/" + (isFull ? RunDirectory.modelName : RunDirectory.adapterName)
    isMerged = try !isFull && MergedBase.exists(at: path)
    if isMerged, !merge {
      throw CommandFailure(
        ExitCode.usage,
        "\(run) merged its factors into the base weights, so there is no adapter; give --merge for the"
          + " full model")
    }
    let weights = path + (isFull ? "/model.safetensors" : "/adapter_model.safetensors")
    guard try isMerged || isThere(weights) else {
      throw CommandFailure(
        ExitCode.missingInput,
        "\(run) has no \(isFull ? "model" : "adapter"); one is written at each evaluation")
    }
    if isFull, merge {
      throw CommandFailure(
        ExitCode.usage,
        "--merge: full fine-tuning has no adapter; leave it out for the whole model")
    }
  }

  /// Throws (65) where the files of these roles are not those that the run read; a manifest without
  /// digests is taken as it is.
  func checkInputs(_ assets: AssetDirectory, roles: [InputRole]) throws {
    let manifest = try Manifest.ofRun(RunDirectory(path: run))
    let lines = try manifest?.changedInputs(of: experiment, assets, roles: Set(roles)) ?? []
    guard lines.isEmpty else {
      throw CommandFailure(
        ExitCode.data,
        lines.prefix(5).joined(separator: "\n") + "\n\(run): export it with the files of the run")
    }
  }
}

/// A trained vector with the model that it belongs to.
struct Export {
  let trained: TrainedRun
  /// The directory of the pretrained model.
  let directory: String
  /// The model whose files are written: the pretrained one, or the fully trained one.
  let model: PretrainedModel
  /// nil for a language model, whose vector has no head for labels.
  let corpus: TokenCorpus?
  let task: any Task
  let layout: TrainableLayout
  let base: MergedBase?
  let vector: [Float]
  /// The evaluated coordinates; nil for runs without evaluation or of earlier versions.
  let evaluated: EvaluatedVectorFile?

  init(_ trained: TrainedRun, masked: Bool, needsCorpus: Bool, assets: AssetDirectory) throws {
    self.trained = trained
    let experiment = trained.experiment
    // A fully trained model has the shapes of the one that it was, and its tokenizer.
    let needsModel = !trained.isFull || masked
    directory =
      needsModel
      ? try assets.existing(experiment.model.path, what: "model")
      : assets.resolve(experiment.model.path)
    corpus =
      needsCorpus || [.label, .labelSet].contains(experiment.task.kind.targets)
      ? try TokenCorpus(
        directory: try assets.existing(experiment.data.path, what: "data"),
        imageTokens: try ModelConfiguration(directory: trained.isFull ? trained.path : directory)
          .image?.tokenCount ?? 1) : nil
    try trained.checkInputs(
      assets, roles: (needsModel ? [.model] : []) + (corpus == nil ? [] : [.data]))
    model = try PretrainedModel(directory: trained.isFull ? trained.path : directory)
    task = try experiment.makeTask(model.configuration, corpus)
    try corpus?.requireTokens(of: model.configuration)
    layout = try TrainableLayout(
      model: model, adaptation: experiment.adapter.adaptation, task: task)
    base =
      trained.isMerged
      ? try MergedBase(path: trained.path, layout: layout, configuration: model.configuration) : nil
    var vector =
      trained.isFull
      ? try layout.weights(of: model)
      : try base?.vector ?? AdapterDirectory.read(trained.path, layout: layout)
    let part = trained.isFull ? nil : try layout.part(without: experiment.adapter.frozen)
    evaluated = try EvaluatedVectorFile(
      beside: trained.path, length: masked ? part?.count ?? layout.parameterCount : nil)
    if masked {
      guard let evaluated else {
        throw CommandFailure(
          ExitCode.missingInput,
          "\(trained.run) has no \(EvaluatedVectorFile.name), so --masked has nothing to go by: it was"
            + " not evaluated, or made by an earlier version")
      }
      if let isSeen = evaluated.isSeen {
        let unseen =
          try trained.isFull
          ? layout.untrainedWeights(of: PretrainedModel(directory: directory)) : nil
        for (index, isSeen) in isSeen.enumerated() where !isSeen {
          let coordinate = part.map { Int($0.indices[index]) } ?? index
          vector[coordinate] = unseen?[coordinate] ?? 0
        }
      }
    }
    self.vector = vector
  }

  func write(to target: String, merge: Bool) throws {
    guard trained.isFull || merge else {
      return try AdapterDirectory.write(
        vector, layout: layout, configuration: model.configuration, baseModel: directory,
        to: target)
    }
    try MergedModel.write(
      model: model, base: base, layout: layout, vector: vector,
      labelNames: corpus?.train.labelNames ?? [], to: target)
  }

  func writeLogits(of split: Split, examples: Int?, to target: String) throws {
    guard let corpus else { preconditionFailure("logits without a corpus") }
    try Experiments.writeLogits(
      of: split, examples: examples, corpus: corpus,
      limit: trained.experiment.data.maximumLength,
      model: base?.replacing(in: model, layout) ?? model,
      layout: layout, task: task, vector: vector, to: target + "/logits.safetensors")
  }

  /// The user's line: the export, its round, and its relation to the evaluated vector.
  /// - Parameter format: the format of an adapter.
  func text(merge: Bool, masked: Bool, format: String = "PEFT") -> String {
    let run = trained.run
    let what =
      trained.isFull
      ? "\(directory) as \(run) trained it"
      : merge
        ? "\(directory) with the adapter of \(run) merged"
        : "\(format) adapter of \(run) for \(directory)"
    guard let evaluated else { return what }
    let rounds = trained.experiment.federation.rounds
    let vector =
      switch (evaluated.isMasked, masked) {
      case (true, true): "the masked vector, which was evaluated"
      case (true, false): "the whole vector; evaluated was the masked one, which --masked writes"
      case (false, _): "the whole vector, which was evaluated"
      }
    return "\(what), after \(evaluated.rounds) of \(rounds) rounds; \(vector)"
  }
}

/// Writes the logits of a split's examples, in its order.
private func writeLogits(
  of split: Split, examples: Int?, corpus: TokenCorpus, limit: Int, model: PretrainedModel,
  layout: TrainableLayout, task: any Task, vector: [Float], to path: String
) throws {
  guard let labels = task.head.labels else {
    throw CommandFailure(
      ExitCode.usage, "--logits: only classifiers; a language model's would be too large")
  }
  guard let dataset = corpus.dataset(split) else {
    throw CommandFailure(ExitCode.usage, "--logits: the corpus has no split \(split.rawValue)")
  }
  let longest = corpus.longest(limit: limit)
  let adapted = AdaptedModel(
    model: model, layout: layout, task: task, capacity: max(512, longest),
    longestSequence: longest)
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
    if let image = model.configuration.image {
      batch.appendPatches {
        dataset.appendPatches(of: example, size: image.patchSize, to: &$0)
      }
    }
  }
  flush()
  try SafetensorsWriter.write(
    [TensorToWrite(name: "logits", shape: [count, labels], floats: logits)], to: path)
}
