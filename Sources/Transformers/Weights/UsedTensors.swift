// The tensors of a model's files that were read. All others are reported, as transformers reports
// tensors that it did not expect; a few that older checkpoints hold mean nothing.

internal import Safetensors

/// Collects the names of tensors that are read.
final class UsedTensors {
  private(set) var names: Set<String> = []

  /// Marks a tensor of the files as read.
  func insert(_ name: String) { names.insert(name) }

  /// A remark that names the tensors that were not read; nil where there are none.
  ///
  /// Tensors of the same module in several blocks are named once, with a star for the block.
  /// Those that end like one of `buffers` mean nothing.
  func notice(
    _ files: SafetensorsCollection, directory: String, buffers: [String]
  ) -> String? {
    var counts: [String: Int] = [:]
    for tensor in files.tensors
    where !names.contains(tensor.name) && !Self.isMeaningless(tensor)
      && !buffers.contains(where: tensor.name.hasSuffix)
    {
      counts[Self.withoutBlock(tensor.name), default: 0] += 1
    }
    guard !counts.isEmpty else { return nil }
    let total = counts.values.reduce(0, +)
    let shown = counts.sorted { $0.key < $1.key }.prefix(20)
      .map { $0.key + ($0.value > 1 ? " (\($0.value))" : "") }
    let rest = counts.count > shown.count ? " and \(counts.count - shown.count) more" : ""
    return
      "\(directory): \(total) tensor\(total == 1 ? " is" : "s are") not used, for config.json asks for"
      + " no such tensor (transformers calls them unexpected): "
      + shown.joined(separator: ", ") + rest
  }

  /// True for tensors without a use: buffers that older versions saved, and BERT's head that
  /// predicts the next sentence.
  private static func isMeaningless(_ tensor: TensorDescriptor) -> Bool {
    tensor.name.hasSuffix("rotary_emb.inv_freq") || tensor.name.hasSuffix("embeddings.position_ids")
      || tensor.name.hasPrefix("cls.seq_relationship.")
  }

  private static func withoutBlock(_ name: String) -> String {
    name.split(separator: ".", omittingEmptySubsequences: false)
      .map { !$0.isEmpty && $0.allSatisfy(\.isNumber) ? "*" : String($0) }
      .joined(separator: ".")
  }
}
