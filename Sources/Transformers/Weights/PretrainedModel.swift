// The base weights of a Hugging Face model directory, frozen where they lie.
//
// F32 tensors are used in place from the memory-mapped file, so that all ranks of a node share one
// copy; BF16 and F16 tensors are widened into storage that the caller provides (node-shared memory
// under MPI, private memory otherwise). With products in bf16, linear layers are packed there.

internal import Foundation
public import Kernels
internal import Safetensors

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
  /// The value of `model_type` in config.json.
  package let modelType: String
  /// The weights, frozen where they lie.
  public let weights: ModelWeights
  /// The parts after the blocks that the files hold.
  public let parts: ModelParts
  /// A classification head that the file holds: weight (labels, C) and bias (labels).
  public let classificationHead: StoredHead?
  /// Parameters in all tensors of the files.
  public let parameterCount: Int
  /// Bytes of all tensors of the files.
  public let storedBytes: Int
  /// What the products of the linear layers are computed in.
  package let precision: MatrixFormat
  /// Bytes of the packed linear layers, one copy a node; 0 in fp32.
  public let packedBytes: Int

  /// Remarks for the user: fields and tensors that are not used, and a head that is not tied.
  public let notices: [String]

  let files: SafetensorsCollection
  /// The tensors of the files that were read.
  private let usedTensors: Set<String>
  /// The weights that are kept in fp32, by the full names of their tensors.
  private let inFloats: [String: Floats]
  /// The memory of the weights that are kept in fp32: where each tensor starts, and its floats.
  package let floatRanges: [(start: Floats, count: Int)]
  /// The memory of all packed linear layers; nil in fp32.
  package let packedMemory: UnsafeRawBufferPointer?
  /// Whatever keeps widened weights alive.
  private let owner: AnyObject?

  /// BERT's pooler, where the files have one.
  public var pooler: LinearWeights? { weights.pooler }
  /// The language modelling head, or nil where the files have none.
  public var languageHead: LanguageHeadWeights? { weights.languageHead }

  /// True if the language modelling head is the token embedding.
  public var tiesLanguageHead: Bool {
    guard let tokens = configuration.names.embeddings.tokens else { return false }
    return parts.languageHead == tokens + ".weight"
  }

  /// A classification head as stored.
  public struct StoredHead: Sendable {
    /// (labels, C), row-major.
    public let weight: [Float]
    /// (labels), or nil.
    public let bias: [Float]?
    /// The dense layer before the product, (C, C) and (C); nil if the family has none.
    package let dense: (weight: [Float], bias: [Float])?
    /// Number of labels.
    public let labels: Int
    /// The names of the labels in the order of the rows; nil where config.json has none.
    public let labelNames: [String]?
  }

  /// Opens a model directory (`config.json` with `model.safetensors`, sharded or not).
  ///
  /// - Parameters:
  ///   - storage: where BF16 and F16 tensors are widened to and linear layers are packed; private
  ///     memory by default. All packed layers take one call, before any tensor is widened.
  ///   - owner: kept alive as long as the model, with the storage's memory.
  ///   - precision: what products of frozen linear layers are computed in.
  ///   - packsLanguageHead: true if packing includes the product to the vocabulary; tasks without it save
  ///     4 bytes * V * C.
  /// - Throws: `ModelError` or `SafetensorsError`: missing, malformed, wrong shape or type, or a
  ///   precision that is unavailable.
  package init(
    directory: String, storage: WidenedStorage? = nil, owner: AnyObject? = nil,
    precision: MatrixFormat = .fp32, packsLanguageHead: Bool = true
  ) throws {
    if let reason = precision.unavailableReason {
      throw ModelError(path: directory, reason: reason)
    }
    self.owner = owner
    let file = try ConfigurationFile(directory: directory)
    let configuration = file.configuration
    let files = try SafetensorsCollection(directory: directory)
    var reader = try TensorReader(
      files: files, configuration: configuration, directory: directory,
      storage: storage ?? Self.privateStorage)
    self.precision = precision
    packedBytes =
      try precision.packing.map {
        try reader.packLinears($0, withLanguageHead: packsLanguageHead)
      } ?? 0
    self.directory = directory
    self.configuration = configuration
    modelType = file.modelType
    self.files = files
    let parts = ModelParts(hasPooler: reader.hasPooler, languageHead: reader.languageHead.output)
    self.parts = parts
    var inFloats: [String: Floats] = [:]
    var ranges: [(start: Floats, count: Int)] = []
    weights = try ModelWeights(
      configuration: configuration, parts: parts,
      floats: { name, shape in
        let found = try reader.floats(name, shape)
        inFloats[name] = found
        ranges.append((found, shape.reduce(1, *)))
        return found
      }, matrix: { reader.packed($0) })
    self.inFloats = inFloats
    floatRanges = ranges
    packedMemory = reader.packedMemory
    classificationHead = try reader.classificationHead(labelNames: file.labelNames)
    usedTensors = reader.used.names
    notices =
      file.notices + reader.languageHead.notices
      + [
        reader.used.notice(
          files, directory: directory, buffers: configuration.names.buffers)
      ].compactMap { $0 }
    parameterCount = files.tensors.reduce(0) { $0 + $1.elementCount }
    storedBytes = files.tensors.reduce(0) { $0 + $1.byteRange.count }
  }

  /// The values of a weight, by the full name of its tensor; nil where it is none or packed.
  public func values(ofTensor name: String) -> Floats? { inFloats[name] }

  /// `other` with other linear layers; what it keeps alive stays alive.
  init(_ other: PretrainedModel, weights: ModelWeights, owner: AnyObject?) {
    directory = other.directory
    configuration = other.configuration
    modelType = other.modelType
    self.weights = weights
    parts = other.parts
    classificationHead = other.classificationHead
    parameterCount = other.parameterCount
    storedBytes = other.storedBytes
    precision = other.precision
    packedBytes = other.packedBytes
    files = other.files
    inFloats = other.inFloats
    floatRanges = other.floatRanges
    packedMemory = other.packedMemory
    notices = other.notices
    usedTensors = other.usedTensors
    self.owner = [other.owner, owner].compactMap { $0 } as [AnyObject] as AnyObject
  }

  /// Floats of a block that holds all widened and packed tensors of a model directory
  /// (`WidenedSlices`); the arguments are those of `init`.
  /// - Throws: as `init`.
  package static func widenedCount(
    directory: String, precision: MatrixFormat = .fp32, packsLanguageHead: Bool = true
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
    where tensor.elementType == .f32 && index % parts == part
      && usedTensors.contains(tensor.name)
    {
      if let values = try files.floats(named: tensor.name), let first = values.baseAddress,
        !allFinite(first, count: values.count)
      {
        throw ModelError(
          path: directory, reason: "tensor \(tensor.name) holds values that are not finite")
      }
    }
  }
}
