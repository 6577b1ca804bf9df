// The commands that do not start MPI: plan, inspect, export, keys, devices.

import ArgumentParser
internal import Configuration
import Configuration
import Corpora
import Experiments
import Federation
import Files
internal import Files
import RunFiles

struct Plan: ExecutableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Estimate an experiment before it runs: sizes, clients, messages, memory.",
    discussion: """
      Reads and checks the experiment as `run` does, opens the model and the corpus, and trains nothing.

      Examples:
        cellm-mpi plan x.yaml --ranks 64 --ranks-per-node 16
        cellm-mpi plan x.yaml --partition clients.csv    (one row per client and label)
        cellm-mpi plan x.yaml --partition clients.json   (for partition.kind: file)

      \(Files.ExitCode.help)
      """)

  @OptionGroup var arguments: ExperimentArguments

  @Option(help: "The number of MPI ranks.")
  var ranks = 1

  @Option(help: "The number of ranks on each node. Default: all.")
  var ranksPerNode: Int?

  @Option(
    help: ArgumentHelp(
      "Write the examples of each client to a new file, .csv or .json.", valueName: "file"))
  var partition: String?

  func validate() throws {
    if ranks < 1 || ranksPerNode ?? 1 < 1 {
      throw ValidationError("--ranks and --ranks-per-node must be at least 1")
    }
    if partition == "" { throw ValidationError("--partition is empty: give a file") }
  }

  func execute() throws -> Int32 {
    try onFirstProcess {
      try planReport(
        arguments.request, ranks: ranks, ranksPerNode: ranksPerNode ?? ranks,
        partition: partition)
    }
  }
}

struct Inspect: ExecutableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show a model, corpus, adapter, run, sweep or safetensors file.",
    discussion: """
      For a run, finished or still running, it shows curves of losses, accuracies, bytes, seconds and \
      memory. For a sweep, it shows the points and their means over seeds.

      Examples:
        cellm-mpi inspect smollm2-135m      (a name in $CELLM_HOME)
        cellm-mpi inspect runs/x-20261122-130500
        watch -n 10 cellm-mpi inspect --plain runs/x-20261122-130500
        cellm-mpi inspect runs/x            (a run's or a sweep's directory)
        cellm-mpi inspect adapter/adapter_model.safetensors
      """)

  @Argument(help: "A path, or the name of a model or corpus in $CELLM_HOME.")
  var path: String

  @Flag(help: "ASCII only: numbers without curves.")
  var plain = false

  func validate() throws {
    if path.isEmpty { throw ValidationError("the path is empty: give a path or a name") }
  }

  func execute() throws -> Int32 {
    try onFirstProcess {
      try inspection(of: path, style: TextStyle.standardOutput(isPlain: plain))
    }
  }
}

struct Export: ExecutableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Export the adapter or the model of a run for Hugging Face programs and llama.cpp.",
    discussion: """
      Examples:
        cellm-mpi export runs/x-20261122-130500 --to adapter
        cellm-mpi export runs/x-20261122-130500 --to model --merge
        cellm-mpi export runs/x-20261122-130500 --to adapter --logits test
        cellm-mpi export runs/x-20261122-130500 --to adapter --masked
        cellm-mpi export runs/x-20261122-130500 --gguf adapter.gguf
        cellm-mpi export runs/x-20261122-130500 --gguf model.gguf --merge

      By default, export writes the server's whole vector. By default, a run evaluates another vector: \
      the one that clients receive, which is zero outside the download mask (evaluation.masked). --masked \
      exports that one; its accuracy is the one that the run printed.

      PEFT loads the adapter: PeftModel.from_pretrained(model, "adapter"), where model is an \
      AutoModelForSequenceClassification with the corpus's number of labels. After full fine-tuning \
      (adapter.kind: full), export writes the whole model. Load it with \
      AutoModelForSequenceClassification.from_pretrained("model").

      --gguf writes one file for llama.cpp: the adapter (llama-cli -m model.gguf --lora adapter.gguf), or \
      with --merge the model and its tokenizer. A classification head is not in the file.
      """)

  @Argument(help: "The run directory.")
  var run: String

  @Option(name: .customLong("to"), help: ArgumentHelp("The new directory.", valueName: "dir"))
  var target: String?

  @Option(
    name: .customLong("gguf"),
    help: ArgumentHelp("In place of --to: the new file for llama.cpp.", valueName: "file"))
  var file: String?

  @Flag(help: "Merge the adapter into the model and write the model.")
  var merge = false

  @Flag(help: "Write the vector of the last evaluation instead of the whole vector.")
  var masked = false

  @Option(
    help: ArgumentHelp(
      "Also write a classifier's logits for train, validation or test to logits.safetensors.",
      valueName: "split"))
  var logits: String?

  @Option(help: ArgumentHelp("With --logits: only the first n examples.", valueName: "n"))
  var examples: Int?

  func validate() throws {
    if run.isEmpty { throw ValidationError("the run directory is empty: give its path") }
    guard (target == nil) != (file == nil) else {
      throw ValidationError("give one of --to (a new directory) and --gguf (a new file)")
    }
    if target?.isEmpty == true { throw ValidationError("--to is empty: give a new directory") }
    if file?.isEmpty == true { throw ValidationError("--gguf is empty: give a new file") }
    if file != nil, logits != nil { throw ValidationError("--logits: give --to, not --gguf") }
    if let examples, examples < 1 || logits == nil {
      throw ValidationError("--examples \(examples): give a positive number, with --logits")
    }
    if let logits, Split(rawValue: logits) == nil {
      throw ValidationError("--logits \(logits): give train, validation or test")
    }
  }

  func execute() throws -> Int32 {
    try onFirstProcess {
      if let file { return try exportGGUF(run, to: file, merge: merge, masked: masked) }
      return try exportRun(
        run, to: target ?? "", merge: merge, masked: masked, logits: logits.flatMap(Split.init),
        examples: examples)
    }
  }
}

struct Keys: ExecutableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List all keys of an experiment file: default, meaning and allowed values.")

  @Flag(help: "Print a table in Markdown.")
  var markdown = false

  func execute() throws -> Int32 {
    try onFirstProcess { markdown ? ExperimentKey.markdown : ExperimentKey.reference }
  }
}

struct Devices: ExecutableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the OpenCL devices of this machine, and test each one.",
    discussion: """
      compute.device takes a GPU, or a device by a part of its name. A device is used only if all \
      its kernels give the bits of the CPU. This command runs the same test as a run does.
      """)

  func execute() throws -> Int32 {
    try onFirstProcess {
      do { return try devicesReport() } catch {
        throw CommandFailure(Files.ExitCode.missingInput, "\(error)")
      }
    }
  }
}
