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
  /// Packed weights.
  private var packedWeights: [MatrixRows: any FrozenMatrix] = [:]
  /// The memory of all packed weights.
  private(set) var packedMemory: UnsafeRawBufferPointer?

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

  /// A tensor of the files, and the way in which they hold it.
  private struct Source {
    let tensor: TensorDescriptor
    /// True if the file has (inputs, outputs) where (outputs, inputs) is asked for.
    let isTransposed: Bool
  }

  /// The tensor of this name, which must have this shape once it is brought to rows of outputs.
  private func source(_ name: String, _ shape: [Int]) throws -> Source {
    guard let tensor = resolve(name) else {
      throw ModelError(path: directory, reason: "tensor \(name) is missing")
    }
    let isTransposed = shape.count == 2 && configuration.isStoredTransposed(name)
    let expected = isTransposed ? shape.reversed() : shape
    guard tensor.shape == expected else {
      throw ModelError(
        path: directory,
        reason:
          "tensor \(tensor.name) has shape \(tensor.shape); config.json implies \(expected)")
    }
    used.insert(tensor.name)
    return Source(tensor: tensor, isTransposed: isTransposed)
  }

  func floats(_ name: String, _ shape: [Int]) throws -> Floats {
    let source = try source(name, shape)
    if let inPlace = try inPlace(source) { return inPlace }
    return try storage(source.tensor.elementCount) { try widen(source, into: $0) }
  }

  /// The values in the file itself; nil if they have to be widened or transposed.
  private func inPlace(_ source: Source) throws -> Floats? {
    source.isTransposed ? nil : try files.floats(named: source.tensor.name)?.baseAddress
  }

  private func widen(_ source: Source, into memory: MutableFloats) throws {
    let tensor = source.tensor
    let values = UnsafeMutableBufferPointer(start: memory, count: tensor.elementCount)
    if source.isTransposed {
      transpose(
        try files.readFloats(named: tensor.name), rows: tensor.shape[0], columns: tensor.shape[1],
        into: values)
    } else {
      try files.readFloats(named: tensor.name, into: values)
    }
    guard allFinite(memory, count: tensor.elementCount) else { throw notFinite(tensor) }
  }

  /// The weight of a linear layer that was packed.
  func packed(_ rows: MatrixRows) -> (any FrozenMatrix)? { packedWeights[rows] }

  /// Packs every linear layer into one piece of storage, and returns its bytes.
  mutating func packLinears(
    _ packing: MatrixFormat.Packing, withLanguageHead: Bool
  ) throws -> Int {
    let matrices = try linearMatrices(withLanguageHead: withLanguageHead).map {
      (name: $0.name, rows: $0.rows, inputs: $0.inputs, source: try source($0.name, $0.shape))
    }
    var offsets = [0]
    for matrix in matrices {
      guard matrix.inputs % packing.inputMultiple == 0 else {
        throw ModelError(
          path: directory,
          reason: "tensor \(matrix.name) has \(matrix.inputs) inputs; this compute.precision"
            + " needs a multiple of \(packing.inputMultiple); give fp32")
      }
      for rows in matrix.rows {
        offsets.append(offsets.last! + packing.byteCount(matrix.inputs, rows.count))
      }
    }
    let memory = try storage(offsets.last! / 4) { memory in
      var next = offsets.makeIterator()
      for matrix in matrices {
        try withRows(of: matrix.source) { weight in
          for rows in matrix.rows {
            packing.pack(
              weight + rows.lowerBound * matrix.inputs, matrix.inputs, rows.count,
              UnsafeMutableRawPointer(memory) + next.next()!)
          }
        }
      }
    }
    packedMemory = UnsafeRawBufferPointer(
      start: UnsafeRawPointer(memory), count: offsets.last!)
    var next = offsets.makeIterator()
    for matrix in matrices {
      for rows in matrix.rows {
        packedWeights[MatrixRows(tensor: matrix.name, first: rows.lowerBound)] = packing.matrix(
          UnsafeRawPointer(memory) + next.next()!, matrix.inputs, rows.count)
      }
    }
    return offsets.last!
  }

  /// Calls `body` with a matrix as rows of outputs in fp32.
  private func withRows(of source: Source, _ body: (Floats) -> Void) throws {
    if let inPlace = try inPlace(source) { return body(inPlace) }
    let widened = MutableFloats.allocate(capacity: source.tensor.elementCount)
    defer { widened.deallocate() }
    try widen(source, into: widened)
    body(widened)
  }

  /// A matrix of the files that holds one linear layer or several.
  private struct LinearMatrix {
    let name: String
    let inputs: Int
    /// The rows of each layer.
    let rows: [Range<Int>]

    var shape: [Int] { [rows[rows.count - 1].upperBound, inputs] }
  }

  /// All matrices of linear layers that the files hold.
  private func linearMatrices(withLanguageHead: Bool) throws -> [LinearMatrix] {
    guard configuration.layerCount <= files.tensors.count else {
      throw ModelError(
        path: directory,
        reason: "num_hidden_layers is \(configuration.layerCount), but the files hold "
          + "\(files.tensors.count) tensors")
    }
    var matrices: [LinearMatrix] = []
    func append(_ module: LinearModule, layer: Int) {
      matrices.append(
        LinearMatrix(
          name: configuration.moduleName(of: module.role, layer: layer) + ".weight",
          inputs: module.inputs, rows: module.parts.map(\.rows)))
    }
    for layer in 0..<configuration.layerCount {
      for group in LinearGroup.inBlock {
        for module in configuration.modules(of: group) { append(module, layer: layer) }
      }
    }
    if hasPooler { append(configuration.module(of: .pooler), layer: 0) }
    if withLanguageHead, let output = languageHead.output {
      if configuration.names.languageHead?.transform != nil {
        append(configuration.module(of: .languageHeadTransform), layer: 0)
      }
      matrices.append(
        LinearMatrix(
          name: output, inputs: configuration.channels, rows: [0..<configuration.vocabularySize]))
    }
    return matrices
  }

  /// Whether the files hold the family's pooler.
  var hasPooler: Bool { configuration.names.pooler.map { has($0.module + ".weight") } ?? false }

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
