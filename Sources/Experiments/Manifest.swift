// manifest.json: what ran, where, with what, and how it ended.

import Foundation
internal import Safetensors

/// What a run is made of that no experiment file says.
public struct RunEnvironment: Sendable {
  /// The whole command line.
  public var commandLine: [String]
  /// The MPI library in its own words, or nil without MPI.
  public var mpiLibrary: String?
  /// Environment variables.
  public var variables: [String: String]

  /// The environment of this process.
  public init(mpiLibrary: String? = nil) {
    commandLine = CommandLine.arguments
    self.mpiLibrary = mpiLibrary
    variables = ProcessInfo.processInfo.environment
  }

  /// The command that goes on with the run in `directory`; nil where that is no run of its own.
  func resumeCommand(_ directory: String, ranks: Int) -> String? {
    guard commandLine.dropFirst().first != "sweep" else { return nil }
    var words: [String] = []
    var isValue = false
    for word in commandLine {
      if !isValue, word != "--output", word != "--resume", !word.hasPrefix("--output=") {
        words.append(word)
      }
      isValue = !isValue && word == "--output"
    }
    words += ["--output", directory, "--resume"]
    let launcher = variables["OMPI_COMM_WORLD_SIZE"] == nil ? "" : "mpirun -np \(ranks) "
    return launcher + words.map(shellWord).joined(separator: " ")
  }

  /// The variables that decide where and how fast a run computes.
  var essentials: [String: String] {
    let names: Set<String> = [
      "CELLM_HOME", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE",
      "CUDA_VISIBLE_DEVICES",
    ]
    let prefixes = [
      "SLURM_JOB_", "SLURM_NNODES", "SLURM_NTASKS", "SLURM_RESTART", "OMPI_MCA_", "UCX_",
    ]
    return variables.filter { name, _ in
      names.contains(name) || prefixes.contains(where: name.hasPrefix)
    }
  }
}

/// The content of manifest.json.
struct Manifest: Codable, Sendable, Equatable {
  struct Software: Codable, Sendable, Equatable {
    var version = ProgramVersion.text
    var compiler = ProgramVersion.compiler
    var mpi: String?
    var blas: String?
    var system = ProgramVersion.system
    /// The executable.
    var program = ProgramVersion.program
  }

  struct Totals: Codable, Sendable, Equatable {
    var rounds = 0
    var tokens = 0
    /// Payload of both directions.
    var payloadBytes: Int { downloadPayloadBytes + uploadPayloadBytes }
    var downloadPayloadBytes = 0
    var uploadPayloadBytes = 0
    var densePayloadBytes = 0
    var wireBytes = 0
    var wireMessages = 0
    /// Seconds by the virtual clock, where one runs.
    var modelledSeconds: Double?
    /// Uploads that were not finite; nil while there was none.
    var refusedUploads: Int?
  }

  /// The last evaluation: of the test split where there is one, else of the first.
  struct Evaluation: Codable, Sendable, Equatable {
    /// The number of the round after which it was made.
    var round: Int
    var split: String
    /// Whether the vector was evaluated as clients receive it.
    var masked: Bool
    var accuracy: Double
    /// Nats an item.
    var loss: Double
  }

  /// The privacy of all rounds together, with the noise that a target asked for.
  struct Privacy: Codable, Sendable, Equatable {
    var noiseMultiplier: Double
    var samplingRate: Double
    var delta: Double
    /// As text, since JSON has no infinity.
    var epsilon: String
    var rounds: Int
  }

  struct RankPlace: Codable, Sendable, Equatable {
    var rank: Int
    var host: String
    /// The kind of CPU, on which the last bits depend.
    var processor: String?
    var wireBytesSent: Int?
    var wireBytesReceived: Int?
  }

  /// running, stopped (goes on with --resume), finished or failed
  var status = "running"
  var experiment: String
  var model: String
  var data: String
  /// The SHA-256 of config.yaml.
  var configSha256: String?
  /// The input files; a start with other files is refused.
  var inputs: [InputFile]?
  var software: Software
  var commandLine: [String]
  var workingDirectory = FileManager.default.currentDirectoryPath
  var environment: [String: String]
  var hosts: [String]
  var rankCount: Int
  /// Cores of rank 0's host that this process may use.
  var cores: Int? = ProcessInfo.processInfo.activeProcessorCount
  var ranks: [RankPlace]
  var parameters: Int
  var population: Int
  var privacy: Privacy?
  var start: String
  var end: String?
  var wallSeconds: Double?
  var digest: String?
  var failure: String?
  var totals = Totals()
  var evaluation: Evaluation?
  /// The starts before this one, for a run that went on after it was interrupted.
  var starts: [Start] = []
  /// The number of the first round of this start.
  var firstRound = 0
  /// The number of the run's first round, from which tables and curves count: 1; nil, for 0, in runs that
  /// earlier versions began.
  var firstRoundNumber: Int?
  /// The rounds of the newest checkpoint, 0 while there is none; nil in manifests of earlier versions.
  var savedRounds: Int?

  /// One start of a run.
  struct Start: Codable, Sendable, Equatable {
    var start: String
    var end: String?
    var status: String
    var firstRound: Int
    var rankCount: Int
    var hosts: [String]
    /// Its program; nil where it is that of `software`, and unknown in manifests of earlier versions.
    var program: InputFile?
    /// The files that it read; nil where they are those of `inputs`, and unknown likewise.
    var inputs: [InputFile]?
  }

  /// This start, for the manifest of the next.
  var lastStart: Start {
    Start(
      start: start, end: end, status: status, firstRound: firstRound, rankCount: rankCount,
      hosts: hosts, program: software.program, inputs: inputs)
  }

  /// Takes over what stays of the manifest before, where a run goes on.
  mutating func goOn(after before: Manifest) {
    starts = before.starts + [before.lastStart]
    // A later one is made again.
    if let evaluation = before.evaluation, evaluation.round < firstRound {
      self.evaluation = evaluation
    }
  }

  /// A manifest as it was written.
  static func read(_ data: Data) throws -> Manifest {
    let decoder = JSONDecoder.ofAnyNumber
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Manifest.self, from: data)
  }

  /// The manifest of a run directory; nil where it has none.
  /// - Throws: `CommandFailure` (65) where it is none, `SafetensorsError` where it cannot be read.
  static func ofRun(_ directory: RunDirectory) throws -> Manifest? {
    let path = directory.file("manifest.json")
    guard let bytes = try contentsIfThere(of: path) else { return nil }
    do {
      return try read(Data(bytes))
    } catch {
      throw CommandFailure(
        ExitCode.data,
        "\(path): is not a manifest of this program; put the right one back, or "
          + directory.beginningAnew)
    }
  }

  /// Writes manifest.json as a whole.
  func write(to directory: RunDirectory) throws {
    let encoder = JSONEncoder.ofAnyNumber
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    let data = try encoder.encode(self)
    try OutputFile.replace(
      directory.file("manifest.json"), with: String(decoding: data, as: UTF8.self) + "\n")
  }

  /// Says in the manifest of another rank's run that it failed, as far as that can be done.
  ///
  /// - Parameter start: The time of this start as rank 0 wrote it: the manifest of a later start, which may
  ///   have begun while this rank was ending, stays as it is.
  static func markFailed(in directory: String, start: String, _ failure: String) {
    let path = RunDirectory(path: directory).file("manifest.json")
    guard let bytes = try? contentsIfThere(of: path),
      var manifest = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any],
      manifest["start"] as? String == start
    else { return }
    manifest["status"] = "failed"
    manifest["failure"] = failure
    manifest["end"] = timeText(Date())
    guard
      let text = try? JSONSerialization.data(
        withJSONObject: manifest, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    else { return }
    try? OutputFile.replace(path, with: String(decoding: text, as: UTF8.self) + "\n")
  }
}

/// Which program this is.
public enum ProgramVersion {
  /// The version.
  public static let text = "0.1.0"

  /// The compiler.
  static var compiler: String {
    #if compiler(>=6.4)
      "Swift 6.4 or later"
    #elseif compiler(>=6.3)
      "Swift 6.3"
    #elseif compiler(>=6.2)
      "Swift 6.2"
    #else
      "Swift 6.1"
    #endif
  }

  /// The file of this program, with its digest: nothing else tells one build from another.
  static var program: InputFile? {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
      .flatMap { try? InputFile($0) }
  }

  /// The kind of CPU, in the kernel's words.
  static var processor: String? {
    guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8) else {
      return nil
    }
    let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
    return line?.split(separator: ":", maxSplits: 1).last.map {
      $0.trimmingCharacters(in: .whitespaces)
    }
  }

  /// Operating system and processor.
  static var system: String {
    var name = utsname()
    uname(&name)
    func text<T>(_ field: T) -> String {
      withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    return [text(name.sysname), text(name.release), text(name.machine)].joined(separator: " ")
  }
}
