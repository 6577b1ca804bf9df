// Finds the tensors of a model in its files, and brings them to the form that the products need.

internal import Kernels
internal import Safetensors

/// Looks tensors up by their full name; checkpoints of the bare model leave its prefix out.
struct TensorReader {
  let files: SafetensorsCollection
  let configuration: ModelConfiguration
  let directory: String
  let storage: WidenedStorage
  /// The tensors of the files by their full names.
  private let byFullName: [String: TensorDescriptor]
  /// The tensors that were asked for.
  let used = UsedTensors()
  /// The tensors of the product to the vocabulary.
  let languageHead: LanguageHeadTensors
  /// Packed weights by the full name of their tensor.
  private var packedWeights: [String: any FrozenMatrix] = [:]

  /// A reader of a model's files.
  /// - Throws: `ModelError` where two tensors are one and the same.
  init(
    files: SafetensorsCollection, configuration: ModelConfiguration, directory: String,
    storage: @escaping WidenedStorage
  ) throws {
    self.files = files
    self.configuration = configuration
    self.directory = directory
    self.storage = storage
    var byFullName: [String: TensorDescriptor] = [:]
    for tensor in files.tensors {
      let full = configuration.fullName(ofTensor: tensor.name)
      if let other = byFullName.updateValue(tensor, forKey: full) {
        throw ModelError(
          path: directory,
          reason: "tensors \(other.name) and \(tensor.name) are both \(full); one is allowed")
      }
    }
    self.byFullName = byFullName
    languageHead = try LanguageHeadTensors(
      configuration, directory: directory, files: files, byFullName: byFullName, used: used)
  }

  func resolve(_ name: String) -> TensorDescriptor? {
    byFullName[languageHead.aliases[name] ?? name]
  }

  func has(_ name: String) -> Bool { resolve(name) != nil }

  /// The tensor of this name, which must have this shape.
  private func tensor(_ name: String, _ shape: [Int]) throws -> TensorDescriptor {
    guard let tensor = resolve(name) else {
      throw ModelError(path: directory, reason: "tensor \(name) is missing")
    }
    guard tensor.shape == shape else {
      throw ModelError(
        path: directory,
        reason: "tensor \(tensor.name) has shape \(tensor.shape); config.json implies \(shape)")
    }
    used.insert(tensor.name)
    return tensor
  }

  func floats(_ name: String, _ shape: [Int]) throws -> Floats {
    let tensor = try tensor(name, shape)
    if let inPlace = try files.floats(named: tensor.name) { return inPlace.baseAddress! }
    return try storage(tensor.elementCount) { try widen(tensor, into: $0) }
  }

  private func widen(_ tensor: TensorDescriptor, into memory: MutableFloats) throws {
    try files.readFloats(
      named: tensor.name,
      into: UnsafeMutableBufferPointer(start: memory, count: tensor.elementCount))
    guard allFinite(memory, count: tensor.elementCount) else { throw notFinite(tensor) }
  }

  /// The weight of a linear layer that was packed.
  func packed(_ name: String) -> (any FrozenMatrix)? { packedWeights[name] }

  /// Packs every linear layer into one piece of storage, and returns its bytes.
  mutating func packLinears(
    _ packing: MatrixFormat.Packing, withLanguageHead: Bool
  ) throws -> Int {
    let matrices = try linearNames(withLanguageHead: withLanguageHead).map {
      (name: $0.name, shape: $0.shape, tensor: try tensor($0.name, $0.shape))
    }
    var offsets = [0]
    for matrix in matrices {
      guard matrix.shape[1] % packing.inputMultiple == 0 else {
        throw ModelError(
          path: directory,
          reason: "tensor \(matrix.name) has \(matrix.shape[1]) inputs; this compute.precision"
            + " needs a multiple of \(packing.inputMultiple); give fp32")
      }
      offsets.append(offsets.last! + packing.byteCount(matrix.shape[1], matrix.shape[0]))
    }
    let memory = try storage(offsets.last! / 4) { memory in
      for (matrix, offset) in zip(matrices, offsets) {
        let target = UnsafeMutableRawPointer(memory) + offset
        let (outputs, inputs) = (matrix.shape[0], matrix.shape[1])
        if let inPlace = try files.floats(named: matrix.tensor.name) {
          packing.pack(inPlace.baseAddress!, inputs, outputs, target)
        } else {
          let widened = MutableFloats.allocate(capacity: matrix.tensor.elementCount)
          defer { widened.deallocate() }
          try widen(matrix.tensor, into: widened)
          packing.pack(widened, inputs, outputs, target)
        }
      }
    }
    for (matrix, offset) in zip(matrices, offsets) {
      packedWeights[matrix.name] = packing.matrix(
        UnsafeRawPointer(memory) + offset, matrix.shape[1], matrix.shape[0])
    }
    return offsets.last!
  }

  /// Tensors and shapes of all linear layers that the files hold.
  private func linearNames(withLanguageHead: Bool) throws -> [(name: String, shape: [Int])] {
    guard configuration.layerCount <= files.tensors.count else {
      throw ModelError(
        path: directory,
        reason: "num_hidden_layers is \(configuration.layerCount), but the files hold "
          + "\(files.tensors.count) tensors")
    }
    var names: [(name: String, shape: [Int])] = []
    func append(_ role: LinearRole, layer: Int) {
      let size = configuration.size(of: role)
      names.append(
        (
          configuration.moduleName(of: role, layer: layer) + ".weight",
          [size.outputs, size.inputs]
        ))
    }
    for layer in 0..<configuration.layerCount {
      for group in LinearGroup.inBlock {
        for role in configuration.roles(of: group) { append(role, layer: layer) }
      }
    }
    if hasPooler { append(.pooler, layer: 0) }
    if withLanguageHead, let output = languageHead.output {
      if configuration.names.languageHead.transform != nil {
        append(.languageHeadTransform, layer: 0)
      }
      names.append((output, [configuration.vocabularySize, configuration.channels]))
    }
    return names
  }

  /// Whether the files hold the family's pooler.
  var hasPooler: Bool { configuration.names.pooler.map { has($0 + ".weight") } ?? false }

  /// The classification head of the files, where there is one of the expected shape.
  func classificationHead(labelNames: [String]?) throws -> PretrainedModel.StoredHead? {
    let head = configuration.names.classificationHead
    let name = head.module
    guard let tensor = resolve(name + ".weight"), tensor.shape.count == 2,
      tensor.shape[1] == configuration.channels
    else { return nil }
    let labels = tensor.shape[0]
    func read(_ tensor: TensorDescriptor) throws -> [Float] {
      let values = try files.readFloats(named: tensor.name)
      guard values.allSatisfy(\.isFinite) else { throw notFinite(tensor) }
      used.insert(tensor.name)
      return values
    }
    var bias: [Float]?
    if head.hasBias {
      guard let stored = resolve(name + ".bias"), stored.shape == [labels] else { return nil }
      bias = try read(stored)
    }
    var dense: (weight: [Float], bias: [Float])?
    if let module = head.dense {
      let channels = configuration.channels
      guard let weight = resolve(module + ".weight"), weight.shape == [channels, channels],
        let bias = resolve(module + ".bias"), bias.shape == [channels]
      else { return nil }
      dense = (try read(weight), try read(bias))
    }
    return .init(
      weight: try read(tensor), bias: bias, dense: dense, labels: labels,
      labelNames: labelNames?.count == labels ? labelNames : nil)
  }

  private func notFinite(_ tensor: TensorDescriptor) -> ModelError {
    ModelError(path: directory, reason: "tensor \(tensor.name) holds values that are not finite")
  }
}
