// The directory of models and corpora with names: $CELLM_HOME, as `make assets` and `prepare` fill
// it.

package import Files
internal import Foundation
internal import Safetensors

/// The directory of models and corpora that are known by name.
package struct AssetDirectory: Sendable {
  /// Its path.
  package let path: String

  /// `$CELLM_HOME`, or `cellm-mpi` in the user's cache directory.
  ///
  /// `~/` at the beginning of `CELLM_HOME` is the user's directory; another relative path is of the
  /// working directory. An `XDG_CACHE_HOME` that is not absolute is ignored. `prepare` (home.py) and
  /// the scripts (common.bash) read both variables in the same way.
  package init(environment: [String: String] = [:]) {
    let environment = environment.isEmpty ? ProcessInfo.processInfo.environment : environment
    let home = environment["CELLM_HOME"] ?? ""
    if home == "~" || home.hasPrefix("~/") {
      path = absolutePath(Self.userDirectory(environment) + home.dropFirst(), from: ".")
    } else if !home.isEmpty {
      path = absolutePath(home, from: ".")
    } else if let cache = environment["XDG_CACHE_HOME"], cache.hasPrefix("/") {
      path = cache + "/cellm-mpi"
    } else {
      path = Self.userDirectory(environment) + "/.cache/cellm-mpi"
    }
  }

  /// `$HOME`; if it is not set, the user's directory in the system's list of users, or `/`.
  private static func userDirectory(_ environment: [String: String]) -> String {
    if let home = environment["HOME"], !home.isEmpty { return home }
    guard let directory = getpwuid(getuid())?.pointee.pw_dir else { return "/" }
    return String(cString: directory)
  }

  /// The path of a name; absolute paths are what they are.
  package func resolve(_ name: String) -> String {
    name.hasPrefix("/") ? name : path + "/" + name
  }

  /// The path of a directory that has to exist.
  /// - Parameter what: What it holds, for the message: `model`, `data`.
  /// - Throws: `CommandFailure`: 66 where it is missing, 65 where it is a file; `SafetensorsError` where
  ///   the file system does not tell.
  package func existing(_ name: String, what: String) throws -> String {
    let resolved = resolve(name)
    guard let kind = try fileKind(of: resolved) else {
      throw CommandFailure(
        ExitCode.missingInput,
        name.hasPrefix("/") ? "\(what) \(name) does not exist" : missing([name]).description)
    }
    guard kind == .folder else {
      throw CommandFailure(ExitCode.data, "\(what) \(resolved) is a file; give its directory")
    }
    return resolved
  }

  /// That names are not here, with advice, a line for each.
  package func missing(_ names: [String]) -> CommandFailure {
    CommandFailure(ExitCode.missingInput, names.map(missing).joined(separator: "\n"))
  }

  private func missing(_ name: String) -> String {
    if name.contains("/") {
      // Advice alone hangs on it.
      return (try? isThere(name)) == true
        ? "\(name) has a slash, so it is no name in \(path); write ./\(name)"
        : "\(name) is not in \(path); it has a slash: begin a directory's path with / or . "
          + "(./ is the experiment file's); for a model of the hub, type scripts/prepare hub \(name)"
          + " first and give the name that it says"
    }
    let line = "\(name) is not in \(path)"
    if Self.isPrepared(name) { return line + "; type make assets ASSETS=\"\(name)\"" }
    let names: [String]
    do { names = try self.names() } catch {
      return line + ", and what is there cannot be told: \(error)"
    }
    guard !names.isEmpty else {
      return line + ", which is empty; type make assets, or give a directory, from / or . on"
    }
    let shown = names.prefix(20).joined(separator: ", ") + (names.count > 20 ? ", ..." : "")
    var advice = ", which has \(shown)"
    let near = names.map { (distance: editDistance(name, $0), name: $0) }
      .min { $0.distance < $1.distance }
    if let near, near.distance <= max(2, name.count / 3) {
      advice += "; did you mean \(near.name)?"
    } else {
      advice +=
        "; give one of them or a directory, from / or . on (scripts/prepare text makes a corpus of"
        + " your own files)"
    }
    return line + advice
  }

  /// The names of the models and corpora that are here, sorted.
  /// - Throws: `SafetensorsError` where the directory cannot be listed.
  package func names() throws -> [String] {
    try (namesIfThere(in: path) ?? []).filter { name in
      try ["config.json", "train.safetensors"].contains {
        try isThere(path + "/" + name + "/" + $0)
      }
    }
  }

  /// True for a model or corpus that `make assets` can make.
  private static func isPrepared(_ name: String) -> Bool {
    let models = ["smollm2-135m", "minilm-l6"]
    let corpora = ["20newsgroups", "reuters-r8", "reuters-r52", "friends", "mathematics"]
    return models.contains(name) || name == "fashion-mnist"
      || models.contains { model in corpora.contains { name == "\($0).\(model)" } }
  }
}
