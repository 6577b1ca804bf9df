// Models whose frozen products are in bf16, against the double-precision goldens; and their refusal where
// the build or the CPU has no such products.

import Adapters
import FineTuning
import Kernels
import TestSupport
import Testing
import Transformers

@Suite(
  "Frozen products in bf16",
  .enabled(if: BF16.unavailableReason == nil, "\(BF16.unavailableReason ?? "")"))
struct ReducedPrecisionTests {
  /// A product of factors that are rounded by at most u = 2^-8 errs by 2 u of its terms at worst. The
  /// gradient of a golden's lowest layer comes through P = 8 products a block (4 in a row forward, 4 back)
  /// and the head's two; their errors are independent, so they add up as sqrt(P). Norms and softmax
  /// divide by what an error is relative to, for which a factor of 2 is allowed. Goldens come to 0.01 to
  /// 0.04, where 0.066 is allowed.
  static func tolerance(_ golden: Golden) -> Double {
    2 * 2 * 0x1p-8 * Double(8 * golden.model.configuration.layerCount + 2).squareRoot()
  }

  @Test("logits, loss and gradients within the bound of their roundings", arguments: Golden.names)
  func parity(_ name: String) throws {
    let golden = try Golden(name, precision: .bf16)
    let tolerance = Self.tolerance(golden)
    let model = golden.adaptedModel()
    let batch = golden.batch
    let logits = relativeError(
      model.logits(batch, parameters: golden.vector), try golden.floats("logits"))
    #expect(logits <= tolerance)
    #expect(logits > 1e-5, "bf16 was not used")
    var gradient = [Float](repeating: 0, count: golden.vector.count)
    let items = golden.items
    let outcomes = model.addGradient(
      of: batch, labels: golden.labels, parameters: golden.vector, gradient: &gradient,
      lossScale: 1 / Float(items))
    let loss = outcomes.reduce(0) { $0 + $1.loss } / Double(items)
    let reference = Double(try golden.floats("loss")[0])
    #expect(abs(loss - reference) <= tolerance * abs(reference))
    for segment in golden.layout.segments {
      let error = relativeError(
        gradient[segment.range], try golden.floats("gradient." + segment.name))
      #expect(error <= tolerance, "\(segment.name)")
    }
    var again = [Float](repeating: 0, count: golden.vector.count)
    _ = model.addGradient(
      of: batch, labels: golden.labels, parameters: golden.vector, gradient: &again,
      lossScale: 1 / Float(items))
    #expect(again == gradient, "the same bits again")
  }

  @Test("ranks of a node share one block of packed and widened weights", arguments: Golden.names)
  func shared(_ name: String) throws {
    let golden = try Golden(name, precision: .bf16)
    let directory = golden.model.directory
    let count = try PretrainedModel.widenedCount(directory: directory, precision: .bf16)
    #expect(count * 4 >= golden.model.packedBytes && golden.model.packedBytes > 0)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: count * 4, alignment: 64)
      .bindMemory(to: Float.self, capacity: count)
    let batch = golden.batch
    let expected = golden.adaptedModel().logits(batch, parameters: golden.vector)
    for isFilled in [false, true] {
      let slices = WidenedSlices(memory, isFilled: isFilled)
      let model = try PretrainedModel(
        directory: directory, storage: slices.take, precision: .bf16)
      #expect(slices.count == count)
      let longest = golden.sequences.map(\.count).max()!
      let adapted = AdaptedModel(
        model: model, layout: golden.layout, task: golden.task, capacity: batch.tokenCount,
        longestSequence: longest)
      #expect(adapted.logits(batch, parameters: golden.vector) == expected)
    }
  }

  @Test("a head that is not packed stays in fp32")
  func headOutside() throws {
    let directory = "\(Golden.root)/llama_lm_tied"
    let all = try PretrainedModel(directory: directory, precision: .bf16)
    let some = try PretrainedModel(
      directory: directory, precision: .bf16, packsLanguageHead: false)
    #expect(some.packedBytes < all.packedBytes)
    #expect(all.languageHead!.output.weight is BF16Matrix)
    #expect(some.weights.blocks[0][.up].weight is BF16Matrix)
    #expect(some.languageHead!.output.weight is PlainMatrix)
  }
}

@Suite("Refusal of bf16")
struct RefusalTests {
  @Test(
    "one line says what is missing",
    .enabled(if: BF16.unavailableReason != nil, "this build and this CPU have products in bf16"))
  func refusal() throws {
    let directory = "\(Golden.root)/llama_lm_tied"
    let error = try #require(throws: ModelError.self) {
      try PretrainedModel(directory: directory, precision: .bf16)
    }
    #expect(error.reason == BF16.unavailableReason)
    #expect(error.description.contains("bf16") && !error.description.contains("\n"))
    #expect(throws: ModelError.self) {
      try PretrainedModel.widenedCount(directory: directory, precision: .bf16)
    }
  }
}
