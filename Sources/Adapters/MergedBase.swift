// What a run leaves where it merged its factors into the base weights (FLoRA): no adapter, which would be of
// full rank, but `merged_base.safetensors` with the adapted layers' weights and the head, by their names in
// the full model. `export --merge` puts them into the model. PEFT finds no adapter in such a directory, and
// so cannot load a wrong one.

internal import Safetensors
public import Transformers

/// The adapted layers' weights with all that was merged into them, and the head.
public struct MergedBase: Sendable {
  /// The weights, (outputs, inputs), in the order of the layout's adapted layers.
  public var matrices: [[Float]]
  /// A trainable vector of zero factors and the head.
  public var vector: [Float]

  static let fileName = "merged_base.safetensors"

  /// True if a directory holds one.
  /// - Throws: `SafetensorsError` where the file system does not tell.
  public static func exists(at path: String) throws -> Bool {
    try isThere(path + "/" + fileName)
  }

  /// Writes the weights `base`, one matrix after the other, and the head of `vector` to the directory
  /// `path`, and removes an adapter that was written there before.
  /// - Throws: `SafetensorsError` with errno.
  public static func write(
    base: [Float], vector: [Float], layout: TrainableLayout, configuration: ModelConfiguration,
    to path: String
  ) throws {
    try makeFolders(path)
    try base.withUnsafeBufferPointer { base in
      try vector.withUnsafeBufferPointer { vector in
        var tensors: [TensorToWrite] = []
        var next = 0
        for place in layout.adaptedPlaces {
          let size = configuration.module(of: place.role)
          let count = size.inputs * size.outputs
          tensors.append(
            TensorToWrite(
              name: name(of: place, configuration), shape: [size.outputs, size.inputs],
              borrowing: UnsafeBufferPointer(rebasing: base[next..<(next + count)])))
          next += count
        }
        for segment in layout.headSegments {
          tensors.append(
            TensorToWrite(
              name: segment.modelName, shape: segment.shape,
              borrowing: UnsafeBufferPointer(rebasing: vector[segment.range])))
        }
        try SafetensorsWriter.write(tensors, metadata: ["format": "pt"], to: path + "/" + fileName)
      }
    }
    for name in [AdapterDirectory.weightsName, AdapterDirectory.configurationName] {
      try removeIfThere(path + "/" + name)
    }
  }

  /// Reads what `write` left in the directory `path`.
  /// - Throws: `ModelError` or `SafetensorsError` where it is missing or does not fit the layout.
  public init(path: String, layout: TrainableLayout, configuration: ModelConfiguration) throws {
    let file = try SafetensorsFile(path: path + "/" + Self.fileName)
    func floats(_ name: String, _ shape: [Int]) throws -> [Float] {
      guard let tensor = file[name], tensor.shape == shape else {
        throw ModelError(
          path: file.path, reason: "tensor \(name) is missing or has another shape than \(shape)")
      }
      var values = [Float](repeating: 0, count: tensor.elementCount)
      try values.withUnsafeMutableBufferPointer { try file.readFloats(named: name, into: $0) }
      return values
    }
    matrices = try layout.adaptedPlaces.map { place in
      let size = configuration.module(of: place.role)
      return try floats(Self.name(of: place, configuration), [size.outputs, size.inputs])
    }
    vector = [Float](repeating: 0, count: layout.parameterCount)
    for segment in layout.headSegments {
      vector.replaceSubrange(segment.range, with: try floats(segment.modelName, segment.shape))
    }
  }

  /// The weights by the names of their tensors.
  func byName(_ layout: TrainableLayout, _ configuration: ModelConfiguration) -> [String: [Float]] {
    Dictionary(
      uniqueKeysWithValues: zip(layout.adaptedPlaces, matrices).map {
        (Self.name(of: $0, configuration), $1)
      })
  }

  private static func name(of place: LinearPlace, _ configuration: ModelConfiguration) -> String {
    configuration.moduleName(of: place.role, layer: place.layer) + ".weight"
  }
}

extension TrainableLayout {
  fileprivate var headSegments: [TrainableSegment] {
    segments.filter { $0.kind.isOfHead }
  }
}

extension MergedBase {
  /// The model with these weights in its adapted layers.
  public func replacing(in model: PretrainedModel, _ layout: TrainableLayout) -> PretrainedModel {
    let owner = MergedMemory(matrices)
    return model.replacing(
      Dictionary(uniqueKeysWithValues: zip(layout.adaptedPlaces, owner.pointers)), owner: owner)
  }
}

/// Matrices at addresses that stay.
private final class MergedMemory {
  let pointers: [UnsafePointer<Float>]

  init(_ matrices: [[Float]]) {
    pointers = matrices.map { matrix in
      let memory = UnsafeMutablePointer<Float>.allocate(capacity: matrix.count)
      memory.initialize(from: matrix, count: matrix.count)
      return UnsafePointer(memory)
    }
  }

  deinit { for pointer in pointers { pointer.deallocate() } }
}
