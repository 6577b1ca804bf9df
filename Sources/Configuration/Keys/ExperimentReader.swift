// Experiment file and `--set` arguments -> `Experiment`, or every problem they have.

import Foundation
internal import Yams

extension Experiment {
  /// An experiment and what to tell the user about how it was understood.
  package struct Reading: Sendable {
    /// The experiment, checked as far as that goes without its files.
    package let experiment: Experiment
    /// Remarks, one line each.
    package let notices: [String]
    /// The places of its values.
    package let source: ExperimentSource
  }

  /// Reads an experiment.
  /// - Parameters:
  ///   - text: YAML text of the file.
  ///   - name: the file's name, as messages show it.
  ///   - directory: paths in the file that start with `.` are relative to it.
  ///   - settings: `--set` arguments, `path.to.key=value`; later ones win.
  ///   - settingsDirectory: paths in `settings` that start with `.` are relative to it.
  /// - Throws: `ExperimentProblems` with everything that is wrong.
  package static func read(
    text: String, name: String, directory: String, settings: [String] = [],
    settingsDirectory: String = "."
  ) throws -> Reading {
    var reader = ExperimentReader(
      name: name, fileContext: ReadingContext(baseDirectory: directory),
      settingContext: ReadingContext(baseDirectory: settingsDirectory))
    reader.readFile(text)
    for setting in settings { reader.readSetting(setting) }
    return try reader.finish()
  }
}

/// Collects what is given for each key, then reads it all against the table of keys.
package struct ExperimentReader {
  package let name: String
  let fileContext: ReadingContext
  let settingContext: ReadingContext
  /// Stands before a setting in messages: `--set `, or the file that has it.
  package var settingPrefix = "--set "

  private typealias Place = ExperimentSource.Place

  private struct Given {
    let node: Node
    let place: Place
    /// True if the `--set` argument names this very key, so that a message need not.
    let isNamedByPlace: Bool
  }

  private var given: [String: Given] = [:]
  private var problems: [ExperimentSource.Ordered] = []
  private var notices: [String] = []
  private var settingCount = 0
  private var unknownCount = 0
  /// With a file that is no YAML, missing keys are no news.
  private var isUnreadable = false

  private static let keys = Dictionary(
    uniqueKeysWithValues: ExperimentKey.all.map { ($0.path, $0) })

  /// The names that may stand in each section; "" is the top.
  private static let sections: [String: [String]] = {
    var names: [String: [String]] = [:]
    for key in ExperimentKey.all {
      var section = ""
      for part in key.path.split(separator: ".").map(String.init) {
        if !(names[section] ?? []).contains(part) { names[section, default: []].append(part) }
        section = section.isEmpty ? part : section + "." + part
      }
    }
    return names
  }()

  package init(name: String, fileContext: ReadingContext, settingContext: ReadingContext) {
    self.name = name
    self.fileContext = fileContext
    self.settingContext = settingContext
  }

  // MARK: - The file

  mutating func readFile(_ text: String) {
    let document: ExperimentDocument
    do {
      document = try ExperimentDocument(text: text)
    } catch {
      isUnreadable = true
      report(at: .line(error.line), key: nil, error.text)
      return
    }
    guard let root = document.root else { return }
    walk(root, section: "", document: document) { .line($0) }
  }

  private mutating func walk(
    _ node: Node, section: String, document: ExperimentDocument?, place: (Int) -> Place
  ) {
    guard let mapping = node.mapping else {
      if section.isEmpty, node.scalar?.string == "" { return }
      let names = Self.sections[section] ?? []
      report(
        at: place(node.mark?.line ?? 1), key: section.isEmpty ? nil : section,
        "\(describe(node)) is not allowed; give the keys of this section: "
          + names.joined(separator: ", "))
      return
    }
    for (keyNode, value) in mapping {
      let line = keyNode.mark?.line ?? 1
      guard var word = keyNode.scalar?.string else {
        report(at: place(line), key: section.isEmpty ? nil : section, "a key has to be a word")
        continue
      }
      let isRepeated = document?.unmark(&word) ?? false
      let path = section.isEmpty ? word : section + "." + word
      if isRepeated {
        report(at: place(line), key: path, "is given more than once")
      } else if Self.keys[path] != nil {
        given[path] = Given(node: value, place: place(line), isNamedByPlace: false)
      } else if Self.sections[path] != nil {
        walk(value, section: path, document: document, place: place)
      } else {
        report(at: place(line), key: path, unknownKey(path, word))
      }
    }
  }

  // MARK: - Settings

  mutating func readSetting(_ setting: String) {
    settingCount += 1
    let place = Place.setting(setting, order: settingCount)
    guard let equals = setting.firstIndex(of: "=") else {
      report(at: place, key: nil, "has no value; give path.to.key=value")
      return
    }
    let path = setting[..<equals].trimmingCharacters(in: .whitespaces)
    guard !path.isEmpty else {
      report(at: place, key: nil, "has no key; give path.to.key=value")
      return
    }
    let node: Node
    do {
      let document = try ExperimentDocument(text: String(setting[setting.index(after: equals)...]))
      node = document.root ?? Node("")
    } catch {
      report(at: place, key: nil, error.text)
      return
    }
    if Self.keys[path] != nil {
      given[path] = Given(node: node, place: place, isNamedByPlace: true)
    } else if Self.sections[path] != nil {
      given = given.filter { !$0.key.hasPrefix(path + ".") }
      walk(node, section: path, document: nil) { _ in place }
    } else if let key = ExperimentKey.all.first(where: { path.hasPrefix($0.path + ".") }) {
      report(at: place, key: nil, "set \(key.path) as a whole; give \(key.allowed)")
    } else {
      report(at: place, key: nil, unknownKey(path, path))
    }
  }

  // MARK: - Verdict

  package mutating func finish() throws -> Experiment.Reading {
    var experiment = Experiment()
    var misread: Set<String> = []
    for key in ExperimentKey.all {
      guard let item = given[key.path] else { continue }
      let context: ReadingContext
      if case .line = item.place { context = fileContext } else { context = settingContext }
      if !key.read(item.node, context, &experiment) {
        misread.insert(key.path)
        report(item, key: key, "\(describe(item.node)) is not allowed; give \(key.allowed)")
      }
    }
    let optimizer = experiment.federation.server.optimizer
    if given["federation.server.beta1"] == nil, optimizer == .fedAdagrad {
      experiment.federation.server.beta1 = 0
    }
    if given["federation.server.beta2"] == nil, optimizer == .adamW {
      experiment.federation.server.beta2 = 0.999
    }
    for key in ExperimentKey.all where !key.counts(in: experiment) {
      guard let condition = key.conditions.first(where: { !$0.holds(in: experiment) }),
        !misread.contains(condition.path)
      else { continue }
      guard let item = given[key.path] else { continue }
      let reason = "has no effect with \(condition.path): \(condition.current(experiment))"
      if case .line(let line) = item.place, case .setting = given[condition.path]?.place {
        notices.append("\(name):\(line): \(key.path): \(reason), so it is left out")
        reset(key, in: &experiment)
      } else {
        report(
          item, key: key,
          "\(reason); leave it out, or give \(condition.path): \(orList(condition.values))")
      }
    }
    for key in ExperimentKey.all
    where key.isRequired && given[key.path] == nil && key.counts(in: experiment) && !isUnreadable {
      problems.append(source.problem(key.path, "is missing; give \(key.allowed)"))
    }
    checkTogether(experiment, misread: misread)
    try ExperimentProblems.check(problems, of: name)
    return Experiment.Reading(experiment: experiment, notices: notices, source: source)
  }

  /// The places of the keys that were read so far.
  private var source: ExperimentSource {
    ExperimentSource(
      name: name, settingPrefix: settingPrefix,
      keys: given.mapValues { .init(place: $0.place, isNamedByPlace: $0.isNamedByPlace) })
  }

  /// Gives a key its default again.
  private func reset(_ key: ExperimentKey, in experiment: inout Experiment) {
    guard let text = key.write(Experiment()), let node = try? Yams.compose(yaml: text) else {
      experiment.clearOptional(key.path)
      return
    }
    _ = key.read(node, fileContext, &experiment)
  }

  /// The rules that hold between keys; those that look at a key that was misread are left out.
  private mutating func checkTogether(_ experiment: Experiment, misread: Set<String>) {
    let source = source
    for problem in experiment.planProblems
    where misread.isDisjoint(with: [problem.key] + problem.others) {
      problems.append(source.problem(problem))
    }
    for case let (key, text)? in [experiment.packingProblem, experiment.deviceProblem]
    where !misread.contains(key) {
      problems.append(source.problem(key, text))
    }
  }

  // MARK: - Sentences

  private func allowedNames(in section: String) -> String {
    let names = (Self.sections[section] ?? []).joined(separator: ", ")
    return section.isEmpty ? "allowed at the top: \(names)" : "allowed in \(section): \(names)"
  }

  /// The sentence about a key that does not exist.
  /// - Parameter word: The key in the file or the setting, without the sections that it stands in.
  private mutating func unknownKey(_ path: String, _ word: String) -> String {
    unknownCount += 1
    // Each takes a hundred edit distances.
    guard unknownCount <= 20 else { return "unknown key" }
    if word.contains("."), let key = ExperimentKey.all.first(where: { $0.path == word }) {
      let parts = key.path.split(separator: ".")
      let nested = parts.dropLast().reversed().reduce("\(parts.last ?? ""): ...") {
        "\($1): {\($0)}"
      }
      return "unknown key; in a file, sections are nested: \(nested)"
    }
    var section = ""
    for part in path.split(separator: ".").map(String.init) {
      let longer = section.isEmpty ? part : section + "." + part
      if Self.sections[longer] == nil { break }
      section = longer
    }
    return "unknown key; \(ExperimentKey.suggestionText(for: path))\(allowedNames(in: section))"
  }

  private func describe(_ node: Node) -> String {
    switch node {
    case .scalar(let scalar):
      if scalar.style == .singleQuoted || scalar.style == .doubleQuoted {
        return "text '\(clipped(scalar.string))'"
      }
      return scalar.string.isEmpty ? "an empty value" : clipped(scalar.string)
    case .sequence(let nodes):
      return clipped("[" + nodes.map { describe($0) }.joined(separator: ", ") + "]")
    case .mapping(let pairs):
      return clipped(
        "{" + pairs.map { "\(describe($0.key)): \(describe($0.value))" }.joined(separator: ", ")
          + "}"
      )
    default: return "an alias"
    }
  }

  private mutating func report(_ item: Given, key: ExperimentKey, _ text: String) {
    report(at: item.place, key: item.isNamedByPlace ? nil : key.path, text)
  }

  private mutating func report(at place: Place, key: String?, _ text: String) {
    let source = ExperimentSource(name: name, settingPrefix: settingPrefix, keys: [:])
    problems.append(source.problem(at: place, key: key, text))
  }
}

extension Experiment {
  /// Unsets a path that has no default.
  fileprivate mutating func clearOptional(_ path: String) {
    switch path {
    case "partition.path": partition.path = nil
    case "federation.cohort.path": federation.cohort.path = nil
    case "adapter.initial": adapter.initial = nil
    case "system.path": system.path = nil
    default: break
    }
  }
}
