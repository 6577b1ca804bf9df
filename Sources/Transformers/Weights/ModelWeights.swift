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

/// A norm: a weight, and a bias in most kinds of LayerNorm; both (channels).
public struct NormWeights: @unchecked Sendable {
  /// What it computes.
  let kind: NormKind
  /// Scale of each channel.
  public let weight: Floats
  /// Offset of each channel, or nil.
  public let bias: Floats?
}

/// The weights of one block.
public struct BlockWeights: Sendable {
  /// The norm before (or after) attention; nil if there is none.
  let attentionNorm: NormWeights?
  /// The norm before (or after) the feed-forward part; nil if there is none.
  let feedForwardNorm: NormWeights?
  /// The norm of attention's result; nil if there is none.
  let attentionBranchNorm: NormWeights?
  /// The norm of the feed-forward part's result; nil if there is none.
  let feedForwardBranchNorm: NormWeights?
  /// The norms of queries and keys; nil if there are none.
  let queryNorm: NormWeights?
  let keyNorm: NormWeights?
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

/// Rows of a tensor of a model that are one linear layer's weight.
package struct MatrixRows: Hashable {
  /// The full name of the tensor.
  let tensor: String
  /// The first row.
  let first: Int
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

/// The embedding of images.
struct ImageEmbeddingWeights: @unchecked Sendable {
  /// The product from the values of a patch (channels, rows, columns) to C, as a convolution of the
  /// patch's size.
  let patches: LinearWeights
  /// The vector before the patches, (C).
  let classToken: Floats
}

/// Embeddings, blocks, final norm and what follows them.
public struct ModelWeights: @unchecked Sendable {
  /// (V, C); nil in models of images.
  public let tokenEmbedding: Floats?
  /// Nil in models of text.
  let imageEmbedding: ImageEmbeddingWeights?
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
  /// The norm after the pooler's activation; nil if there is none.
  package let poolerNorm: NormWeights?
  /// The language modelling head.
  public internal(set) var languageHead: LanguageHeadWeights?

  /// Finds every tensor once, always in the same order.
  ///
  /// - Parameters:
  ///   - floats: The tensor of a name and shape.
  ///   - matrix: Rows of a tensor that are a linear layer's weight, where it is kept in another
  ///     form; else nil.
  package init<Failure: Error>(
    configuration: ModelConfiguration, parts: ModelParts,
    floats: (_ name: String, _ shape: [Int]) throws(Failure) -> Floats,
    matrix: (_ rows: MatrixRows) -> (any FrozenMatrix)? = { _ in nil }
  ) throws(Failure) {
    let channels = configuration.channels
    func weight(_ name: String, _ shape: [Int]) throws(Failure) -> any FrozenMatrix {
      if let found = matrix(MatrixRows(tensor: name, first: 0)) { return found }
      return PlainMatrix(try floats(name, shape), inputs: shape[1], outputs: shape[0])
    }
    func norm(_ module: String, _ channels: Int) throws(Failure) -> NormWeights {
      NormWeights(
        kind: configuration.norm, weight: try floats(module + ".weight", [channels]),
        bias: configuration.norm == .layer ? try floats(module + ".bias", [channels]) : nil)
    }
    /// The layers of a module, in its order.
    func linears(_ module: LinearModule, layer: Int) throws(Failure) -> [LinearWeights] {
      let name = configuration.moduleName(of: module.role, layer: layer)
      let tensor = name + ".weight"
      let isPacked = matrix(MatrixRows(tensor: tensor, first: 0)) != nil
      let weight = isPacked ? nil : try floats(tensor, [module.outputs, module.inputs])
      let bias =
        configuration.hasBias(module.role) ? try floats(name + ".bias", [module.outputs]) : nil
      return module.parts.map { part in
        let (first, outputs) = (part.rows.lowerBound, part.rows.count)
        let plain = weight.map {
          PlainMatrix($0 + first * module.inputs, inputs: module.inputs, outputs: outputs)
        }
        guard let own = plain ?? matrix(MatrixRows(tensor: tensor, first: first)) else {
          preconditionFailure("\(part.role) of \(tensor) is not packed")
        }
        return LinearWeights(
          weight: own, bias: bias.map { $0 + first }, inputs: module.inputs, outputs: outputs)
      }
    }
    let names = configuration.names
    let embedding = names.embeddings.tokens.map { $0 + ".weight" }
    let vocabulary = [configuration.vocabularySize, channels]
    if let embedding {
      tokenEmbedding = try floats(embedding, vocabulary)
    } else {
      tokenEmbedding = nil
    }
    func table(_ module: String?, rows: Int) throws(Failure) -> Floats? {
      guard let module else { return nil }
      return try floats(module + ".weight", [rows, channels])
    }
    func norm(ifAny module: String?) throws(Failure) -> NormWeights? {
      guard let module else { return nil }
      return try norm(module, channels)
    }
    if let images = names.embeddings.images, let shape = configuration.image {
      imageEmbedding = try Self.imageEmbedding(images, shape, channels, floats: floats)
      positionEmbedding = try floats(images.positions, [1, shape.tokenCount, channels])
    } else {
      imageEmbedding = nil
      positionEmbedding = try table(
        names.embeddings.positions,
        rows: (configuration.learnedPositionOffset ?? 0) + configuration.maximumPositions)
    }
    tokenTypeEmbedding = try table(
      names.embeddings.tokenTypes, rows: configuration.tokenTypeCount)
    embeddingNorm = try norm(ifAny: names.embeddings.norm)
    blocks = try Self.blocks(configuration, linears: linears(_:layer:), norm: norm(_:_:))
    finalNorm = try norm(ifAny: names.finalNorm)
    func outsideBlocks(_ role: LinearRole) throws(Failure) -> LinearWeights {
      try linears(configuration.module(of: role), layer: 0)[0]
    }
    pooler = parts.hasPooler ? try outsideBlocks(.pooler) : nil
    poolerNorm = parts.hasPooler ? try norm(ifAny: names.pooler?.norm) : nil
    languageHead = nil
    guard let head = parts.languageHead, let headNames = names.languageHead else { return }
    func headBias() throws(Failure) -> Floats? {
      guard let bias = headNames.bias else { return nil }
      return try floats(bias, [vocabulary[0]])
    }
    let product: any FrozenMatrix
    if head == embedding, let tokenEmbedding, matrix(MatrixRows(tensor: head, first: 0)) == nil {
      product = PlainMatrix(tokenEmbedding, inputs: vocabulary[1], outputs: vocabulary[0])
    } else {
      product = try weight(head, vocabulary)
    }
    let hasTransform = headNames.transform != nil
    languageHead = LanguageHeadWeights(
      transform: hasTransform ? try outsideBlocks(.languageHeadTransform) : nil,
      transformNorm: try norm(ifAny: headNames.transformNorm),
      output: LinearWeights(
        weight: product, bias: try headBias(), inputs: vocabulary[1], outputs: vocabulary[0]))
  }
}

extension ModelWeights {
  /// The embedding of images.
  private static func imageEmbedding<Failure: Error>(
    _ names: ModuleNames.ImageEmbeddings, _ shape: ImageShape, _ channels: Int,
    floats: (_ name: String, _ shape: [Int]) throws(Failure) -> Floats
  ) throws(Failure) -> ImageEmbeddingWeights {
    let size = shape.patchSize
    let weight = try floats(names.patches + ".weight", [channels, shape.channels, size, size])
    let bias = try floats(names.patches + ".bias", [channels])
    return ImageEmbeddingWeights(
      patches: LinearWeights(
        weight: PlainMatrix(weight, inputs: shape.patchValues, outputs: channels), bias: bias,
        inputs: shape.patchValues, outputs: channels),
      classToken: try floats(names.classToken, [1, 1, channels]))
  }

  /// The weights of all blocks, in order.
  private static func blocks<Failure: Error>(
    _ configuration: ModelConfiguration,
    linears: (_ module: LinearModule, _ layer: Int) throws(Failure) -> [LinearWeights],
    norm makeNorm: (_ module: String, _ channels: Int) throws(Failure) -> NormWeights
  ) throws(Failure) -> [BlockWeights] {
    let names = configuration.names.block
    var blocks: [BlockWeights] = []
    for layer in 0..<configuration.layerCount {
      var found = [LinearWeights?](repeating: nil, count: LinearRole.allCases.count)
      for group in LinearGroup.inBlock {
        for module in configuration.modules(of: group) {
          for (part, linear) in zip(module.parts, try linears(module, layer)) {
            found[part.role.rawValue] = linear
          }
        }
      }
      func norm(ifAny name: String?, channels: Int? = nil) throws(Failure) -> NormWeights? {
        guard let name else { return nil }
        return try makeNorm(
          configuration.blockPath(layer) + name, channels ?? configuration.channels)
      }
      let hasAttentionNorm = layer > 0 || names.firstHasAttentionNorm
      blocks.append(
        BlockWeights(
          attentionNorm: try norm(ifAny: hasAttentionNorm ? names.attentionNorm : nil),
          feedForwardNorm: try norm(ifAny: names.feedForwardNorm),
          attentionBranchNorm: try norm(ifAny: names.branchNorms?.attention),
          feedForwardBranchNorm: try norm(ifAny: names.branchNorms?.feedForward),
          queryNorm: try norm(
            ifAny: names.queryKeyNorms?.query, channels: configuration.queryNormChannels),
          keyNorm: try norm(
            ifAny: names.queryKeyNorms?.key, channels: configuration.keyNormChannels),
          linears: found))
    }
    return blocks
  }

  /// All linear layers: those of the blocks, then those after them.
  package var linears: [LinearWeights] {
    let after = [pooler, languageHead?.transform, languageHead?.output]
    return blocks.flatMap { $0.linears.compactMap(\.self) } + after.compactMap(\.self)
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
