// From the command line to a checked experiment, on rank 0.

internal import Files
import Foundation
internal import Safetensors

/// What to run: a file, or the built-in experiment, with settings.
package struct ExperimentRequest: Sendable {
  /// The experiment file; nil for the built-in experiment.
  package var path: String?
  /// `--set` arguments.
  package var settings: [String]
  /// Paths in settings that start with `.` are relative to it.
  package var settingsDirectory: String

  /// A file or nil, with `--set` arguments.
  package init(path: String? = nil, settings: [String] = [], settingsDirectory: String = ".") {
    self.path = path
    self.settings = settings
    self.settingsDirectory = settingsDirectory
  }

  /// An experiment with what the command line says of it.
  package struct Loaded: Sendable {
    /// The experiment, checked as far as that goes without its inputs.
    package let experiment: Experiment
    /// How its runs are named.
    package let name: String
    /// Remarks for the user.
    package let notices: [String]
    /// The places of the values.
    package let source: ExperimentSource
  }

  /// Reads the experiment.
  /// - Throws: `ExperimentProblems`, or `CommandFailure` where the file is missing or unreadable.
  package func load() throws -> Loaded {
    guard let path else {
      let reading = try Experiment.read(
        text: Experiment.BuiltIn.text, name: "built-in experiment", directory: ".",
        settings: settings, settingsDirectory: settingsDirectory)
      return Loaded(
        experiment: reading.experiment, name: Experiment.BuiltIn.name, notices: reading.notices,
        source: reading.source)
    }
    let reading = try ExperimentFile(path: path, settingsDirectory: settingsDirectory)
      .reading(settings: settings)
    return Loaded(
      experiment: reading.experiment, name: Self.name(ofFile: path),
      notices: reading.notices, source: reading.source)
  }

  /// The name of runs of an experiment file: its own, or, for the config.yaml of a run, that run's
  /// name without its time.
  package static func name(ofFile path: String) -> String {
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

/// An experiment file that is read once, for one or many lists of settings.
package struct ExperimentFile {
  private let reader: ExperimentReader

  /// Reads the file.
  /// - Parameters:
  ///   - settingsDirectory: Paths in settings that start with `.` are relative to it.
  ///   - settingPrefix: Stands before a setting in messages.
  /// - Throws: `CommandFailure` where it is missing, unreadable or too large.
  package init(path: String, settingsDirectory: String, settingPrefix: String = "--set ") throws {
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
  package func reading(settings: [String]) throws -> Experiment.Reading {
    var reader = reader
    for setting in settings { reader.readSetting(setting) }
    return try reader.finish()
  }
}

extension Experiment {
  /// Throws where the model, the data or another file is not there, naming all that is missing.
  package func checkInputs(_ assets: AssetDirectory) throws {
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
