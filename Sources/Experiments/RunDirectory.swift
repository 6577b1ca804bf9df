// The directory of one run. No two runs share one: it is made by one exclusive call, or, where an
// empty one is given, taken by creating config.yaml exclusively.

public import Foundation

/// The directory of one run.
public struct RunDirectory: Sendable {
  /// The directory in it with a PEFT adapter.
  public static let adapterName = "adapter"
  /// The directory in it with a whole model, of full fine-tuning.
  public static let modelName = "model"

  /// Its path, as it was given or made.
  public let path: String

  /// A file or folder in it.
  public func file(_ name: String) -> String { path + "/" + name }

  /// Throws where `output` could not become the directory of a new run: it has to be new or empty but for
  /// the files of its batch job.
  public static func check(output: String) throws {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: output, isDirectory: &isDirectory) else { return }
    guard isDirectory.boolValue else {
      throw CommandFailure(ExitCode.usage, "--output \(output): is a file; give a new directory")
    }
    let content: [String]
    do {
      content = try FileManager.default.contentsOfDirectory(atPath: output)
        .filter { !isOfBatchJob($0) }
    } catch {
      throw CommandFailure(ExitCode.inputOutput, "--output \(output): cannot be read")
    }
    guard content.isEmpty else {
      let holds = content.contains("manifest.json") ? "holds another run" : "is not empty"
      throw CommandFailure(ExitCode.usage, "--output \(output): \(holds); give a new directory")
    }
  }

  /// Whether a file belongs to the batch job of the run (slurm/submit.sh writes job.sh and job-ID.log
  /// there before the program starts).
  private static func isOfBatchJob(_ name: String) -> Bool {
    name == "job.sh" || (name.hasPrefix("job-") && name.hasSuffix(".log"))
  }

  /// Makes the directory of a new run and puts config.yaml there.
  /// - Parameters:
  ///   - output: The directory, new or empty; nil for a new one under `runs`.
  ///   - name: The beginning of a new one's name.
  ///   - configuration: The complete experiment.
  public static func create(
    output: String?, name: String, configuration: String, now: Date = Date(),
    parent: String = "runs"
  ) throws -> RunDirectory {
    let directory: RunDirectory
    if let output {
      try check(output: output)
      try makeParents(of: output)
      if mkdir(output, 0o755) != 0, errno != EEXIST {
        throw CommandFailure.system(output, errno)
      }
      directory = RunDirectory(path: output)
    } else {
      try makeParents(of: parent + "/x")
      directory = try makeNew(parent + "/" + name + strftimeText("-%Y%m%d-%H%M%S", now))
    }
    let file: OutputFile
    do {
      file = try OutputFile(creating: directory.file("config.yaml"), exclusive: true)
    } catch {
      try check(output: directory.path)  // another run was faster
      throw error
    }
    try file.append(configuration)
    try file.synchronize()
    return directory
  }

  private static func makeNew(_ path: String) throws -> RunDirectory {
    for number in 1...10_000 {
      let candidate = number == 1 ? path : "\(path)-\(number)"
      if mkdir(candidate, 0o755) == 0 { return RunDirectory(path: candidate) }
      if errno != EEXIST { throw CommandFailure.system(candidate, errno) }
    }
    throw CommandFailure(ExitCode.inputOutput, "\(path): 10000 runs have this name already")
  }

  private static func makeParents(of path: String) throws {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
    let parent = String(path[..<slash])
    do {
      try FileManager.default.createDirectory(
        atPath: parent, withIntermediateDirectories: true)
    } catch {
      let posix = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
      throw CommandFailure.system(parent, Int32(posix?.code ?? Int(EACCES)))
    }
  }

  /// The name of runs of an experiment file: its own, or, for the config.yaml of a run, that run's
  /// name without its time.
  public static func name(ofExperimentFile path: String) -> String {
    let url = URL(fileURLWithPath: path)
    let base = url.deletingPathExtension().lastPathComponent
    guard base == "config" else { return base }
    var parts = url.deletingLastPathComponent().lastPathComponent.split(separator: "-")
    func isNumber(_ text: Substring) -> Bool { text.allSatisfy(\.isNumber) }
    if parts.count > 3, isNumber(parts[parts.count - 1]), parts[parts.count - 1].count < 6 {
      parts.removeLast()
    }
    if parts.count > 2, isNumber(parts[parts.count - 1]), isNumber(parts[parts.count - 2]),
      parts[parts.count - 2].count == 8
    {
      parts.removeLast(2)
    }
    return parts.joined(separator: "-")
  }
}
