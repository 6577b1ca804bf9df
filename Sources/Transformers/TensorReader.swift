// Finds the tensors of a model in its files, and brings them to the form that the products need.

internal import Kernels
internal import Safetensors

/// Looks tensors up by their full name or, in checkpoints of the bare model, without its prefix.
struct TensorReader {
  let files: SafetensorsCollection
  let configuration: ModelConfiguration
  let directory: String
  let storage: WidenedStorage
  /// Packed weights by the full name of their tensor.
  private var packedWeights: [String: PackedWeight] = [:]

  init(
    files: SafetensorsCollection, configuration: ModelConfiguration, directory: String,
    storage: @escaping WidenedStorage
  ) {
    self.files = files
    self.configuration = configuration
    self.directory = directory
    self.storage = storage
  }

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
    guard allFinite(memory, count: tensor.elementCount) else {
      throw ModelError(
        path: directory, reason: "tensor \(tensor.name) holds values that are not finite")
    }
  }

  /// The weight of a linear layer that was packed.
  func packed(_ name: String) -> FrozenWeight? { packedWeights[name].map { .bf16($0) } }

  /// Packs every linear layer into one piece of storage, and returns its bytes.
  mutating func packLinears(withLanguageHead: Bool) throws -> Int {
    let matrices = try linearNames(withLanguageHead: withLanguageHead).map {
      (name: $0.name, shape: $0.shape, tensor: try tensor($0.name, $0.shape))
    }
    var offsets = [0]
    for matrix in matrices {
      offsets.append(
        offsets.last!
          + PackedWeight.byteCount(inputs: matrix.shape[1], outputs: matrix.shape[0]))
    }
    let memory = try storage(offsets.last! / 4) { memory in
      for (matrix, offset) in zip(matrices, offsets) {
        let target = UnsafeMutableRawPointer(memory) + offset
        let (outputs, inputs) = (matrix.shape[0], matrix.shape[1])
        if let inPlace = try files.floats(named: matrix.tensor.name) {
          PackedWeight.pack(inPlace.baseAddress!, inputs: inputs, outputs: outputs, to: target)
        } else {
          let widened = MutableFloats.allocate(capacity: matrix.tensor.elementCount)
          defer { widened.deallocate() }
          try widen(matrix.tensor, into: widened)
          PackedWeight.pack(widened, inputs: inputs, outputs: outputs, to: target)
        }
      }
    }
    for (matrix, offset) in zip(matrices, offsets) {
      packedWeights[matrix.name] = PackedWeight(
        UnsafeRawPointer(memory) + offset, inputs: matrix.shape[1], outputs: matrix.shape[0])
    }
    return offsets.last!
  }

  /// Tensors and shapes of all linear layers that the files hold.
  private func linearNames(withLanguageHead: Bool) -> [(name: String, shape: [Int])] {
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
    if withLanguageHead, let output = languageHeadName {
      if configuration.family == .bert { append(.languageHeadTransform, layer: 0) }
      names.append((output, [configuration.vocabularySize, configuration.channels]))
    }
    return names
  }

  /// Whether the files hold BERT's pooler.
  var hasPooler: Bool { configuration.family == .bert && has("bert.pooler.dense.weight") }

  /// The tensor of the product to the vocabulary, or nil where the files have none.
  var languageHeadName: String? {
    let embedding = configuration.tokenEmbeddingName + ".weight"
    switch configuration.family {
    case .llama:
      if configuration.tiesWordEmbeddings { return embedding }
      return has("lm_head.weight") ? "lm_head.weight" : nil
    case .bert:
      guard has("cls.predictions.transform.dense.weight") else { return nil }
      let untied = "cls.predictions.decoder.weight"
      return configuration.tiesWordEmbeddings || !has(untied) ? embedding : untied
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
