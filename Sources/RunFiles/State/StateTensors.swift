// The entries of the server's state as tensors of a checkpoint. A single number stands in the metadata.

internal import Federation
internal import Files
internal import Safetensors
internal import Sparsity

extension StateName {
  /// The tensor of an entry; nil if there is no entry, and of a number.
  func tensor(_ entry: StateEntry?) -> TensorToWrite? {
    switch entry {
    case nil, .number: return nil
    case .floats(let values):
      return TensorToWrite(name: name, shape: [values.count], floats: values)
    case .integers(let values):
      var shape = [values.count]
      if case .integers(let columns) = content, columns > 1 {
        shape = [values.count / columns, columns]
      }
      return TensorToWrite(name: name, shape: shape, int64s: values.map { Int64($0) })
    case .mask(let mask):
      return TensorToWrite(
        name: name, shape: [mask.count], int64s: mask.indices.map(Int64.init))
    }
  }
}

extension StateEntry {
  /// The entry of a checkpoint; nil if the file has none of this name.
  ///
  /// - Throws: `CommandFailure` if it is not whole.
  init?(_ name: StateName, _ file: SafetensorsFile) throws {
    if case .number = name.content {
      guard let number = file.metadata[name.name].flatMap(Double.init) else { return nil }
      self = .number(number)
      return
    }
    guard let tensor = file[name.name] else { return nil }
    switch name.content {
    case .floats:
      var values = [Float](repeating: 0, count: tensor.elementCount)
      try values.withUnsafeMutableBufferPointer {
        try file.readFloats(named: name.name, into: $0)
      }
      self = .floats(values)
    case .integers:
      self = .integers(try file.readIntegers(named: name.name).map { Int($0) })
    case .mask:
      // Masks are of the vector.
      let length = file[StateName.vector.name]?.elementCount ?? 0
      let indices = try file.readIntegers(named: name.name)
      guard zip(indices, indices.dropFirst()).allSatisfy(<),
        indices.allSatisfy({ (0..<length).contains(Int($0)) })
      else {
        throw CommandFailure(
          ExitCode.data, "\(file.path): not a whole checkpoint: its \(name.name)")
      }
      self = .mask(SupportMask(length: length, indices: indices.map { UInt32($0) }))
    case .number: return nil
    }
  }
}
