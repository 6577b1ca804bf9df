// The frozen base weights of a Hugging Face model directory.
//
// F32 tensors are used in place from the memory-mapped file, so that all ranks of a node share one
// copy; BF16 and F16 tensors are widened into storage that the caller provides (node-shared memory
// under MPI, private memory otherwise).

internal import Foundation
public import Kernels
internal import Safetensors

/// A frozen linear layer: `output = input * weight^T + bias`.
public struct LinearWeights: @unchecked Sendable {
  /// (outputs, inputs), row-major.
  public let weight: Floats
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
  let linears: [LinearWeights?]

  /// One linear layer of the block.
  public subscript(role: LinearRole) -> LinearWeights {
    guard let linear = linears[role.rawValue] else {
      preconditionFailure("this block has no \(role)")
    }
    return linear
  }
}

/// Provides memory for `count` floats; calls the closure to fill it unless that was done before.
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
  ///   - storage: where BF16 and F16 tensors are widened to; private memory by default.
  ///   - owner: kept alive as long as the model, with the storage's memory.
  /// - Throws: `ModelError` or `SafetensorsError`: missing, malformed, wrong shape or type.
  public init(directory: String, storage: WidenedStorage? = nil, owner: AnyObject? = nil) throws {
    self.owner = owner
    let configuration = try ModelConfiguration(directory: directory)
    let files = try SafetensorsCollection(directory: directory)
    let reader = TensorReader(
      files: files, configuration: configuration, directory: directory,
      storage: storage ?? Self.privateStorage)
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
    pooler =
      configuration.family == .bert && reader.has("bert.pooler.dense.weight")
      ? try reader.linear(.pooler, layer: 0) : nil
    languageHead = try reader.languageHead(tokenEmbedding: tokenEmbedding)
    classificationHead = try reader.classificationHead()
    parameterCount = files.tensors.reduce(0) { $0 + $1.elementCount }
    storedBytes = files.tensors.reduce(0) { $0 + $1.byteRange.count }
  }

  /// Floats of a block that holds all widened tensors of a model directory (`WidenedSlices`).
  /// - Throws: as `init`.
  public static func widenedCount(directory: String) throws -> Int {
    let nothing = MutableFloats.allocate(capacity: 1)
    defer { nothing.deallocate() }
    let slices = WidenedSlices(nothing, isFilled: true)
    _ = try PretrainedModel(directory: directory, storage: slices.take)
    return slices.count
  }

  /// Private memory, never freed: weights live as long as the process.
  private static func privateStorage(count: Int, fill: (MutableFloats) throws -> Void) throws
    -> Floats
  {
    let memory = MutableFloats.allocate(capacity: max(count, 1))
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

/// Looks tensors up by their full name or, in checkpoints of the bare model, without its prefix.
private struct TensorReader {
  let files: SafetensorsCollection
  let configuration: ModelConfiguration
  let directory: String
  let storage: WidenedStorage

  func resolve(_ name: String) -> TensorDescriptor? {
    let prefix = configuration.basePrefix
    var candidates = [name]
    if name.hasPrefix(prefix) { candidates.append(String(name.dropFirst(prefix.count))) }
    // Checkpoints converted from TensorFlow name LayerNorm's parameters gamma and beta.
    for candidate in candidates where candidate.contains("LayerNorm.") {
      candidates.append(
        candidate.replacing("LayerNorm.weight", with: "LayerNorm.gamma")
          .replacing("LayerNorm.bias", with: "LayerNorm.beta"))
    }
    return candidates.lazy.compactMap { files[$0] }.first
  }

  func has(_ name: String) -> Bool { resolve(name) != nil }

  func floats(_ name: String, _ shape: [Int]) throws -> Floats {
    guard let tensor = resolve(name) else {
      throw ModelError(path: directory, reason: "tensor \(name) is missing")
    }
    guard tensor.shape == shape else {
      throw ModelError(
        path: directory,
        reason: "tensor \(tensor.name) has shape \(tensor.shape); config.json implies \(shape)")
    }
    if let inPlace = try files.floats(named: tensor.name) { return inPlace.baseAddress! }
    return try storage(tensor.elementCount) { memory in
      try files.readFloats(
        named: tensor.name,
        into: UnsafeMutableBufferPointer(start: memory, count: tensor.elementCount))
      guard allFinite(memory, count: tensor.elementCount) else {
        throw ModelError(
          path: directory, reason: "tensor \(tensor.name) holds values that are not finite")
      }
    }
  }

  func norm(_ module: String) throws -> NormWeights {
    let shape = [configuration.channels]
    return NormWeights(
      weight: try floats(module + ".weight", shape),
      bias: configuration.norm == .layer ? try floats(module + ".bias", shape) : nil)
  }

  func linear(_ role: LinearRole, layer: Int) throws -> LinearWeights {
    let size = configuration.size(of: role)
    let module = configuration.moduleName(of: role, layer: layer)
    return LinearWeights(
      weight: try floats(module + ".weight", [size.outputs, size.inputs]),
      bias: configuration.hasBias(role) ? try floats(module + ".bias", [size.outputs]) : nil,
      inputs: size.inputs, outputs: size.outputs)
  }

  func languageHead(tokenEmbedding: Floats) throws -> PretrainedModel.LanguageHead? {
    let shape = [configuration.vocabularySize, configuration.channels]
    func output(_ weight: Floats, bias: Floats?) -> LinearWeights {
      LinearWeights(weight: weight, bias: bias, inputs: shape[1], outputs: shape[0])
    }
    switch configuration.family {
    case .llama:
      if configuration.tiesWordEmbeddings {
        return .init(transform: nil, transformNorm: nil, output: output(tokenEmbedding, bias: nil))
      }
      guard has("lm_head.weight") else { return nil }
      return .init(
        transform: nil, transformNorm: nil,
        output: output(try floats("lm_head.weight", shape), bias: nil))
    case .bert:
      guard has("cls.predictions.transform.dense.weight") else { return nil }
      let untied = "cls.predictions.decoder.weight"
      let weight =
        configuration.tiesWordEmbeddings || !has(untied)
        ? tokenEmbedding : try floats(untied, shape)
      return .init(
        transform: try linear(.languageHeadTransform, layer: 0),
        transformNorm: try norm("cls.predictions.transform.LayerNorm"),
        output: output(weight, bias: try floats("cls.predictions.bias", [shape[0]])))
    }
  }

  func classificationHead() throws -> PretrainedModel.StoredHead? {
    let name = configuration.classificationHeadName
    guard let tensor = files[name + ".weight"], tensor.shape.count == 2,
      tensor.shape[1] == configuration.channels
    else { return nil }
    let labels = tensor.shape[0]
    func read(_ tensor: String, count: Int) throws -> [Float] {
      var values = [Float](repeating: 0, count: count)
      try values.withUnsafeMutableBufferPointer { try files.readFloats(named: tensor, into: $0) }
      return values
    }
    var bias: [Float]?
    if configuration.classificationHeadHasBias {
      guard let stored = files[name + ".bias"], stored.shape == [labels] else { return nil }
      bias = try read(name + ".bias", count: labels)
    }
    return .init(
      weight: try read(name + ".weight", count: labels * configuration.channels), bias: bias,
      labels: labels)
  }
}
