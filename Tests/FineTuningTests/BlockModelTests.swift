// Models whose frozen matrices are in blocks, against the double-precision goldens: what belongs to a
// layer is packed for that layer, also where files hold several in one tensor or transposed.

import FineTuning
import Kernels
import TestSupport
import Testing
import Transformers

@Suite("Frozen matrices in blocks")
struct BlockModelTests {
  /// 8-bit codes err by 1/254 of a block's largest weight at most; over the few products of a golden,
  /// logits come to 0.004 to 0.01.
  @Test(
    "logits with 8-bit blocks are near those with fp32",
    arguments: ["gpt2_classification", "phi3_classification"])
  func logits(_ name: String) throws {
    let golden = try Golden(name, precision: .q8_0)
    let logits = golden.adaptedModel().logits(
      golden.batch, parameters: golden.vector)
    let error = relativeError(logits, try golden.floats("logits"))
    #expect(error < 0.02)
    #expect(error > 1e-5, "blocks were not used")
  }
}
