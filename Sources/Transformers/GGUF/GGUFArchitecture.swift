// A model as llama.cpp has it: the name of its architecture, and its tensors under llama.cpp's
// names and in llama.cpp's order of rows.

package import GGUF
internal import Safetensors

/// The form of one model in GGUF files.
package struct GGUFArchitecture: Sendable {
  /// `general.architecture`, such as `llama`.
  package let name: String
  let configuration: ModelConfiguration
  let family: GGUFFamily
  private let names: GGUFNames
  private let rotatesNeighbours: Bool

  /// The form of `model`.
  /// - Throws: `ModelError` if llama.cpp does not have the family.
  package init(_ model: PretrainedModel) throws {
    configuration = model.configuration
    guard let family = configuration.family.gguf,
      let name = family.architectures[model.modelType]
    else {
      throw ModelError(
        path: model.directory,
        reason: "llama.cpp has no models of model_type \"\(model.modelType)\", so there is no GGUF "
          + "file of it")
    }
    self.family = family
    self.name = name
    names = GGUFNames(configuration)
    rotatesNeighbours = family.rotatesNeighbours.contains(model.modelType)
  }

  /// The tensors `NAME.lora_a` and `NAME.lora_b` of a module's factors; nil if llama.cpp has no
  /// such module.
  /// - Parameters:
  ///   - module: its name in transformers.
  ///   - a: (r, inputs).
  ///   - b: (outputs, r).
  package func factors(
    of module: String, loraRank: Int, inputs: Int, outputs: Int, a: @escaping () -> [Float],
    b: @escaping () -> [Float]
  ) -> [GGUFTensor]? {
    guard let name = names.name(ofModule: module).map({ $0 + ".weight" }) else { return nil }
    return [
      GGUFTensor(name: name + ".lora_a", shape: [loraRank, inputs], values: a),
      GGUFTensor(
        name: name + ".lora_b", shape: [outputs, loraRank],
        values: { ordered(b(), of: name, columns: loraRank) }),
    ]
  }

  /// A tensor of the model; nil if llama.cpp has none of this kind.
  /// - Parameters:
  ///   - tensor: its full name in transformers.
  ///   - shape: with rows of outputs.
  ///   - stored: the number format of matrices; norms, biases and tables of positions are F32.
  package func tensor(
    _ tensor: String, shape: [Int], stored: GGUFElementType, values: @escaping () throws -> [Float]
  ) -> GGUFTensor? {
    guard let dot = tensor.lastIndex(of: "."),
      let module = names.name(ofModule: String(tensor[..<dot]))
    else { return nil }
    let name = module + tensor[dot...]
    let isTable = ["position_embd.weight", "token_types.weight"].contains(name)
    var shape = shape
    var dropped = 0
    if name == "position_embd.weight" {
      // RoBERTa's first rows are those of no position.
      dropped = configuration.learnedPositionOffset ?? 0
      shape[0] -= dropped
    }
    let addsOne = configuration.norm == .rootMeanSquareAroundOne && module.hasSuffix("_norm")
    let columns = shape.dropFirst().reduce(1, *)
    return GGUFTensor(
      name: name, shape: shape, elementType: shape.count == 1 || isTable ? .f32 : stored,
      values: {
        var values = ordered(try values(), of: name, columns: columns)
        if dropped > 0 { values.removeFirst(dropped * columns) }
        return addsOne ? values.map { $0 + 1 } : values
      })
  }

  /// Rows of outputs in the order in which llama.cpp has them: in each head of queries and keys,
  /// row i comes right before row i + D/2 if llama.cpp rotates neighbouring channels.
  private func ordered(_ rows: [Float], of name: String, columns: Int) -> [Float] {
    guard rotatesNeighbours, name.contains(".attn_q.") || name.contains(".attn_k.") else {
      return rows
    }
    let size = configuration.headSize
    var ordered: [Float] = []
    ordered.reserveCapacity(rows.count)
    for head in 0..<rows.count / columns / size {
      for channel in 0..<size {
        let row = head * size + channel / 2 + (channel % 2) * (size / 2)
        ordered += rows[row * columns..<(row + 1) * columns]
      }
    }
    return ordered
  }
}
