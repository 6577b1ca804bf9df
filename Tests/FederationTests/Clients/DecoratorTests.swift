// Objectives that wrap another one hand on all that is asked of them.

import Corpora
import Federation
import RandomStreams
import Sparsity
import Testing

/// Notes each call and answers with values of its own.
private final class NotingObjective: LocalObjective {
  var calls: [String] = []
  var onProgress: () -> Void = {}

  let parameterCount = 4
  let labelCount = 7
  let factors: FactorLayout? = nil
  let baseMatrices: [UnsafePointer<Float>]? = nil
  let tensorEnds = [1, 3, 4]

  func replaceBase(by matrices: UnsafePointer<Float>, owner: AnyObject) {}
  func exampleCount(_ split: Split) -> Int { split == .test ? 5 : 6 }
  func tokenCount(ofTrainingExample example: Int) -> Int { 10 * example }

  func gradient(
    ofTrainingExamples examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>, dropout: RandomKey?
  ) -> LossSums {
    calls.append("gradient \(examples) \(Array(parameters)) \(dropout?.step ?? -1)")
    for i in gradient.indices { gradient[i] = Float(i) + 0.5 }
    onProgress()
    return LossSums(loss: 2, correct: 1, count: 3, tokens: 4)
  }

  func evaluate(
    _ split: Split, examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    each: (Int, ExampleOutcome) throws -> Void
  ) throws {
    calls.append("evaluate \(split.rawValue) \(examples) \(Array(parameters))")
    try each(examples[0], ExampleOutcome(loss: 9, correct: 1, count: 2))
  }

  func watch(_ onProgress: @escaping () -> Void) { self.onProgress = onProgress }
}

@Suite struct DecoratorTests {
  /// Asks everything that has no factors of a decorator.
  private func ask(
    _ objective: any LocalObjective, at vector: [Float], _ whole: NotingObjective,
    sees expected: [Float]
  ) throws -> [Float] {
    #expect(objective.labelCount == 7)
    #expect(objective.exampleCount(.test) == 5 && objective.exampleCount(.train) == 6)
    #expect(objective.tokenCount(ofTrainingExample: 3) == 30)
    #expect(objective.factors == nil && objective.baseMatrices == nil)
    var beats = 0
    objective.watch { beats += 1 }
    var gradient = [Float](repeating: -1, count: vector.count)
    let sums = try vector.withUnsafeBufferPointer { vector in
      try gradient.withUnsafeMutableBufferPointer { gradient in
        try objective.gradient(
          ofTrainingExamples: [2, 1], at: vector, into: gradient,
          dropout: RandomKey(seed: 1, round: 2, client: 3, step: 4))
      }
    }
    #expect(sums == LossSums(loss: 2, correct: 1, count: 3, tokens: 4))
    // Without these the watchdog ends a healthy run.
    #expect(beats == 1)
    var outcomes: [Int: ExampleOutcome] = [:]
    try vector.withUnsafeBufferPointer { vector in
      try objective.evaluate(.test, examples: [4], at: vector) { outcomes[$0] = $1 }
    }
    #expect(outcomes == [4: ExampleOutcome(loss: 9, correct: 1, count: 2)])
    #expect(
      whole.calls == ["gradient [2, 1] \(expected) 4", "evaluate test [4] \(expected)"])
    return gradient
  }

  @Test("a difference from an origin hands on everything, its vector added to the origin")
  func difference() throws {
    let whole = NotingObjective()
    let origin = UnsafeMutablePointer<Float>.allocate(capacity: 2)
    defer { origin.deallocate() }
    (origin[0], origin[1]) = (10, 20)
    let objective = DifferenceObjective(whole, origin: [(1..<3, UnsafePointer(origin))])
    #expect(objective.parameterCount == 4 && objective.tensorEnds == [1, 3, 4])
    let gradient = try ask(objective, at: [1, 2, 3, 4], whole, sees: [1, 12, 23, 4])
    #expect(gradient == [0.5, 1.5, 2.5, 3.5])
  }

  @Test("a part of a vector hands on everything, its values put into the whole")
  func part() throws {
    let whole = NotingObjective()
    let objective = PartialObjective(
      whole, part: SupportMask(length: 4, indices: [0, 3]), frozen: [5, 6, 7, 8])
    #expect(objective.parameterCount == 2 && objective.tensorEnds == [1, 2])
    let gradient = try ask(objective, at: [1, 2], whole, sees: [1, 6, 7, 2])
    #expect(gradient == [0.5, 3.5])
  }
}
