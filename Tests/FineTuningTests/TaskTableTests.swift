// The table of tasks agrees with the tasks.

import Adapters
import FineTuning
import TestSupport
import Testing

@Suite("Table of tasks")
struct TaskTableTests {
  @Test("a row makes the task that has it", arguments: TaskKind.allCases.map(\.rawValue))
  func rows(_ name: String) throws {
    let kind = try #require(TaskKind(rawValue: name))
    let task = kind.make(TaskKind.Request(labels: 3, pooling: .mean))
    #expect(type(of: task).kind == kind)
    #expect(task.head.usesLanguageHead == kind.usesLanguageHead)
    #expect((task.labelCount > 0) == [.label, .labelSet].contains(kind.targets))
    #expect((task.head.labels == nil) == (task.head.peftModules == nil))
    // An example of the fewest tokens has something to predict.
    func items(_ tokens: Int) -> Int {
      task.itemCount(tokens: tokens, isAnswer: { [Bool](repeating: true, count: tokens) })
    }
    #expect(items(max(1, kind.leastTokens)) > 0)
    #expect(kind.leastTokens == 0 || items(kind.leastTokens - 1) == 0)
  }

  @Test("names are those of experiment files, and no other is known")
  func names() {
    #expect(
      TaskKind.allCases.map(\.rawValue) == [
        "classification", "multi_label_classification", "regression", "language_modelling",
        "instruction_tuning", "multiple_choice",
      ])
    #expect(TaskKind(rawValue: "ranking") == nil)
  }
}
