// Where models and corpora are found by name: $CELLM_HOME, as `make assets` fills it.

import Foundation

/// The directory of models and corpora that are known by name.
public struct AssetDirectory: Sendable {
  /// Its path.
  public let path: String

  /// `$CELLM_HOME`, or `cellm-mpi` in the user's cache directory.
  ///
  /// `~/` at the beginning of `CELLM_HOME` is the user's directory; another relative path is of the
  /// working directory. An `XDG_CACHE_HOME` that is not absolute is ignored. `prepare` (home.py) and
  /// the scripts (common.bash) read both variables in the same way.
  public init(environment: [String: String] = [:]) {
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
  public func resolve(_ name: String) -> String {
    name.hasPrefix("/") ? name : path + "/" + name
  }

  /// The path of a directory that has to exist.
  /// - Parameter what: What it holds, for the message: `model`, `data`.
  public func existing(_ name: String, what: String) throws -> String {
    let resolved = resolve(name)
    guard let kind = try fileKind(of: resolved) else {
      throw CommandFailure(
        ExitCode.missingInput,
        name.hasPrefix("/") ? "\(what) \(name) does not exist" : missing([name]).description)
    }
    guard kind == S_IFDIR else {
      throw CommandFailure(ExitCode.data, "\(what) \(resolved) is a file; give its directory")
    }
    return resolved
  }

  /// That names are not here, and what to type.
  func missing(_ names: [String]) -> CommandFailure {
    CommandFailure(
      ExitCode.missingInput,
      "\(names.joined(separator: " and ")) \(names.count == 1 ? "is" : "are") not in \(path); "
        + "type make assets ASSETS=\"\(names.joined(separator: " "))\"")
  }
}
