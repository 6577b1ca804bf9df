// Parses the command line and runs the command. Under mpirun or srun every rank parses, and the
// first one alone prints what parsing has to say.

import ArgumentParser
import Experiments
import Foundation

/// A command of the program.
protocol ExecutableCommand: ParsableCommand {
  /// Does it; returns the exit code.
  func execute() throws -> Int32
}

struct Command: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cellm-mpi",
    abstract: "Simulate communication-efficient federated fine-tuning of language models over MPI.",
    discussion: """
      A run fine-tunes a pretrained model with LoRA over thousands of simulated clients. What \
      travels between the server and the clients is sparse and counted in bytes; the results are \
      the same bits for any number of ranks.

      Examples:
        cellm-mpi              (the built-in experiment, on one rank)
        mpirun -np 8 cellm-mpi run experiments/quickstart.yaml
        srun cellm-mpi run x.yaml --set federation.rounds=50 --output results/x
        cellm-mpi plan x.yaml --ranks 64 --ranks-per-node 16

      Names of models and corpora are looked up in $CELLM_HOME (default ~/.cache/cellm-mpi), which \
      `make assets` fills.

      \(Experiments.ExitCode.help)
      """,
    version: "cellm-mpi \(ProgramVersion.text)",
    subcommands: [Run.self, SweepCommand.self, Plan.self, Inspect.self, Export.self, Keys.self],
    defaultSubcommand: Run.self)

  /// Runs the command line; returns the exit code.
  static func main(_ arguments: [String]) -> Int32 {
    do {
      var command = try parseAsRoot(arguments)
      guard let executable = command as? any ExecutableCommand else {
        try command.run()  // help and version: they throw what is to be printed
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
      return Experiments.ExitCode.inputOutput
    }
  }

  /// Whether this is the first process of a job, by what mpirun and srun tell before MPI starts.
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

  /// Where process managers tell a process its rank.
  static var rankVariables: [String] {
    ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK"]
  }
}

/// Where the experiment comes from; shared by `run` and `plan`.
struct ExperimentArguments: ParsableArguments {
  @Argument(
    help: "The experiment file (YAML). Without one the built-in experiment is taken.",
    completion: .file(extensions: ["yaml"]))
  var experiment: String?

  @Option(
    name: .customLong("set"), parsing: .singleValue,
    help: ArgumentHelp(
      "Override a key; may be given several times.",
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
    return Experiments.ExitCode.code(of: error)
  }
}
