// The weights that a transformer computes with, wherever they lie: in the mapped files of a pretrained
// model that a node's ranks share, or, with full fine-tuning, in a vector of a rank's own.
//
// One traversal asks for every tensor by its name in model.safetensors. Reading files, listing what
// full fine-tuning trains and looking into a trained vector are this traversal with different sources.

public import Kernels

/// A linear layer: `output = input * weight^T + bias`.
public struct LinearWeights: @unchecked Sendable {
  /// (outputs, inputs), in the precision of its products.
  package let weight: any FrozenMatrix
  /// (outputs), or nil.
  public let bias: Floats?
  /// Columns of the weight.
  public let inputs: Int
  /// Rows of the weight.
  public let outputs: Int
}

/// A norm: a weight, and a bias for LayerNorm; both (channels).
public struct NormWeights: @unchecked Sendable {
  /// Scale of each channel.
  public let weight: Floats
  /// Offset of each channel, or nil.
  public let bias: Floats?
}

/// The weights of one block.
public struct BlockWeights: Sendable {
  /// The norm before (or after) attention.
  let attentionNorm: NormWeights
  /// The norm before (or after) the feed-forward part.
  let feedForwardNorm: NormWeights
  /// The linear layers, indexed by `LinearRole.rawValue`; nil where the block has none.
  var linears: [LinearWeights?]

  /// One linear layer of the block.
  public subscript(role: LinearRole) -> LinearWeights {
    guard let linear = linears[role.rawValue] else {
      preconditionFailure("this block has no \(role)")
    }
    return linear
  }
}

/// The product that gives a token's logits, and BERT's transform before it.
public struct LanguageHeadWeights: @unchecked Sendable {
  /// Dense layer, activation and norm before the logits (BERT), or nil.
  public let transform: LinearWeights?
  /// The transform's norm.
  public let transformNorm: NormWeights?
  /// Product to the vocabulary, (V, C).
  public let output: LinearWeights
}

/// The parts after the blocks that a model may lack, or a task not need.
public struct ModelParts: Sendable, Equatable {
  /// BERT's pooler.
  public var hasPooler: Bool
  /// The tensor of the product to the vocabulary, which may be the token embedding's; nil for none.
  public var languageHead: String?

  /// These parts.
  public init(hasPooler: Bool, languageHead: String?) {
    self.hasPooler = hasPooler
    self.languageHead = languageHead
  }
}

/// Embeddings, blocks, final norm and what follows them.
public struct ModelWeights: @unchecked Sendable {
  /// (V, C).
  public let tokenEmbedding: Floats
  /// (positions, C), or nil for rotary models.
  let positionEmbedding: Floats?
  /// The vector of token type 0, (C), or nil.
  let tokenTypeEmbedding: Floats?
  /// BERT's norm after the embeddings.
  let embeddingNorm: NormWeights?
  /// The blocks in order.
  public internal(set) var blocks: [BlockWeights]
  /// The norm after the last block of a pre-norm model.
  let finalNorm: NormWeights?
  /// BERT's pooler.
  public internal(set) var pooler: LinearWeights?
  /// The language modelling head.
  public internal(set) var languageHead: LanguageHeadWeights?

  /// Finds every tensor once, always in the same order.
  ///
  /// - Parameters:
  ///   - floats: The tensor of a name and shape.
  ///   - matrix: The weight of a linear layer where it is kept in another form; else nil.
  package init<Failure: Error>(
    configuration: ModelConfiguration, parts: ModelParts,
    floats: (_ name: String, _ shape: [Int]) throws(Failure) -> Floats,
    matrix: (_ name: String) -> (any FrozenMatrix)? = { _ in nil }
  ) throws(Failure) {
    let channels = configuration.channels
    func weight(_ name: String, _ shape: [Int]) throws(Failure) -> any FrozenMatrix {
      if let found = matrix(name) { return found }
      return PlainMatrix(try floats(name, shape), inputs: shape[1], outputs: shape[0])
    }
    func norm(_ module: String) throws(Failure) -> NormWeights {
      NormWeights(
        weight: try floats(module + ".weight", [channels]),
        bias: configuration.norm == .layer ? try floats(module + ".bias", [channels]) : nil)
    }
    func linear(_ role: LinearRole, layer: Int) throws(Failure) -> LinearWeights {
      let size = configuration.size(of: role)
      let module = configuration.moduleName(of: role, layer: layer)
      return LinearWeights(
        weight: try weight(module + ".weight", [size.outputs, size.inputs]),
        bias: configuration.hasBias(role) ? try floats(module + ".bias", [size.outputs]) : nil,
        inputs: size.inputs, outputs: size.outputs)
    }
    let names = configuration.names
    let embedding = names.embeddings.tokens + ".weight"
    let vocabulary = [configuration.vocabularySize, channels]
    tokenEmbedding = try floats(embedding, vocabulary)
    func table(_ module: String?, rows: Int) throws(Failure) -> Floats? {
      guard let module else { return nil }
      return try floats(module + ".weight", [rows, channels])
    }
    func norm(ifAny module: String?) throws(Failure) -> NormWeights? {
      guard let module else { return nil }
      return try norm(module)
    }
    positionEmbedding = try table(
      names.embeddings.positions,
      rows: configuration.positionOffset + configuration.maximumPositions)
    tokenTypeEmbedding = try table(
      names.embeddings.tokenTypes, rows: configuration.tokenTypeCount)
    embeddingNorm = try norm(ifAny: names.embeddings.norm)
    blocks = try Self.blocks(configuration, linear: linear(_:layer:), norm: norm(_:))
    finalNorm = try norm(ifAny: names.finalNorm)
    pooler = parts.hasPooler ? try linear(.pooler, layer: 0) : nil
    languageHead = nil
    guard let head = parts.languageHead else { return }
    func headBias() throws(Failure) -> Floats? {
      guard let bias = names.languageHead.bias else { return nil }
      return try floats(bias, [vocabulary[0]])
    }
    let product: any FrozenMatrix
    if head == embedding, matrix(head) == nil {
      product = PlainMatrix(tokenEmbedding, inputs: vocabulary[1], outputs: vocabulary[0])
    } else {
      product = try weight(head, vocabulary)
    }
    let hasTransform = names.languageHead.transform != nil
    languageHead = LanguageHeadWeights(
      transform: hasTransform ? try linear(.languageHeadTransform, layer: 0) : nil,
      transformNorm: try norm(ifAny: names.languageHead.transformNorm),
      output: LinearWeights(
        weight: product, bias: try headBias(), inputs: vocabulary[1], outputs: vocabulary[0]))
  }
}

extension ModelWeights {
  /// The weights of all blocks, in order.
  private static func blocks<Failure: Error>(
    _ configuration: ModelConfiguration,
    linear: (_ role: LinearRole, _ layer: Int) throws(Failure) -> LinearWeights,
    norm: (_ module: String) throws(Failure) -> NormWeights
  ) throws(Failure) -> [BlockWeights] {
    var blocks: [BlockWeights] = []
    for layer in 0..<configuration.layerCount {
      var linears = [LinearWeights?](repeating: nil, count: LinearRole.allCases.count)
      for group in LinearGroup.inBlock {
        for role in configuration.roles(of: group) {
          linears[role.rawValue] = try linear(role, layer)
        }
      }
      blocks.append(
        BlockWeights(
          attentionNorm: try norm(configuration.attentionNormName(layer: layer)),
          feedForwardNorm: try norm(configuration.feedForwardNormName(layer: layer)),
          linears: linears))
    }
    return blocks
  }

  /// One linear layer; `layer` is ignored for layers after the blocks.
  /// - Precondition: the model has the layer.
  func linear(_ role: LinearRole, layer: Int) -> LinearWeights {
    let found =
      switch role {
      case .pooler: pooler
      case .languageHeadTransform: languageHead?.transform
      default: blocks[layer].linears[role.rawValue]
      }
    guard let found else { preconditionFailure("the model has no \(role)") }
    return found
  }
}
