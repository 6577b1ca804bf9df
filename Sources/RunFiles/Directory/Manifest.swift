// manifest.json: what ran, where, with what, and how it ended.

internal import Files
package import Foundation
internal import Safetensors

/// What a run is made of that no experiment file says.
package struct RunEnvironment: Sendable {
  /// The whole command line.
  package var commandLine: [String]
  /// The MPI library in its own words, or nil without MPI.
  package var mpiLibrary: String?
  /// Environment variables.
  var variables: [String: String]

  /// The environment of this process.
  package init(mpiLibrary: String? = nil) {
    commandLine = CommandLine.arguments
    self.mpiLibrary = mpiLibrary
    variables = ProcessInfo.processInfo.environment
  }

  /// The command that goes on with the run in `directory`; nil where that is no run of its own.
  package func resumeCommand(_ directory: String, ranks: Int) -> String? {
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
  package var essentials: [String: String] {
    let names: Set<String> = [
      "CELLM_HOME", "CELLM_ISA", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE",
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
package struct Manifest: Codable, Sendable, Equatable {
  package struct Software: Codable, Sendable, Equatable {
    package var version = ProgramVersion.text
    var compiler = ProgramVersion.compiler
    package var mpi: String?
    package var blas: String?
    /// The instruction set of rank 0's kernels; nil in older manifests.
    package var instructionSet: String?
    /// What computes rank 0's micro-batches beside the CPU; nil for the CPU alone.
    package var device: String?
    package var system = ProgramVersion.system
    /// The executable.
    package var program = ProgramVersion.program

    /// This program with an MPI library and a BLAS, as they describe themselves.
    package init(
      mpi: String?, blas: String?, instructionSet: String?, device: String? = nil
    ) {
      self.mpi = mpi
      self.blas = blas
      self.instructionSet = instructionSet
      self.device = device
    }
  }

  package struct Totals: Codable, Sendable, Equatable {
    package var rounds = 0
    package var tokens = 0
    /// Payload of both directions.
    package var payloadBytes: Int { downloadPayloadBytes + uploadPayloadBytes }
    var downloadPayloadBytes = 0
    var uploadPayloadBytes = 0
    package var densePayloadBytes = 0
    var wireBytes = 0
    var wireMessages = 0
    /// Seconds by the virtual clock, where one runs.
    package var modelledSeconds: Double?
    /// Uploads that were not finite; nil while there was none.
    var refusedUploads: Int?
  }

  /// The last evaluation: of the test split where there is one, else of the first.
  package struct Evaluation: Codable, Sendable, Equatable {
    /// The number of the round after which it was made.
    package var round: Int
    package var split: String
    /// Whether the vector was evaluated as clients receive it.
    package var masked: Bool
    package var accuracy: Double
    /// Nats an item.
    package var loss: Double
  }

  /// The privacy of all rounds together, with the noise that a target asked for.
  package struct Privacy: Codable, Sendable, Equatable {
    package var noiseMultiplier: Double
    package var samplingRate: Double
    package var delta: Double
    /// As text, since JSON has no infinity.
    package var epsilon: String
    package var rounds: Int

    /// The guarantee (`epsilon`, `delta`) of a number of rounds.
    package init(
      noiseMultiplier: Double, samplingRate: Double, delta: Double, epsilon: String, rounds: Int
    ) {
      self.noiseMultiplier = noiseMultiplier
      self.samplingRate = samplingRate
      self.delta = delta
      self.epsilon = epsilon
      self.rounds = rounds
    }
  }

  package struct RankPlace: Codable, Sendable, Equatable {
    package var rank: Int
    package var host: String
    /// The kind of CPU, on which the last bits depend.
    package var processor: String?
    package var wireBytesSent: Int?
    package var wireBytesReceived: Int?

    /// A rank on a host; at the end of a run with the bytes that it sent and received.
    package init(
      rank: Int, host: String, processor: String?, wireBytesSent: Int? = nil,
      wireBytesReceived: Int? = nil
    ) {
      self.rank = rank
      self.host = host
      self.processor = processor
      self.wireBytesSent = wireBytesSent
      self.wireBytesReceived = wireBytesReceived
    }
  }

  /// running, stopped (goes on with --resume), finished or failed
  package var status = "running"
  package var experiment: String
  package var model: String
  package var data: String
  /// The SHA-256 of config.yaml.
  package var configSha256: String?
  /// The input files; a start with other files is refused.
  package var inputs: [InputFile]?
  package var software: Software
  package var commandLine: [String]
  var workingDirectory = FileManager.default.currentDirectoryPath
  package var environment: [String: String]
  package var hosts: [String]
  package var rankCount: Int
  /// Cores of rank 0's host that this process may use.
  package var cores: Int? = ProcessInfo.processInfo.activeProcessorCount
  package var ranks: [RankPlace]
  package var parameters: Int
  package var population: Int
  package var privacy: Privacy?
  package var start: String
  package var end: String?
  package var wallSeconds: Double?
  package var digest: String?
  package var failure: String?
  package var totals = Totals()
  package var evaluation: Evaluation?
  /// The starts before this one, for a run that went on after it was interrupted.
  package var starts: [Start] = []
  /// The number of the first round of this start.
  package var firstRound = 0
  /// The number of the run's first round, from which tables and curves count: 1; nil, for 0, in runs that
  /// earlier versions began.
  package var firstRoundNumber: Int?
  /// The rounds of the newest checkpoint, 0 while there is none; nil in manifests of earlier versions.
  package var savedRounds: Int?

  /// The manifest of a run that starts.
  package init(
    experiment: String, model: String, data: String, configSha256: String?, inputs: [InputFile]?,
    software: Software, commandLine: [String], environment: [String: String], hosts: [String],
    rankCount: Int, ranks: [RankPlace], parameters: Int, population: Int, privacy: Privacy?,
    start: String
  ) {
    self.experiment = experiment
    self.model = model
    self.data = data
    self.configSha256 = configSha256
    self.inputs = inputs
    self.software = software
    self.commandLine = commandLine
    self.environment = environment
    self.hosts = hosts
    self.rankCount = rankCount
    self.ranks = ranks
    self.parameters = parameters
    self.population = population
    self.privacy = privacy
    self.start = start
  }

  /// One start of a run.
  package struct Start: Codable, Sendable, Equatable {
    package var start: String
    package var end: String?
    package var status: String
    package var firstRound: Int
    package var rankCount: Int
    package var hosts: [String]
    /// Its program; nil where it is that of `software`, and unknown in manifests of earlier versions.
    package var program: InputFile?
    /// The files that it read; nil where they are those of `inputs`, and unknown likewise.
    package var inputs: [InputFile]?
  }

  /// This start, for the manifest of the next.
  package var lastStart: Start {
    Start(
      start: start, end: end, status: status, firstRound: firstRound, rankCount: rankCount,
      hosts: hosts, program: software.program, inputs: inputs)
  }

  /// Takes over what stays of the manifest before, where a run goes on.
  package mutating func goOn(after before: Manifest) {
    starts = before.starts + [before.lastStart]
    // A later one is made again.
    if let evaluation = before.evaluation, evaluation.round < firstRound {
      self.evaluation = evaluation
    }
  }

  /// A manifest as it was written.
  package static func read(_ data: Data) throws -> Manifest {
    let decoder = JSONDecoder.ofAnyNumber
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Manifest.self, from: data)
  }

  /// The manifest of a run directory; nil where it has none.
  /// - Throws: `CommandFailure` (65) where it is none, `SafetensorsError` where it cannot be read.
  package static func ofRun(_ directory: RunDirectory) throws -> Manifest? {
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
  ///
  /// - Parameter isWanted: Asked right before the file is replaced; if the answer is no, it stays.
  /// - Returns: Whether it was written.
  @discardableResult
  package func write(
    to directory: RunDirectory, onlyIf isWanted: () -> Bool = { true }
  ) throws -> Bool {
    let encoder = JSONEncoder.ofAnyNumber
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    let data = try encoder.encode(self)
    return try OutputFile.replace(
      directory.file("manifest.json"), with: String(decoding: data, as: UTF8.self) + "\n",
      onlyIf: isWanted)
  }

  /// Says in the manifest of another rank's run that it failed, as far as that can be done.
  ///
  /// - Parameter start: The time of this start as rank 0 wrote it: the manifest of a later start, which may
  ///   have begun while this rank was ending, stays as it is.
  package static func markFailed(in directory: String, start: String, _ failure: String) {
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
    _ = try? OutputFile.replace(path, with: String(decoding: text, as: UTF8.self) + "\n")
  }
}

/// Which program this is.
package enum ProgramVersion {
  /// The version.
  package static let text = "0.1.0"

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
  package static var program: InputFile? {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
      .flatMap { try? InputFile($0) }
  }

  /// The kind of CPU, in the kernel's words.
  package static var processor: String? {
    guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8) else {
      return nil
    }
    let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
    return line?.split(separator: ":", maxSplits: 1).last.map {
      $0.trimmingCharacters(in: .whitespaces)
    }
  }

  /// Operating system and processor.
  package static var system: String {
    var name = utsname()
    uname(&name)
    func text<T>(_ field: T) -> String {
      withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    return [text(name.sysname), text(name.release), text(name.machine)].joined(separator: " ")
  }
}
