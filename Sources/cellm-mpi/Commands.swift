// The commands that start nothing: plan, inspect, export, keys.

import ArgumentParser
import Experiments
import Federation

struct Plan: ExecutableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say what an experiment would take: sizes, clients, messages, memory.",
    discussion: """
      Reads and checks the experiment, opens model and corpus, and starts nothing.

      Examples:
        cellm-mpi plan x.yaml --ranks 64 --ranks-per-node 16
        cellm-mpi plan x.yaml --partition clients.csv    (a row for each client and label)
        cellm-mpi plan x.yaml --partition clients.json   (for partition.kind: file)

      \(Experiments.ExitCode.help)
      """)

  @OptionGroup var arguments: ExperimentArguments

  @Option(help: "The number of MPI ranks of the run.")
  var ranks = 1

  @Option(help: "How many ranks share a node's memory. Default: all.")
  var ranksPerNode: Int?

  @Option(
    help: ArgumentHelp(
      "Write who has which examples to a new file, .csv or .json.", valueName: "file"))
  var partition: String?

  func validate() throws {
    if ranks < 1 || ranksPerNode ?? 1 < 1 {
      throw ValidationError("--ranks and --ranks-per-node are at least 1")
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
    abstract: "Show what a model, corpus, adapter, run, sweep or safetensors file holds.",
    discussion: """
      A run, finished or going on, is shown with its curves: losses, accuracies, bytes, seconds, memory. \
      A sweep is shown by its points, with means over seeds.

      Examples:
        cellm-mpi inspect smollm2-135m      (a name in $CELLM_HOME)
        cellm-mpi inspect runs/x-20261122-130500
        watch -n 10 cellm-mpi inspect --plain runs/x-20261122-130500
        cellm-mpi inspect runs/x            (a run's or a sweep's directory)
        cellm-mpi inspect adapter/adapter_model.safetensors
      """)

  @Argument(help: "A path, or the name of a model or corpus in $CELLM_HOME.")
  var path: String

  @Flag(help: "No curves as blocks, only their numbers, in ASCII.")
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
    abstract: "Write the adapter or the model of a run for other programs.",
    discussion: """
      Examples:
        cellm-mpi export runs/x-20261122-130500 --to adapter
        cellm-mpi export runs/x-20261122-130500 --to model --merge
        cellm-mpi export runs/x-20261122-130500 --to adapter --logits test
        cellm-mpi export runs/x-20261122-130500 --to adapter --masked

      By default the server's whole vector is written. A run evaluates it as clients receive it, zero outside
      of the download mask (evaluation.masked); --masked writes that vector, with the accuracy of the run.

      PEFT loads the adapter: PeftModel.from_pretrained(model, "adapter"), the model being an
      AutoModelForSequenceClassification with the corpus's number of labels. Of full fine-tuning the
      whole model is written, for AutoModelForSequenceClassification.from_pretrained("model").
      """)

  @Argument(help: "The run directory.")
  var run: String

  @Option(name: .customLong("to"), help: ArgumentHelp("The new directory.", valueName: "dir"))
  var target: String

  @Flag(help: "Write the whole model with the adapter merged, as Hugging Face has it.")
  var merge = false

  @Flag(help: "Write the vector that was evaluated last in place of the whole one.")
  var masked = false

  @Option(
    help: ArgumentHelp(
      "Also write a classifier's logits of train, validation or test: logits.safetensors.",
      valueName: "split"))
  var logits: String?

  @Option(help: ArgumentHelp("With --logits: only the first so many examples.", valueName: "n"))
  var examples: Int?

  func validate() throws {
    if run.isEmpty { throw ValidationError("the run directory is empty: give its path") }
    if target.isEmpty { throw ValidationError("--to is empty: give a new directory") }
    if let examples, examples < 1 || logits == nil {
      throw ValidationError("--examples \(examples): give a positive number, with --logits")
    }
    if let logits, Split(rawValue: logits) == nil {
      throw ValidationError("--logits \(logits): give train, validation or test")
    }
  }

  func execute() throws -> Int32 {
    try onFirstProcess {
      try exportRun(
        run, to: target, merge: merge, masked: masked, logits: logits.flatMap(Split.init),
        examples: examples)
    }
  }
}

struct Keys: ExecutableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List all keys of an experiment file: default, meaning, what can be given.")

  @Flag(help: "As a table in Markdown.")
  var markdown = false

  func execute() throws -> Int32 {
    try onFirstProcess { markdown ? ExperimentKey.markdown : ExperimentKey.reference }
  }
}
