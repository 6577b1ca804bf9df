// Instruction tuning: the loss of answers alone, from PyTorch's logits in double precision; gradients that
// add up; and what a corpus with answers has to be.

import Corpora
import FineTuning
import Foundation
import Kernels
import Safetensors
import TestSupport
import Testing
import Transformers

@Suite("Instruction tuning")
struct InstructionTuningTests {
  static let names = Golden.names.filter { $0.contains("_lm") }

  /// A golden of language modelling, and an answer in each of its sequences: their last third.
  struct Marked {
    let golden: Golden
    let marks: [[Bool]]
    let model: AdaptedModel

    init(_ name: String) throws {
      golden = try Golden(name)
      marks = golden.sequences.map { sequence in
        sequence.indices.map { $0 >= sequence.count - (sequence.count + 2) / 3 }
      }
      let layout = golden.layout
      let total = golden.sequences.reduce(0) { $0 + $1.count }
      model = AdaptedModel(
        model: golden.model, layout: layout, task: InstructionTuning(), capacity: total,
        longestSequence: golden.sequences.map(\.count).max()!)
    }

    func batch(_ isCounted: (Int, Int) -> Bool) -> PackedSequences {
      var batch = PackedSequences()
      for (index, sequence) in golden.sequences.enumerated() {
        batch.append(sequence, isCounted: sequence.indices.map { isCounted(index, $0) })
      }
      return batch
    }

    func gradient(_ batch: PackedSequences) -> [Float] {
      var gradient = [Float](repeating: 0, count: golden.vector.count)
      _ = model.addGradient(
        of: batch, labels: [], parameters: golden.vector, gradient: &gradient, lossScale: 0.125)
      return gradient
    }
  }

  @Test("losses, counts and exact answers are those of PyTorch's logits", arguments: names)
  func outcomes(_ name: String) throws {
    let marked = try Marked(name)
    let golden = marked.golden
    let outcomes = marked.model.evaluate(
      marked.batch { marked.marks[$0][$1] }, labels: [], parameters: golden.vector)
    let logits = try golden.floats("logits")
    let vocabulary = golden.model.configuration.vocabularySize
    var row = 0
    for (index, sequence) in golden.sequences.enumerated() {
      var (loss, count, correct) = (0.0, 0, 0)
      for token in sequence.indices.dropLast() where marked.marks[index][token + 1] {
        let values = logits[(row + token) * vocabulary..<(row + token + 1) * vocabulary]
          .map(Double.init)
        let target = Int(sequence[token + 1])
        loss += log(values.reduce(0) { $0 + exp($1) }) - values[target]
        count += 1
        correct += values.firstIndex(of: values.max()!) == target ? 1 : 0
      }
      row += sequence.count
      #expect(outcomes[index].count == count)
      #expect(outcomes[index].correct == correct)
      #expect(outcomes[index].isExact == (count == 0 ? nil : correct == count))
      #expect(abs(outcomes[index].loss - loss) <= 1e-5 * max(1, loss))
    }
  }

  @Test("the gradients of answers and of all else add up to language modelling's", arguments: names)
  func gradients(_ name: String) throws {
    let marked = try Marked(name)
    let answers = marked.gradient(marked.batch { marked.marks[$0][$1] })
    let rest = marked.gradient(marked.batch { !marked.marks[$0][$1] })
    let all = marked.gradient(marked.batch { _, _ in true })
    #expect(answers != all)
    #expect(relativeError(zip(answers, rest).map { $0 + $1 }, all) <= tolerance)
    #expect(marked.gradient(PackedSequences(marked.golden.sequences)) == all)
  }

  @Test("a continuation that the model would choose is exact, and one other token makes it inexact")
  func exact() throws {
    let golden = try Golden("gpt2_lm")
    let model = golden.adaptedModel()
    let vocabulary = golden.model.configuration.vocabularySize
    // Greedy decoding, one token at a time.
    var sequence = golden.sequences[1]
    let prompt = sequence.count
    for _ in 0..<6 {
      let logits = model.logits(PackedSequences([sequence]), parameters: golden.vector)
      let last = logits.suffix(vocabulary)
      sequence.append(Int32(last.firstIndex(of: last.max()!)! - last.startIndex))
    }
    let task = AdaptedModel(
      model: golden.model, layout: golden.layout, task: InstructionTuning(), capacity: 64,
      longestSequence: 64)
    func isExact(_ sequence: [Int32]) -> Bool? {
      var batch = PackedSequences()
      batch.append(sequence, isCounted: sequence.indices.map { $0 >= prompt })
      return task.evaluate(batch, labels: [], parameters: golden.vector)[0].isExact
    }
    #expect(isExact(sequence) == true)
    for place in prompt..<sequence.count {
      var other = sequence
      other[place] = (other[place] + 1) % Int32(vocabulary)
      #expect(isExact(other) == false)
    }
  }

  @Test("a corpus without marks, or with other marks than 0 and 1, is refused")
  func corpora() throws {
    let directory = try TemporaryDirectory()
    func write(_ marks: [UInt8]?, _ split: String) throws {
      var tensors = [
        TensorToWrite(name: "tokens", shape: [4], int32s: [1, 2, 3, 4]),
        TensorToWrite(name: "offsets", shape: [3], int64s: [0, 2, 4]),
      ]
      if let marks {
        tensors.append(
          TensorToWrite(name: "loss", elementType: .u8, shape: [marks.count], bytes: marks))
      }
      try SafetensorsWriter.write(
        tensors, metadata: [:], to: directory.path + "/\(split).safetensors")
    }
    try write(nil, "train")
    try write(nil, "test")
    let plain = try TokenCorpus(directory: directory.path)
    #expect(throws: CorpusError.self) { try plain.requireAnswers() }
    try write([0, 1, 0, 1], "train")
    #expect(throws: CorpusError.self) { try TokenCorpus(directory: directory.path) }
    try write([0, 1, 1, 1], "test")
    let marked = try TokenCorpus(directory: directory.path)
    #expect(marked.isAnswer(of: 1, in: .test, limit: 8) == [true, true])
    #expect(marked.isAnswer(of: 0, in: .train, limit: 1) == [false])
    try write([0, 1, 2, 1], "test")
    #expect(throws: CorpusError.self) { try TokenCorpus(directory: directory.path) }
    try write([0, 1], "test")
    #expect(throws: CorpusError.self) { try TokenCorpus(directory: directory.path) }
  }
}
