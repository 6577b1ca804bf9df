// The sections `checkpoint`, `watchdog` and `output`, which change no result.

internal import Federation

extension Experiment {
  /// When the state is saved; changes no result.
  package struct CheckpointSection: Sendable, Equatable {
    /// Rounds from one checkpoint to the next; 0 for never by rounds.
    package var everyRounds = 10
    /// Minutes from one checkpoint to the next, at the end of a round; 0 for never by time.
    package var everyMinutes = 15.0
    /// How many checkpoints stay.
    package var keep = 2
  }
}

extension Experiment {
  /// When a run that hangs is ended; changes no result.
  package struct WatchdogSection: Sendable, Equatable {
    /// Minutes in which a rank gets nothing done; 0 for no watching.
    package var minutes = 30.0
  }
}

extension Experiment {
  /// What is written besides the tables; changes no result.
  package struct OutputSection: Sendable, Equatable {
    /// Whether there are curves for TensorBoard.
    package var tensorBoard = true
  }
}

extension ExperimentKey {
  static let checkpointKeys: [ExperimentKey] = [
    ExperimentKey(
      "checkpoint.every_rounds", \.checkpoint.everyRounds, .integer(atLeast: 0, atMost: 1 << 31),
      "rounds between two checkpoints; 0: no checkpoints by rounds"),
    ExperimentKey(
      "checkpoint.every_minutes", \.checkpoint.everyMinutes, .number(.notNegative),
      "save a checkpoint at the end of a round if this many minutes have passed since the last"
        + " one; 0: none by time"),
    ExperimentKey(
      "checkpoint.keep", \.checkpoint.keep, .integer(atLeast: 1, atMost: 1 << 20),
      "number of checkpoints that are kept; if the newest one is damaged, the one before it is"
        + " used"),
  ]

  static let watchdogKeys: [ExperimentKey] = [
    ExperimentKey(
      "watchdog.minutes", \.watchdog.minutes, .number(NumberRange(atLeast: 0, atMost: 1_000_000)),
      "minutes without progress after which a rank that hangs ends the run (exit code 76); 0:"
        + " never; it is off under a debugger")
  ]

  static let outputKeys: [ExperimentKey] = [
    ExperimentKey(
      "output.tensorboard", \.output.tensorBoard, .boolean,
      "whether the run directory gets TensorBoard curves")
  ]
}
