// From the command line to a checked experiment, on rank 0.

import Foundation
internal import Safetensors

/// What to run: a file, or the built-in experiment, with settings.
public struct ExperimentRequest: Sendable {
  /// The experiment file; nil for the built-in experiment.
  public var path: String?
  /// `--set` arguments.
  public var settings: [String]
  /// Paths in settings that start with `.` are relative to it.
  public var settingsDirectory: String

  /// A file or nil, with `--set` arguments.
  public init(path: String? = nil, settings: [String] = [], settingsDirectory: String = ".") {
    self.path = path
    self.settings = settings
    self.settingsDirectory = settingsDirectory
  }

  /// An experiment with what the command line says of it.
  public struct Loaded: Sendable {
    /// The experiment, checked as far as that goes without its inputs.
    public let experiment: Experiment
    /// How its runs are named.
    public let name: String
    /// Remarks for the user.
    public let notices: [String]
  }

  /// Reads the experiment.
  /// - Throws: `ExperimentProblems`, or `CommandFailure` where the file is missing or unreadable.
  public func load() throws -> Loaded {
    guard let path else {
      let reading = try Experiment.read(
        text: Experiment.BuiltIn.text, name: "built-in experiment", directory: ".",
        settings: settings, settingsDirectory: settingsDirectory)
      return Loaded(
        experiment: reading.experiment, name: Experiment.BuiltIn.name, notices: reading.notices)
    }
    let reading = try ExperimentFile(path: path, settingsDirectory: settingsDirectory)
      .reading(settings: settings)
    return Loaded(
      experiment: reading.experiment, name: RunDirectory.name(ofExperimentFile: path),
      notices: reading.notices)
  }
}

/// An experiment file that is read once, for one or many lists of settings.
struct ExperimentFile {
  private let reader: ExperimentReader

  /// Reads the file.
  /// - Parameters:
  ///   - settingsDirectory: Paths in settings that start with `.` are relative to it.
  ///   - settingPrefix: Stands before a setting in messages.
  /// - Throws: `CommandFailure` where it is missing, unreadable or too large.
  init(path: String, settingsDirectory: String, settingPrefix: String = "--set ") throws {
    let text = try readText(
      path, what: "experiment file", atMost: ExperimentDocument.largestText)
    let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
    var reader = ExperimentReader(
      name: path, fileContext: ReadingContext(baseDirectory: directory),
      settingContext: ReadingContext(baseDirectory: settingsDirectory))
    reader.settingPrefix = settingPrefix
    reader.readFile(text)
    self.reader = reader
  }

  /// The experiment with these settings.
  /// - Throws: `ExperimentProblems` with all problems of the file and the settings.
  func reading(settings: [String]) throws -> Experiment.Reading {
    var reader = reader
    for setting in settings { reader.readSetting(setting) }
    return try reader.finish()
  }
}

extension Experiment {
  /// Throws where the model, the data or another file is not there, naming all that is missing.
  func checkInputs(_ assets: AssetDirectory) throws {
    var problems: [CommandFailure] = []
    var names: [String] = []
    for (name, what) in [(model.path, "model"), (data.path, "data")] {
      if !name.hasPrefix("/"), try !isThere(assets.resolve(name)) {
        names.append(name)
        continue
      }
      do { _ = try assets.existing(name, what: what) } catch let error as CommandFailure {
        problems.append(error)
      }
    }
    let files: [(key: String, path: String?)] = [
      ("partition.path", partition.kind == .file ? partition.path : nil),
      ("federation.cohort.path", federation.cohort.kind == .file ? federation.cohort.path : nil),
      ("adapter.initial", adapter.initial),
      ("system.path", system.kind == .trace ? system.path : nil),
    ]
    for (key, path) in files {
      guard let path = path.map(assets.resolve), try !isThere(path) else { continue }
      problems.append(CommandFailure(ExitCode.missingInput, "\(key): \(path) does not exist"))
    }
    if !names.isEmpty {
      problems.append(assets.missing(names))
    }
    guard let first = problems.first else { return }
    throw CommandFailure(
      first.exitCode, problems.map(\.description).joined(separator: "\n"))
  }
}
