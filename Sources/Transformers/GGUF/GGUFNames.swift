// llama.cpp's names of tensors, from the names in transformers:
// `model.layers.7.self_attn.q_proj.weight` is `blk.7.attn_q.weight`. Modules of several layers have
// names of their own (`attn_qkv`; gate and up together are `ffn_up`).

/// The modules of a model that llama.cpp has, with its names.
struct GGUFNames: Sendable {
  /// Name in transformers to name in llama.cpp, without `.weight` and `.bias`.
  private let modules: [String: String]

  init(_ configuration: ModelConfiguration) {
    let names = configuration.names
    var found: [String: String] = [:]
    func add(_ module: String?, _ name: String) {
      if let module { found[module] = name }
    }
    add(names.embeddings.tokens, "token_embd")
    add(names.embeddings.positions, "position_embd")
    add(names.embeddings.tokenTypes, "token_types")
    add(names.embeddings.norm, "token_embd_norm")
    add(names.finalNorm, "output_norm")
    // Encoders have no language head in llama.cpp.
    if configuration.isCausal { add(names.languageHead?.output, "output") }
    let block = names.block
    let isAfter = configuration.normPlacement == .post
    for layer in 0..<configuration.layerCount {
      func addToBlock(_ module: String?, _ name: String) {
        add(module.map { configuration.blockPath(layer) + $0 }, "blk.\(layer).\(name)")
      }
      for group in LinearGroup.inBlock {
        for module in configuration.modules(of: group) {
          addToBlock(configuration.linearName(of: module.role), Self.name(of: module))
        }
      }
      addToBlock(block.attentionNorm, isAfter ? "attn_output_norm" : "attn_norm")
      addToBlock(block.feedForwardNorm, isAfter ? "layer_output_norm" : "ffn_norm")
      addToBlock(block.branchNorms?.attention, "post_attention_norm")
      addToBlock(block.branchNorms?.feedForward, "post_ffw_norm")
      addToBlock(block.queryKeyNorms?.query, "attn_q_norm")
      addToBlock(block.queryKeyNorms?.key, "attn_k_norm")
    }
    modules = found
  }

  /// llama.cpp's name of a module; nil if it has no such module.
  func name(ofModule module: String) -> String? { modules[module] }

  private static func name(of module: LinearModule) -> String {
    switch module.role {
    case .query: module.parts.count > 1 ? "attn_qkv" : "attn_q"
    case .key: "attn_k"
    case .value: "attn_v"
    case .attentionOutput: "attn_output"
    case .gate: module.parts.count > 1 ? "ffn_up" : "ffn_gate"
    case .up: "ffn_up"
    case .down: "ffn_down"
    case .pooler, .languageHeadTransform: preconditionFailure("\(module.role) is in no block")
    }
  }
}
