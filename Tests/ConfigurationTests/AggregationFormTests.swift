// `method.aggregation` in an experiment file: a name, or a name with settings.

import Configuration
import Federation
import Testing

@Suite("The aggregation in an experiment file")
struct AggregationFormTests {
  private func read(_ aggregation: String) throws -> Experiment {
    try Experiment.read(
      text: """
        model: {path: m}
        data: {path: d}
        method: {download: {select: all}, aggregation: \(aggregation)}
        federation: {server: {optimizer: sgd}}
        """,
      name: "x.yaml", directory: "/base", settings: [], settingsDirectory: "/here"
    ).experiment
  }

  @Test("every name is read, and config.yaml gives the same rule again")
  func names() throws {
    for kind in Aggregators.all {
      let experiment = try read(kind.name)
      #expect(experiment.method.aggregation == kind.rule)
      #expect(try read("{name: \(kind.name)}").method.aggregation == kind.rule)
      let again = try Experiment.read(
        text: experiment.yaml, name: "config.yaml", directory: "/base", settings: [],
        settingsDirectory: "/here"
      ).experiment
      #expect(again.method.aggregation == kind.rule)
    }
  }

  @Test(
    "what is no rule is refused",
    arguments: [
      "median", "{name: mean, trim: 0.1}", "{trim: 0.1}", "[mean]", "{name: [mean]}", "3",
    ])
  func refused(text: String) {
    do {
      _ = try read(text)
      Issue.record("\(text) was read")
    } catch {
      #expect("\(error)".contains("is not allowed; give mean, norm_weighted"), "\(error)")
    }
  }
}
