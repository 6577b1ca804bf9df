// Parses the command line and runs the command. Under mpirun or srun every rank parses, and only
// the first one prints help and usage errors.

import ArgumentParser
internal import Configuration
import Configuration
import Experiments
import Files
internal import Files
import Foundation
import RunFiles
internal import RunFiles

/// A command of the program.
protocol ExecutableCommand: ParsableCommand {
  /// Runs the command; returns the exit code.
  func execute() throws -> Int32
}

struct Command: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cellm-mpi",
    abstract: "Simulate communication-efficient federated fine-tuning of language models over MPI.",
    discussion: """
      A run fine-tunes a pretrained model with LoRA over thousands of simulated clients. The \
      messages between the server and the clients are sparse, and their bytes are counted. The \
      results are bit-identical for any number of ranks.

      Examples:
        cellm-mpi              (runs the built-in experiment on one rank)
        mpirun -np 8 cellm-mpi run experiments/quickstart.yaml
        srun cellm-mpi run x.yaml --set federation.rounds=50 --output results/x
        cellm-mpi plan x.yaml --ranks 64 --ranks-per-node 16

      Models and corpora that are given by name are in $CELLM_HOME (default ~/.cache/cellm-mpi). \
      `make assets` puts them there.

      \(Files.ExitCode.help)
      """,
    version: "cellm-mpi \(ProgramVersion.text)",
    subcommands: [
      Run.self, SweepCommand.self, Plan.self, Inspect.self, Export.self, Keys.self,
      Devices.self,
    ],
    defaultSubcommand: Run.self)

  /// Runs the command line; returns the exit code.
  static func main(_ arguments: [String]) -> Int32 {
    do {
      var command = try parseAsRoot(arguments)
      guard let executable = command as? any ExecutableCommand else {
        try command.run()  // help and version throw their text
        return 0
      }
      return try executable.execute()
    } catch {
      return reportParsing(error)
    }
  }

  /// Help, version and usage errors, printed once.
  private static func reportParsing(_ error: any Error) -> Int32 {
    let code = exitCode(for: error).rawValue
    guard isFirstProcess else { return code }
    let text = fullMessage(for: error) + "\n"
    if code != 0 {
      writeToStandardError(text)
      return code
    }
    do {
      try writeToStandardOutput(text)
      return 0
    } catch {
      return Files.ExitCode.inputOutput
    }
  }

  /// Whether this is the first process of a job, by the variables that mpirun and srun set before MPI starts.
  static var isFirstProcess: Bool {
    let environment = ProcessInfo.processInfo.environment
    for name in rankVariables {
      if let rank = environment[name] { return rank == "0" }
    }
    // A SLURM step whose processes MPI does not connect.
    if environment["SLURM_STEP_NUM_TASKS"] != nil, let rank = environment["SLURM_PROCID"] {
      return rank == "0"
    }
    return true
  }

  /// The variables in which process managers tell a process its rank.
  static var rankVariables: [String] {
    ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK"]
  }
}

/// The experiment file and the overrides, for `run` and `plan`.
struct ExperimentArguments: ParsableArguments {
  @Argument(
    help: "The experiment file (YAML). Default: the built-in experiment.",
    completion: .file(extensions: ["yaml"]))
  var experiment: String?

  @Option(
    name: .customLong("set"), parsing: .singleValue,
    help: ArgumentHelp(
      "Override a key. Can be repeated.",
      discussion:
        "The value is YAML: --set federation.rounds=50 --set 'method.upload={select: all}'",
      valueName: "path.to.key=value"))
  var settings: [String] = []

  var request: ExperimentRequest { ExperimentRequest(path: experiment, settings: settings) }
}

/// Runs the body of a command that needs no other rank: on the first process alone.
func onFirstProcess(_ body: () throws -> String) throws -> Int32 {
  guard Command.isFirstProcess else { return 0 }
  do {
    try writeToStandardOutput(try body())
    return 0
  } catch {
    for line in "\(error)".split(separator: "\n") { writeToStandardError("cellm-mpi: \(line)\n") }
    return Files.ExitCode.code(of: error)
  }
}
