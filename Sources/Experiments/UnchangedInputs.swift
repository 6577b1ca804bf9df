// An export reads the files that the run read: the digests in the run's manifest are compared with
// the digests of the files now.

import Foundation

/// Throws where a file of the model or the corpus is not the one that the run read.
///
/// - Parameters:
///   - run: The run directory; a manifest without digests is taken as it is.
///   - model: The directory of the model now; nil to leave its files out.
///   - corpus: The same of the corpus.
/// - Throws: `CommandFailure` with 65 that names the file.
func requireUnchangedInputs(of run: String, model: String?, corpus: String?) throws {
  guard let manifest = Manifest.read(in: run), let inputs = manifest.inputs else { return }
  for (then, now) in [(manifest.model, model), (manifest.data, corpus)] {
    guard let now else { continue }
    for input in inputs where input.path.hasPrefix(then + "/") {
      let path = now + input.path.dropFirst(then.count)
      guard FileManager.default.fileExists(atPath: path) else {
        throw CommandFailure(ExitCode.data, "\(path) is gone since \(run) read it")
      }
      let found = try InputFile(path)
      guard found.bytes == input.bytes, found.xxh64 == input.xxh64 else {
        throw CommandFailure(
          ExitCode.data,
          "\(path) has changed since \(run) read it: XXH64 \(input.xxh64) then, \(found.xxh64) now;"
            + " export with the files of the run")
      }
    }
  }
}
