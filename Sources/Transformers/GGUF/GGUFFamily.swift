// A family in llama.cpp: its name there, and the differences. Each family's file has one value of
// this kind; names of tensors follow from the family's own names (GGUFNames.swift). Facts are from
// llama.cpp's conversion/*.py and src/models/*.cpp.

internal import GGUF
internal import Kernels
internal import Safetensors

/// A family as llama.cpp knows it.
struct GGUFFamily: Sendable {
  /// llama.cpp's name of the architecture (`general.architecture`), by `model_type`.
  let architectures: [String: String]
  /// The values of `model_type` for which llama.cpp rotates neighbouring channels (2i, 2i+1) of a
  /// head, and not channels i and i + D/2. The rows of queries and keys are reordered for these.
  var rotatesNeighbours: Set<String> = []
  /// The activations that llama.cpp computes in this architecture. Its GELU is the tanh one.
  var activations: [Activation] = [.silu]
  /// True if the architecture has biases of all linear layers; false if of queries, keys and values
  /// alone.
  var hasAllBiases = false
  /// The kind of scaled rotary positions for which the architecture reads tensors of factors.
  var rotaryFactors: RotaryFactors?
  /// True if llama.cpp reads the window of the attention, and computes without it.
  var ignoresWindow = false
  /// Metadata that only this family has. A key without `tokenizer.` gets the architecture's name as
  /// prefix.
  /// - Throws: `FieldProblem` for a model that llama.cpp computes differently.
  var metadata: @Sendable (ModelConfiguration) throws -> [GGUFEntry] = { _ in [] }

  /// Tensors of rotary factors.
  enum RotaryFactors: Sendable {
    /// `rope_freqs.weight`, of Llama 3.1.
    case llama3
    /// `rope_factors_long.weight` and `rope_factors_short.weight`, of Phi-3.
    case long
  }

  /// BERT and its descendants, which llama.cpp has as models of embeddings.
  static func encoder(_ architectures: [String: String]) -> GGUFFamily {
    GGUFFamily(
      architectures: architectures, activations: [.gelu], hasAllBiases: true,
      metadata: { model in
        guard !model.isCausal else {
          throw FieldProblem("llama.cpp has this model only without a causal mask")
        }
        return [
          GGUFEntry(
            "tokenizer.ggml.token_type_count", .uint32(UInt32(max(1, model.tokenTypeCount))))
        ]
      })
  }

  /// Throws `FieldProblem` unless exactly the blocks of `isExpected` have the property `what`.
  static func require(
    _ what: String, in blocks: [Bool], where isExpected: (_ layer: Int) -> Bool
  ) throws {
    let place = blocks.indices.first { blocks[$0] != isExpected($0) }
    guard let place else { return }
    throw FieldProblem(
      "block \(place) \(blocks[place] ? "has" : "has no") \(what); llama.cpp expects the opposite")
  }
}
