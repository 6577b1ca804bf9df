// The section `model`.

extension Experiment {
  /// The pretrained model.
  package struct Model: Sendable, Equatable {
    /// Directory as Hugging Face has it, or its name in the asset directory.
    package var path = ""
  }
}

extension ExperimentKey {
  static let modelKeys: [ExperimentKey] = [
    ExperimentKey(
      "model.path", \.model.path, .path, required: true,
      "directory of the pretrained model, in Hugging Face format")
  ]
}
