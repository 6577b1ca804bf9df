// Multiple choice: likelihoods and choices from PyTorch's logits in double precision, by both rules, and
// an objective over a corpus of choices.

import Corpora
import Federation
import FineTuning
import Foundation
import Kernels
import Safetensors
import TestSupport
import Testing
import Transformers

@Suite("Multiple choice")
struct MultipleChoiceTests {
  /// -log p of the last `answer` tokens of each sequence, by the golden's logits.
  static func losses(_ golden: Golden, answer: Int) throws -> [Double] {
    let logits = try golden.floats("logits")
    let vocabulary = golden.model.configuration.vocabularySize
    var row = 0
    return golden.sequences.map { sequence in
      defer { row += sequence.count }
      return (max(1, sequence.count - answer)..<sequence.count).reduce(0) { sum, token in
        let values = logits[(row + token - 1) * vocabulary..<(row + token) * vocabulary]
          .map(Double.init)
        return sum + log(values.reduce(0) { $0 + exp($1) }) - values[Int(sequence[token])]
      }
    }
  }

  @Test(
    "the choice of the largest likelihood is taken, by tokens and by characters",
    arguments: ["gpt2_lm", "llama_lm_tied"])
  func choices(_ name: String) throws {
    let golden = try Golden(name)
    let answer = 2
    let losses = try Self.losses(golden, answer: answer)
    let characters = [3, 40, 2, 9, 1]
    let model = AdaptedModel(
      model: golden.model, layout: golden.layout, task: MultipleChoice(), capacity: 200,
      longestSequence: 130)
    func argmin(_ values: [Double]) -> Int { values.firstIndex(of: values.min()!)! }
    let plain = argmin(losses)
    let normalized = argmin(zip(losses, characters).map { $0 / Double($1) })
    #expect(plain != normalized, "the two rules have to differ for this test to say anything")
    for right in golden.sequences.indices {
      var batch = PackedSequences()
      for (index, sequence) in golden.sequences.enumerated() {
        batch.append(
          sequence, isCounted: sequence.indices.map { $0 >= sequence.count - answer },
          targets: MultipleChoice.targets(
            characters: characters[index], isRight: index == right,
            isLast: index == golden.sequences.count - 1))
      }
      let outcomes = model.evaluate(batch, labels: [], parameters: golden.vector)
      #expect(outcomes.count == 1)
      #expect(outcomes[0].choice?.isRight == (right == plain))
      #expect(outcomes[0].choice?.isRightNormalized == (right == normalized))
      #expect(abs(outcomes[0].loss - losses[right]) < 1e-5 * max(1, losses[right]))
    }
  }

  @Test("an objective trains on right choices and evaluates all of them")
  func objective() throws {
    let golden = try Golden("gpt2_lm")
    let directory = try TemporaryDirectory()
    // Two examples: choices of the sequences 1, 3 and of 2, 1; right are the second and the first.
    let rows = [[1, 3], [2, 1]].map { $0.map { golden.sequences[$0] } }
    for split in ["train", "test"] {
      let tokens = rows.flatMap { $0.flatMap { $0 } }
      let lengths = rows.flatMap { $0.map { Int32($0.count) } }
      let marks = rows.flatMap { choices in
        choices.flatMap { row in row.indices.map { $0 >= row.count - 2 ? UInt8(1) : 0 } }
      }
      let ends = rows.map { $0.reduce(0) { $0 + $1.count } }
      try SafetensorsWriter.write(
        [
          TensorToWrite(
            name: "offsets", shape: [3], int64s: [0, Int64(ends[0]), Int64(ends[0] + ends[1])]),
          TensorToWrite(name: "tokens", shape: [tokens.count], int32s: tokens),
          TensorToWrite(name: "labels", shape: [2], int32s: [1, 0]),
          TensorToWrite(name: "choice_counts", shape: [2], int32s: [2, 2]),
          TensorToWrite(name: "choice_lengths", shape: [4], int32s: lengths),
          TensorToWrite(name: "choice_characters", shape: [4], int32s: [5, 5, 5, 5]),
          TensorToWrite(name: "loss", elementType: .u8, shape: [marks.count], bytes: marks),
        ], metadata: [:], to: directory.path + "/\(split).safetensors")
    }
    let corpus = try TokenCorpus(directory: directory.path)
    try corpus.requireChoices()
    let longest = rows.map { $0.reduce(0) { $0 + $1.count } }.max()!
    func model(_ task: any Task) -> AdaptedModel {
      AdaptedModel(
        model: golden.model, layout: golden.layout, task: task, capacity: 64,
        longestSequence: longest)
    }
    let objective = TransformerObjective(
      models: [model(MultipleChoice())], corpus: corpus, maximumLength: longest)
    var outcomes: [Int: ExampleOutcome] = [:]
    try golden.vector.withUnsafeBufferPointer { vector in
      try objective.evaluate(.test, examples: [0, 1], at: vector) { outcomes[$0] = $1 }
    }
    let losses = try Self.losses(golden, answer: 2)
    #expect(outcomes[0]?.choice?.isRight == (losses[3] < losses[1]))
    #expect(outcomes[1]?.choice?.isRight == (losses[2] <= losses[1]))
    #expect(outcomes[0]?.count == 2)
    // The gradient is that of instruction tuning on the two right rows.
    var gradient = [Float](repeating: 0, count: golden.vector.count)
    let sums = try golden.vector.withUnsafeBufferPointer { vector in
      try gradient.withUnsafeMutableBufferPointer {
        try objective.gradient(ofTrainingExamples: [0, 1], at: vector, into: $0, dropout: nil)
      }
    }
    #expect(sums.count == 4)
    var batch = PackedSequences()
    for row in [rows[0][1], rows[1][0]] {
      batch.append(row, isCounted: row.indices.map { $0 >= row.count - 2 })
    }
    var expected = [Float](repeating: 0, count: golden.vector.count)
    _ = model(InstructionTuning()).addGradient(
      of: batch, labels: [], parameters: golden.vector, gradient: &expected, lossScale: 0.25)
    #expect(relativeError(gradient, expected) < 1e-5)
  }
}
