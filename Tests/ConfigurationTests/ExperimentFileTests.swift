// Experiment files and --set: what is understood, what is refused, and with which words.

import Configuration
import Federation
import Foundation
import Testing

private func read(_ text: String, _ settings: [String] = []) throws -> Experiment {
  try Experiment.read(
    text: text, name: "x.yaml", directory: "/base", settings: settings, settingsDirectory: "/here"
  ).experiment
}

private func problems(_ text: String, _ settings: [String] = []) -> [String] {
  do {
    _ = try read(text, settings)
    return []
  } catch let error as ExperimentProblems {
    return error.problems.map(\.description)
  } catch {
    return ["unexpected: \(error)"]
  }
}

private let minimal = "model: {path: m}\ndata: {path: d}\n"

/// Values off their defaults, so that a key that is written but not read is noticed.
private let unusual = """
  model: {path: ./models/a b}
  data: {path: "it's", max_length: 7}
  task: {kind: language_modelling}
  partition: {kind: file, path: ../owners.json, iid_mix: 0.25, shares_examples: true}
  adapter: {lora_rank: 3, alpha: 0.1, targets: [q_proj, 'true', "12"], dropout: 0.05, initial: ./a}
  method:
    download: {select: top_magnitude, density: {initial: 1, factor: 0.98, period: 3}}
    upload: {select: all}
  federation:
    rounds: 3
    cohort: {kind: file, path: /c.txt}
    weighting: examples
    server: {optimizer: adam_w, learning_rate: 1e-3, beta1: 0.5, beta2: 0.25, epsilon: 1e-7,
             weight_decay: 0, schedule: {kind: cosine, warmup_rounds: 2, final: 0.125}}
  local: {epochs: 2, batch_size: 5, learning_rate: 0.30000000000000004, optimizer: adam_w,
          beta1: 0.1, beta2: 0.2, epsilon: 0.3, weight_decay: 0.4, proximal: 0.5, shuffle: false,
          schedule: {kind: exponential, warmup_rounds: 1, factor: 0.75, period: 4}}
  evaluation: {every: 2, splits: [train, validation], maximum_examples: 9, masked: both, clients: 3,
               holdout: 0.2}
  compute: {threads: 1, micro_batch_tokens: 256}
  seed: 18446744073709551615
  """

struct ExperimentFileTests {
  @Test("a file with model and data alone gets every default")
  func defaults() throws {
    var expected = Experiment()
    expected.model.path = "m"
    expected.data.path = "d"
    #expect(try read(minimal) == expected)
  }

  @Test("every key is read from a file")
  func everyKey() throws {
    let value = try read(unusual)
    #expect(value.model.path == "/base/models/a b")
    #expect(value.data.path == "it's")
    #expect(value.partition.path == "/base/../owners.json")
    #expect(value.adapter.targets == ["q_proj", "true", "12"])
    #expect(value.method.download.density == .geometric(initial: 1, factor: 0.98, period: 3))
    #expect(value.method.upload.select == .all)
    #expect(value.federation.server.weightDecay == 0)
    #expect(value.federation.server.schedule.kind == .cosine)
    #expect(value.federation.server.schedule.warmupRounds == 2)
    #expect(value.federation.server.schedule.final == 0.125)
    #expect(value.local.learningRate == 0.1 + 0.2)
    let adam = [
      value.local.beta1, value.local.beta2, value.local.epsilon, value.local.weightDecay,
    ]
    #expect(adam == [0.1, 0.2, 0.3, 0.4])
    #expect(value.local.proximal == 0.5)
    #expect(value.local.schedule.factor == 0.75 && value.local.schedule.period == 4)
    #expect(value.evaluation.splits == [.train, .validation])
    #expect(value.evaluation.masked == .both)
    #expect(value.evaluation.clients == 3 && value.evaluation.holdout == 0.2)
    #expect(value.partition.iidMix == 0.25 && value.partition.sharesExamples)
    #expect(value.compute.microBatchTokens == 256)
    #expect(value.seed == .max)
  }

  @Test("the complete configuration read again is the same value", arguments: [minimal, unusual])
  func roundTrip(text: String) throws {
    let value = try read(text)
    let again = try read(value.yaml)
    #expect(again == value)
    #expect(again.yaml == value.yaml)
  }

  @Test("the complete configuration has every key that counts")
  func complete() throws {
    let value = try read(minimal)
    let text = value.yaml
    for key in ExperimentKey.all where key.defaultText != nil && key.counts(in: value) {
      let last = key.path.split(separator: ".").last.map(String.init) ?? ""
      #expect(text.contains("\(last): \(key.defaultText ?? "")"), "\(key.path)")
    }
    #expect(!text.contains("epsilon"))
  }

  @Test("a default given explicitly is accepted for each key that counts by default")
  func defaultsAreAllowed() throws {
    let base = try read(minimal)
    for key in ExperimentKey.all {
      guard let value = key.defaultText, key.counts(in: base) else { continue }
      #expect(try read(minimal, ["\(key.path)=\(value)"]) == base, "\(key.path)")
    }
  }

  @Test("docs/experiment-keys.md is what `cellm-mpi keys --markdown` prints")
  func keyDocumentation() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let page = try String(
      contentsOf: root.appendingPathComponent("docs/experiment-keys.md"), encoding: .utf8)
    #expect(page.hasSuffix(ExperimentKey.markdown))
  }

  @Test("the built-in experiment is the file of the same name")
  func builtIn() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let path = root.appendingPathComponent("experiments/\(Experiment.BuiltIn.name).yaml")
    let file = try String(contentsOf: path, encoding: .utf8)
    #expect(try read(file) == read(Experiment.BuiltIn.text))
  }

  @Test("the experiments that come along are valid")
  func shipped() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let folder = root.appendingPathComponent("experiments")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      .filter { $0.hasSuffix(".yaml") }
    #expect(names.count >= 4)
    for name in names where !name.hasSuffix(".sweep.yaml") {
      let text = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
      #expect(problems(text) == [], "\(name)")
    }
  }
}

struct ExperimentProblemTests {
  @Test("a value out of range says where, what and what is allowed")
  func range() {
    #expect(
      problems(minimal + "federation:\n  rounds: 0\n") == [
        "x.yaml:4: federation.rounds: 0 is not allowed; give an integer from 1 to 2147483648"
      ])
  }

  @Test(
    "impossible values are refused",
    arguments: [
      "method: {upload: {density: 0}}", "method: {upload: {density: 1.5}}",
      "method: {upload: {density: {initial: 1, factor: 2, period: 3}}}",
      "method: {upload: {density: {initial: 1, factor: 0.5}}}",
      "local: {learning_rate: -1}", "local: {learning_rate: .nan}", "local: {learning_rate: 0x10}",
      "local: {learning_rate: '0.1'}", "local: {epochs: 1.5}", "local: {epochs: 1e3}",
      "local: {shuffle: yes}", "local: {optimizer: adam}", "local: {proximal: -1}",
      "local: {schedule: {kind: step}}", "local: {schedule: {warmup_rounds: -1}}",
      "federation: {server: {schedule: {kind: linear, final: 1.5}}}", "federation: {rounds: [1]}",
      "federation: {rounds: }", "seed: -1", "seed: 18446744073709551616", "data: {max_length: 0}",
      "evaluation: {splits: []}", "evaluation: {splits: [test, test]}",
      "evaluation: {splits: test}",
      "adapter: {dropout: 1}", "adapter: {targets: []}", "adapter: {initial: ~/a}",
      "compute: {threads: 0}", "method: all", "federation: {server: 3}", "task: {kind: }",
    ])
  func impossible(line: String) {
    let text = "model: {path: m}\n" + (line.hasPrefix("data") ? "" : "data: {path: d}\n") + line
    let found = problems(text)
    #expect(found.contains { $0.contains("is not allowed; give ") }, "\(found)")
  }

  @Test("an unknown key gets the nearest valid one and the list")
  func unknown() {
    #expect(
      problems(minimal + "federation:\n  cohort_sise: 3\nlearning_rate: 1\nadaptor: {a: 1}\n") == [
        "x.yaml:4: federation.cohort_sise: unknown key; did you mean federation.cohort_size?"
          + " allowed in federation: rounds, cohort, cohort_size, weighting, uploads,"
          + " non_finite, server",
        "x.yaml:5: learning_rate: unknown key; did you mean local.learning_rate or"
          + " federation.server.learning_rate?"
          + " allowed at the top: model, data, task, partition, adapter, method, federation, privacy,"
          + " local, evaluation, compute, checkpoint, watchdog, output, system, seed",
        "x.yaml:6: adaptor: unknown key; did you mean adapter?"
          + " allowed at the top: model, data, task, partition, adapter, method, federation, privacy,"
          + " local, evaluation, compute, checkpoint, watchdog, output, system, seed",
      ])
  }

  @Test("all problems are reported together, in the order of the file, then of the settings")
  func together() {
    let found = problems(
      "data: {path: 3}\nseed: x\nfederation: {rounds: -1, server: {tau: 1, optimizer: sgd}}\n",
      ["local.epochs=0", "nope"])
    #expect(found.count == 6, "\(found)")
    #expect(found[0].hasPrefix("x.yaml:2: seed: x is not allowed"))
    #expect(found[1].hasPrefix("x.yaml:3: federation.rounds: -1 is not allowed"))
    #expect(
      found[2]
        == "x.yaml:3: federation.server.tau: has no effect with federation.server.optimizer: sgd;"
        + " leave it out, or give federation.server.optimizer: fed_adagrad, fed_yogi or fed_adam")
    #expect(found[3] == "--set local.epochs=0: 0 is not allowed; give an integer from 1 to 1048576")
    #expect(found[4] == "--set nope: has no value; give path.to.key=value")
    #expect(found[5].hasPrefix("x.yaml: model.path: is missing; give "))
  }

  @Test("a key without effect is an error", arguments: ["adam_w", "sgd"])
  func withoutEffect(optimizer: String) {
    let found = problems(
      minimal + "federation: {server: {optimizer: \(optimizer), tau: 0.1}}")
    #expect(found.count == 1)
    #expect(found.first?.contains("has no effect with federation.server.optimizer") == true)
  }

  @Test(
    "each optimizer takes its own keys and refuses the others'",
    arguments: [
      ("sgd", ""), ("fed_avgm", "momentum"), ("fed_adagrad", "beta1 tau"),
      ("fed_yogi", "beta1 beta2 tau"), ("fed_adam", "beta1 beta2 tau"),
      ("adam_w", "beta1 beta2 epsilon weight_decay"),
    ])
  func optimizerKeys(optimizer: String, keys: String) throws {
    let own = keys.split(separator: " ").map(String.init)
    for key in ["momentum", "beta1", "beta2", "tau", "epsilon", "weight_decay"] {
      let text = minimal + "federation: {server: {optimizer: \(optimizer), \(key): 0.25}}"
      #expect(problems(text).isEmpty == own.contains(key), "\(optimizer), \(key)")
    }
    let value = try read(minimal + "federation: {server: {optimizer: \(optimizer)}}")
    #expect(value.federation.server.beta1 == (optimizer == "fed_adagrad" ? 0 : 0.9))
    #expect(value.federation.server.beta2 == (optimizer == "adam_w" ? 0.999 : 0.99))
    let plan = try value.federationPlan(assets: AssetDirectory(environment: [:]))
    #expect(
      plan.server.momentCount == ["sgd": 0, "fed_avgm": 1][optimizer, default: 2])
  }

  @Test("privacy's keys are read, count where they have an effect, and reach the plan")
  func privacy() throws {
    func plan(_ text: String) throws -> Privacy? {
      let value = try read(minimal + "privacy: {" + text + "}")
      #expect(try read(value.yaml) == value)
      return try value.federationPlan(assets: AssetDirectory(environment: [:])).privacy
    }
    #expect(try plan("clipping: none") == nil)
    #expect(
      try plan("clipping: fixed, clip: 0.5, noise_multiplier: 0")
        == Privacy(clipping: .fixed(0.5), noise: .multiplier(0), delta: 1e-5))
    #expect(
      try plan(
        "clipping: adaptive, clip: 2, clip_quantile: 0.75, clip_learning_rate: 0.125,"
          + " clip_count_deviation: 3, target_epsilon: 8, delta: 1e-6, noise_cohort_size: 100,"
          + " population: 1000")
        == Privacy(
          clipping: .adaptive(
            AdaptiveClip(initial: 2, quantile: 0.75, learningRate: 0.125, countDeviation: 3)),
          noise: .targetEpsilon(8), delta: 1e-6, noiseCohortSize: 100, population: 1000))
    for (text, reason) in [
      ("clipping: none, clip: 1", "has no effect with privacy.clipping: none"),
      ("clipping: fixed, noise_multiplier: 1", "privacy.clip: is missing"),
      ("clipping: fixed, clip: 1", "privacy.noise_multiplier: is missing"),
      (
        "clipping: fixed, clip: 1, noise_multiplier: 1, target_epsilon: 2",
        "has no effect with privacy.target_epsilon: 2"
      ),
      (
        "clipping: fixed, clip: 1, noise_multiplier: 1, clip_quantile: 0.5",
        "has no effect with privacy.clipping: fixed"
      ),
      ("noise_multiplier: 1", "has no effect with privacy.clipping: none"),
      ("clipping: fixed, clip: 0, noise_multiplier: 1", "0 is not allowed"),
      ("clipping: fixed, clip: 1, noise_multiplier: 1, delta: 1", "1 is not allowed"),
    ] {
      let found = problems(minimal + "privacy: {" + text + "}")
      #expect(found.count == 1 && found[0].contains(reason), "\(text): \(found)")
    }
    let weighted = problems(
      minimal + "federation: {weighting: examples}\nmethod: {aggregation: norm_weighted}\n"
        + "privacy: {clipping: fixed, clip: 1, noise_multiplier: 1}\n")
    #expect(weighted.count == 2)
    for text in [
      "x.yaml:3: federation.weighting: examples is not allowed with privacy; give uniform",
      "x.yaml:4: method.aggregation: norm_weighted is not allowed with privacy; give mean",
    ] { #expect(weighted.contains { $0.hasPrefix(text) }, "\(weighted)") }
  }

  @Test("--set that switches privacy off leaves the file's other privacy keys out, with notices")
  func privacyOff() throws {
    let reading = try Experiment.read(
      text: minimal + "privacy: {clipping: adaptive, clip: 2, clip_quantile: 0.75,"
        + " target_epsilon: 3}", name: "x.yaml", directory: "/",
      settings: ["privacy.clipping=none"])
    #expect(reading.notices.count == 3)
    #expect(reading.experiment.privacy == Experiment().privacy)
  }

  @Test("a schedule takes the keys of its kind and reaches the plan")
  func schedules() throws {
    let keys = [
      "final": ["linear", "cosine"], "factor": ["exponential"], "period": ["exponential"],
    ]
    for kind in ["constant", "linear", "cosine", "exponential"] {
      for (key, kinds) in keys {
        let text = minimal + "local: {schedule: {kind: \(kind), \(key): 1}}"
        #expect(problems(text).isEmpty == kinds.contains(kind), "\(kind), \(key)")
      }
    }
    let plan = try read(
      minimal + """
        federation:
          rounds: 30
          server: {schedule: {kind: cosine, warmup_rounds: 5, final: 0}}
        local: {momentum: 0.5, schedule: {kind: exponential, factor: 0.5, period: 3}}
        """
    ).federationPlan(assets: AssetDirectory(environment: [:]))
    #expect(
      plan.serverSchedule
        == LearningRateSchedule(decay: .cosine(final: 0, rounds: 30), warmupRounds: 5))
    #expect(
      plan.local.schedule == LearningRateSchedule(decay: .exponential(factor: 0.5, period: 3)))
    #expect(plan.local.optimizer == .sgd(momentum: 0.5))
  }

  @Test(
    "a partition's key counts with its kinds alone",
    arguments: [
      ("kind: iid, alpha: 1", "dirichlet or virtual"),
      ("kind: natural, clients: 3", "dirichlet, iid, shards, quantity_skew or virtual"),
      ("kind: dirichlet, shards_per_client: 3", "shards"),
      ("kind: shards, sigma: 1", "quantity_skew or virtual"),
      ("kind: quantity_skew, iid_mix: 0.5", "dirichlet, natural, shards or file"),
      ("kind: iid, shares_examples: true", "file"),
    ])
  func partitionKeys(section: String, kinds: String) {
    let found = problems(minimal + "partition: {\(section)}\n")
    #expect(found.count == 1, "\(found)")
    #expect(found.first?.hasSuffix("leave it out, or give partition.kind: \(kinds)") == true)
  }

  @Test("a share that is held out counts only where clients are evaluated")
  func holdout() throws {
    #expect(
      problems(minimal + "evaluation: {holdout: 0.2}\n") == [
        "x.yaml:3: evaluation.holdout: has no effect with evaluation.clients: 0; leave it out, or"
          + " give evaluation.clients: 1 or more"
      ])
    #expect(try read(minimal + "evaluation: {holdout: 0.2, clients: 9}").evaluation.holdout == 0.2)
  }

  @Test("a cohort larger than the population is refused where it was given")
  func cohort() {
    #expect(
      problems(minimal + "partition: {clients: 5}\nfederation: {cohort_size: 6}\n") == [
        "x.yaml:4: federation.cohort_size: 6 is not allowed; give an integer from 1 to 5,"
          + " as the population is 5"
      ])
    #expect(
      problems(minimal + "partition: {clients: 5}\n") == [
        "x.yaml:3: federation.cohort_size: 10 is not allowed; give an integer from 1 to 5,"
          + " as the population is 5"
      ])
    #expect(problems(minimal + "partition: {kind: natural}\nfederation: {cohort_size: 999}") == [])
  }

  @Test(
    "a rule of the plan names the line, also of the other key, and waits for a key that is misread")
  func planRules() {
    #expect(
      problems(minimal + "method: {aggregation: product_mean}\nfederation: {uploads: host_sums}\n")
        == [
          "x.yaml:4: federation.uploads: host_sums sends sums of uploads, but the aggregation needs"
            + " the upload of each client"
        ])
    #expect(
      problems(minimal + "method: {aggregation: stacked, download: {select: all}}\n") == [
        "x.yaml:3: federation.server.optimizer: aggregation stacked adds the mean product to the base"
          + " weights, without moments; the server's optimizer must be sgd (learning_rate 1 is the"
          + " mean itself)"
      ])
    let misread = problems(minimal + "partition: {kind: even}\nfederation: {cohort_size: 999}\n")
    #expect(misread.count == 1 && misread[0].contains("partition.kind"), "\(misread)")
  }

  @Test("repeated keys are all reported, along with everything else")
  func repeated() {
    #expect(
      problems("seed: 1\nseed: 2\nmodel: {path: m, path: n}\ndata: {path: d}\nlocal: {epochs: 0}")
        == [
          "x.yaml:1: seed: is given more than once",
          "x.yaml:3: model.path: is given more than once",
          "x.yaml:5: local.epochs: 0 is not allowed; give an integer from 1 to 1048576",
        ])
  }

  @Test(
    "text that is no YAML ends in one line with a line number",
    arguments: [
      "a: [1", "a: b: c", "\t- x", "a: *b", "a: 1\n---\nb: 2", "\0", "- 1\n- 2", "7", "}",
    ])
  func noYAML(text: String) {
    let found = problems(text)
    #expect(!found.isEmpty)
    #expect(found.allSatisfy { !$0.contains("\n") && $0.hasPrefix("x.yaml") }, "\(found)")
  }

  @Test("nesting without end is refused, not a crash")
  func deep() {
    #expect(!problems(String(repeating: "[", count: 100_000)).isEmpty)
    #expect(!problems(String(repeating: "{a: ", count: 100_000)).isEmpty)
    #expect(!problems("a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]").isEmpty)
  }

  @Test("an empty file lacks what has no default")
  func empty() {
    for text in ["", "# nothing\n", "---\n"] {
      #expect(
        problems(text).map { $0.prefix(26) } == [
          "x.yaml: model.path: is mis", "x.yaml: data.path: is miss",
        ])
    }
  }
}

struct SettingTests {
  @Test("--set wins over the file, and the last over the others")
  func order() throws {
    let value = try read(minimal + "seed: 1", ["seed=2", "seed=3", "local.shuffle=false"])
    #expect(value.seed == 3)
    #expect(!value.local.shuffle)
  }

  @Test("--set of a section replaces it")
  func section() throws {
    let text = minimal + "method: {upload: {select: top_magnitude, density: 0.5}}"
    let value = try read(text, ["method.upload={select: all}"])
    #expect(value.method.upload.select == .all)
    #expect(
      try read(text, ["method.upload.density={initial: 1, factor: 0.5, period: 2}"])
        .method.upload.density == .geometric(initial: 1, factor: 0.5, period: 2))
  }

  @Test("what --set makes idle in the file is left out, with a notice")
  func idle() throws {
    let reading = try Experiment.read(
      text: minimal + "method: {upload: {density: 0.5}}", name: "x.yaml", directory: "/",
      settings: ["method.upload.select=all"])
    #expect(
      reading.notices == [
        "x.yaml:3: method.upload.density: has no effect with method.upload.select: all,"
          + " so it is left out"
      ])
    #expect(try read(reading.experiment.yaml) == reading.experiment)
  }

  @Test("paths in --set are relative to the working directory")
  func paths() throws {
    #expect(try read(minimal, ["model.path=./m"]).model.path == "/here/m")
  }

  @Test("a misspelt --set gets the nearest key")
  func misspelt() {
    #expect(
      problems(minimal, ["fedration.round=3"]).first?.hasPrefix(
        "--set fedration.round=3: unknown key; did you mean federation.rounds?") == true)
    #expect(problems(minimal, ["=3"]).count == 1)
    #expect(problems(minimal, ["federation=3"]).count == 1)
    #expect(
      problems(minimal, ["method.upload.density.initial=1"]).first?.contains(
        "set method.upload.density as a whole") == true)
  }
}
