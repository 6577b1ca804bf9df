// The objective of tests without a model: example e has a center c_e, and its loss is
//   f_e(x) = 1/2 sum_i s_i (x_i - c_e,i)^2,   gradient s_i (x_i - c_e,i),
// closed forms that are exact in Float when all numbers are small fractions of powers of two.
import Communication
package import Corpora
package import Federation
package import RandomStreams

/// The closed form above over the examples of three splits.
package final class QuadraticObjective: CoordinateObjective {
  /// s, one for each coordinate.
  package let scales: [Float]
  /// The center of each example.
  package let splits: [Split: [[Float]]]
  /// Examples of a smaller loss count as predicted right.
  package let threshold: Double
  /// Called before each batch with its examples and key; may throw, or change the gradient's sign,
  /// by returning a factor for the gradient.
  package var beforeBatch: ([Int], RandomKey?) throws -> Float = { _, _ in 1 }
  /// Is added to the loss of each batch, of its examples and key.
  package var extraLoss: ([Int], RandomKey?) -> Double = { _, _ in 0 }
  /// The tokens of an example: very different costs, so that schedules have something to balance.
  package var tokens: (_ example: Int) -> Int = { 1 + $0 * 7 % 13 }
  /// The batches of all gradients so far.
  package private(set) var batches: [[Int]] = []
  /// The vector of the last evaluation.
  package private(set) var evaluatedAt: [Float] = []

  /// An objective with these scales and centers.
  package init(
    scales: [Float], train: [[Float]], validation: [[Float]] = [], test: [[Float]] = [],
    threshold: Double = 1
  ) {
    self.scales = scales
    self.threshold = threshold
    splits = [.train: train, .validation: validation, .test: test]
  }

  /// As many as scales.
  package var parameterCount: Int { scales.count }

  /// As many as centers.
  package func exampleCount(_ split: Split) -> Int { splits[split]!.count }

  /// As `tokens`.
  package func tokenCount(ofTrainingExample example: Int) -> Int { tokens(example) }

  /// The mean gradient, times the factor of `beforeBatch`.
  package func gradient(
    ofTrainingExamples examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>, dropout: RandomKey?
  ) throws -> LossSums {
    batches.append(examples)
    let factor = try beforeBatch(examples, dropout)
    var sums = LossSums()
    gradient.update(repeating: 0)
    for example in examples {
      let center = splits[.train]![example]
      for i in scales.indices {
        gradient[i] += factor * scales[i] * (parameters[i] - center[i]) / Float(examples.count)
      }
      let outcome = self.outcome(.train, example, parameters)
      sums += LossSums(
        loss: outcome.loss, correct: outcome.correct, count: 1,
        tokens: tokenCount(ofTrainingExample: example))
    }
    sums.loss += extraLoss(examples, dropout)
    return sums
  }

  /// The outcome of each example.
  package func evaluate(
    _ split: Split, examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    each: (Int, ExampleOutcome) throws -> Void
  ) throws {
    evaluatedAt = Array(parameters)
    // Not in order, as an objective is free to do.
    for example in examples.reversed() { try each(example, outcome(split, example, parameters)) }
  }

  /// The outcome of one example.
  package func outcome(
    _ split: Split, _ example: Int, _ parameters: UnsafeBufferPointer<Float>
  ) -> ExampleOutcome {
    var loss = 0.0
    for i in scales.indices {
      let distance = Double(parameters[i] - splits[split]![example][i])
      loss += 0.5 * Double(scales[i]) * distance * distance
    }
    return ExampleOutcome(loss: loss, correct: loss < threshold ? 1 : 0, count: 1)
  }
}

/// Numbers between -1 and 1 that look random but are the same everywhere.
package func wobble(_ count: Int, salt: Int) -> [Float] {
  var state = UInt64(truncatingIfNeeded: salt) &* 0x9E37_79B9_7F4A_7C15 | 1
  return (0..<count).map { _ in
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return Float(Int32(truncatingIfNeeded: state >> 32)) / 0x1p31
  }
}

/// Values of a plan that most tests do not care about.
package func plan(
  rounds: Int = 1, cohort: CohortPlan, weighting: Weighting = .uniform,
  method: Method = .denseLoRA, server: ServerOptimizer = .sgd(learningRate: 1),
  local: LocalTraining = LocalTraining(learningRate: 0.5, momentum: 0),
  evaluation: EvaluationPlan = EvaluationPlan(splits: []), seed: UInt64 = 1,
  schedule: ClientSchedule = .longestFirst, uploads: UploadCollective = .gather
) -> FederationPlan {
  FederationPlan(
    rounds: rounds, cohort: cohort, weighting: weighting, method: method, server: server,
    local: local, evaluation: evaluation, seed: seed, schedule: schedule, uploads: uploads)
}

/// All rounds of a plan in one process.
package func play(
  _ plan: FederationPlan, clients: [[Int]], _ objective: QuadraticObjective, from start: [Float]
) throws -> (records: [RoundRecord], state: ServerState) {
  let run = try FederatedRun(
    plan: plan, partition: Partition(clients: clients), objective: objective,
    initialVector: start, communicator: SingleProcessCommunicator())
  var records: [RoundRecord] = []
  let final = try run.run { records.append($0) }
  return (records, final.state!)
}

/// Twenty examples of seven clients of one to six.
package let unevenClients = Partition(
  clients: [
    [0, 1, 2], [3], [4, 5, 6, 7, 8, 9], [10, 11], [12, 13, 14], [15], [16, 17, 18, 19],
  ])
