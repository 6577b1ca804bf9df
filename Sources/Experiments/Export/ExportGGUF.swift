// `cellm-mpi export --gguf`: the adapter of a run, or the model with it merged, as one file for
// llama.cpp.

internal import Adapters
package import Configuration
internal import Files
internal import Safetensors

/// Writes the adapter of a run, or with `merge` the whole model, to a new GGUF file; of full
/// fine-tuning always the whole model.
///
/// - Parameter masked: Writes the vector that the run's last evaluation saw in place of the whole
///   one.
/// - Returns: A line for the user.
/// - Throws: 66 where the run, its adapter or the tokenizer is missing, 64 where `file` is there or
///   an option has no effect, 65 where the model is not the one of the run any more, or llama.cpp
///   does not have such a model, 74.
package func exportGGUF(
  _ run: String, to file: String, merge: Bool, masked: Bool = false,
  assets: AssetDirectory = AssetDirectory()
) throws -> String {
  let trained = try TrainedRun(run, merge: merge, masked: masked)
  try ExportTarget.checkFile(file)
  let export = try Export(trained, masked: masked, needsCorpus: false, assets: assets)
  var remarks: [String] = []
  do {
    try writing { remarks = try export.writeGGUF(to: file, merge: merge) }
  } catch let failure as CommandFailure {
    // Another process may have written it meanwhile.
    try ExportTarget.checkFile(file)
    throw failure
  }
  let text = export.text(merge: merge, masked: masked, format: "GGUF")
  return "\(file): " + ([text] + remarks).joined(separator: "; ") + "\n"
}

extension Export {
  /// Writes the file.
  /// - Returns: What is different in llama.cpp.
  fileprivate func writeGGUF(to file: String, merge: Bool) throws -> [String] {
    guard trained.isFull || merge else {
      let leftOut = try GGUFAdapter.write(vector, layout: layout, model: model, toNew: file)
      return leftOut.isEmpty
        ? []
        : ["without \(leftOut.joined(separator: ", ")): llama.cpp's adapters have no such part"]
    }
    let name = directory.split(separator: "/").last.map(String.init) ?? directory
    return try GGUFModel.write(
      model: model, base: base, layout: layout, vector: vector, name: name, toNew: file)
  }
}
