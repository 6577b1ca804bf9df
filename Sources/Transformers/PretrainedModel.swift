// The frozen base weights of a Hugging Face model directory.
//
// F32 tensors are used in place from the memory-mapped file, so that all ranks of a node share one
// copy; BF16 and F16 tensors are widened into storage that the caller provides (node-shared memory
// under MPI, private memory otherwise). With products in bf16, linear layers are packed there.

internal import Foundation
public import Kernels
internal import Safetensors

/// A frozen linear layer: `output = input * weight^T + bias`.
public struct LinearWeights: @unchecked Sendable {
  /// (outputs, inputs), in the precision of its products.
  public let weight: FrozenWeight
  /// (outputs), or nil.
  public let bias: Floats?
  /// Columns of the weight.
  public let inputs: Int
  /// Rows of the weight.
  public let outputs: Int
}

/// A frozen norm: a weight, and a bias for LayerNorm; both (channels).
public struct NormWeights: @unchecked Sendable {
  /// Scale of each channel.
  public let weight: Floats
  /// Offset of each channel, or nil.
  public let bias: Floats?
}

/// The frozen weights of one block.
public struct BlockWeights: Sendable {
  /// The norm before (or after) attention.
  public let attentionNorm: NormWeights
  /// The norm before (or after) the feed-forward part.
  public let feedForwardNorm: NormWeights
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

/// Provides memory for `count` floats; calls the closure to fill it unless that was done before.
/// Products in bf16 are fastest from memory that is aligned to 64 bytes.
public typealias WidenedStorage = (_ count: Int, _ fill: (MutableFloats) throws -> Void) throws ->
  Floats

/// The embeddings, blocks, final norm and heads of a pretrained transformer; immutable.
public final class PretrainedModel: @unchecked Sendable {
  /// The model directory.
  public let directory: String
  /// Shape and kinds.
  public let configuration: ModelConfiguration
  /// (V, C).
  public let tokenEmbedding: Floats
  /// (positions, C), or nil for rotary models.
  public let positionEmbedding: Floats?
  /// The vector of token type 0, (C), or nil.
  public let tokenTypeEmbedding: Floats?
  /// BERT's norm after the embeddings.
  public let embeddingNorm: NormWeights?
  /// The blocks in order.
  public let blocks: [BlockWeights]
  /// The norm after the last block of a pre-norm model.
  public let finalNorm: NormWeights?
  /// BERT's pooler, where the file has one.
  public let pooler: LinearWeights?
  /// The language modelling head, (V, C), or nil where the file has none.
  public let languageHead: LanguageHead?
  /// A classification head that the file holds: weight (labels, C) and bias (labels).
  public let classificationHead: StoredHead?
  /// Parameters in all tensors of the files.
  public let parameterCount: Int
  /// Bytes of all tensors of the files.
  public let storedBytes: Int
  /// What the products of the linear layers are computed in.
  public let precision: ProductPrecision
  /// Bytes of the packed linear layers, one copy a node; 0 in fp32.
  public let packedBytes: Int

  let files: SafetensorsCollection
  /// Whatever keeps widened weights alive.
  private let owner: AnyObject?

  /// The product that gives a token's logits, and BERT's transform before it.
  public struct LanguageHead: @unchecked Sendable {
    /// Dense layer, activation and norm before the logits (BERT), or nil.
    public let transform: LinearWeights?
    /// The transform's norm.
    public let transformNorm: NormWeights?
    /// Product to the vocabulary, (V, C).
    public let output: LinearWeights
  }

  /// A classification head as stored.
  public struct StoredHead: Sendable {
    /// (labels, C), row-major.
    public let weight: [Float]
    /// (labels), or nil.
    public let bias: [Float]?
    /// Number of labels.
    public let labels: Int
  }

  /// Opens a model directory (`config.json` with `model.safetensors`, sharded or not).
  ///
  /// - Parameters:
  ///   - storage: where BF16 and F16 tensors are widened to and linear layers are packed; private
  ///     memory by default. All packed layers take one call, before any tensor is widened.
  ///   - owner: kept alive as long as the model, with the storage's memory.
  ///   - precision: what products of frozen linear layers are computed in.
  ///   - packsLanguageHead: whether bf16 includes the product to the vocabulary; tasks without it save
  ///     4 bytes * V * C.
  /// - Throws: `ModelError` or `SafetensorsError`: missing, malformed, wrong shape or type, or
  ///   `BF16.unavailableReason` where the precision is bf16.
  public init(
    directory: String, storage: WidenedStorage? = nil, owner: AnyObject? = nil,
    precision: ProductPrecision = .fp32, packsLanguageHead: Bool = true
  ) throws {
    if precision == .bf16, let reason = BF16.unavailableReason {
      throw ModelError(path: directory, reason: reason)
    }
    self.owner = owner
    let configuration = try ModelConfiguration(directory: directory)
    let files = try SafetensorsCollection(directory: directory)
    var reader = TensorReader(
      files: files, configuration: configuration, directory: directory,
      storage: storage ?? Self.privateStorage)
    self.precision = precision
    packedBytes =
      precision == .bf16 ? try reader.packLinears(withLanguageHead: packsLanguageHead) : 0
    let channels = configuration.channels
    self.directory = directory
    self.configuration = configuration
    self.files = files
    tokenEmbedding = try reader.floats(
      configuration.tokenEmbeddingName + ".weight", [configuration.vocabularySize, channels])
    if case .learned = configuration.positions {
      positionEmbedding = try reader.floats(
        "bert.embeddings.position_embeddings.weight",
        [configuration.maximumPositions, channels])
      tokenTypeEmbedding = try reader.floats(
        "bert.embeddings.token_type_embeddings.weight", [configuration.tokenTypeCount, channels])
      embeddingNorm = try reader.norm("bert.embeddings.LayerNorm")
    } else {
      positionEmbedding = nil
      tokenTypeEmbedding = nil
      embeddingNorm = nil
    }
    blocks = try (0..<configuration.layerCount).map { layer in
      var linears = [LinearWeights?](repeating: nil, count: LinearRole.allCases.count)
      for group in LinearGroup.inBlock {
        for role in configuration.roles(of: group) {
          linears[role.rawValue] = try reader.linear(role, layer: layer)
        }
      }
      return BlockWeights(
        attentionNorm: try reader.norm(configuration.attentionNormName(layer: layer)),
        feedForwardNorm: try reader.norm(configuration.feedForwardNormName(layer: layer)),
        linears: linears)
    }
    finalNorm = configuration.normPlacement == .pre ? try reader.norm("model.norm") : nil
    pooler = reader.hasPooler ? try reader.linear(.pooler, layer: 0) : nil
    languageHead = try reader.languageHead(tokenEmbedding: tokenEmbedding)
    classificationHead = try reader.classificationHead()
    parameterCount = files.tensors.reduce(0) { $0 + $1.elementCount }
    storedBytes = files.tensors.reduce(0) { $0 + $1.byteRange.count }
  }

  /// `other` with other linear layers; what it keeps alive stays alive.
  init(
    _ other: PretrainedModel, blocks: [BlockWeights], pooler: LinearWeights?,
    languageHead: LanguageHead?, owner: AnyObject?
  ) {
    directory = other.directory
    configuration = other.configuration
    tokenEmbedding = other.tokenEmbedding
    positionEmbedding = other.positionEmbedding
    tokenTypeEmbedding = other.tokenTypeEmbedding
    embeddingNorm = other.embeddingNorm
    self.blocks = blocks
    finalNorm = other.finalNorm
    self.pooler = pooler
    self.languageHead = languageHead
    classificationHead = other.classificationHead
    parameterCount = other.parameterCount
    storedBytes = other.storedBytes
    precision = other.precision
    packedBytes = other.packedBytes
    files = other.files
    self.owner = [other.owner, owner].compactMap { $0 } as [AnyObject] as AnyObject
  }

  /// Floats of a block that holds all widened and packed tensors of a model directory
  /// (`WidenedSlices`); the arguments are those of `init`.
  /// - Throws: as `init`.
  public static func widenedCount(
    directory: String, precision: ProductPrecision = .fp32, packsLanguageHead: Bool = true
  ) throws -> Int {
    let nothing = MutableFloats.allocate(capacity: 1)
    defer { nothing.deallocate() }
    let slices = WidenedSlices(nothing, isFilled: true)
    _ = try PretrainedModel(
      directory: directory, storage: slices.take, precision: precision,
      packsLanguageHead: packsLanguageHead)
    return slices.count
  }

  /// Private memory, never freed: weights live as long as the process.
  private static func privateStorage(count: Int, fill: (MutableFloats) throws -> Void) throws
    -> Floats
  {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1) * 4, alignment: 64)
      .bindMemory(to: Float.self, capacity: max(count, 1))
    try fill(memory)
    return Floats(memory)
  }

  /// Throws where any weight is not finite, naming the tensor.
  ///
  /// Reads all weights in place, so ranks share the work: this is part `part` of `parts`. (Widened
  /// tensors are checked when they are widened.)
  public func checkFinite(part: Int = 0, of parts: Int = 1) throws {
    for (index, tensor) in files.tensors.enumerated()
    where tensor.elementType == .f32 && index % parts == part {
      if let values = try files.floats(named: tensor.name),
        !allFinite(values.baseAddress!, count: values.count)
      {
        throw ModelError(
          path: directory, reason: "tensor \(tensor.name) holds values that are not finite")
      }
    }
  }
}
