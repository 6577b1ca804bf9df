// The experiment of `cellm-mpi` without a file: FLASC on SmolLM2-135M and 20 Newsgroups.

extension Experiment {
  /// The experiment that runs when no file is named; experiments/ has the same as a file.
  package enum BuiltIn {
    /// Its name, as of the file.
    package static let name = "smollm2-135m.20newsgroups.flasc"
    /// Its text: what has no default.
    package static let text = """
      model: {path: smollm2-135m}
      data: {path: 20newsgroups.smollm2-135m}
      """
  }
}
