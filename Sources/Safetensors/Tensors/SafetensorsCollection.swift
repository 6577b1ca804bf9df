// The weights of a model directory: one file, or the shards that an index names.
//   {"metadata": {...}, "weight_map": {"TENSOR": "model-00001-of-00002.safetensors", ...}}

import Glibc

/// All tensors of a model directory, whichever file holds them.
public final class SafetensorsCollection: TensorSource {
  /// The directory, as it was given.
  public let path: String
  /// The files, in the order of their names.
  public let files: [SafetensorsFile]
  /// All tensors, file by file in the order of their bytes.
  public let tensors: [TensorDescriptor]
  private let fileIndices: [String: Int]

  /// Opens `model.safetensors`, or else the shards named by `model.safetensors.index.json`.
  ///
  /// The index and the shards have to agree: each tensor of the one is in the other, in the shard
  /// it names. Shards are files of the directory itself: a name with a slash is refused.
  /// - Throws: `SafetensorsError`.
  public init(directory: String) throws {
    let single = directory + "/model.safetensors"
    let index = single + ".index.json"
    var shards: [String: Int] = [:]
    if try isThere(single) {
      files = [try SafetensorsFile(path: single)]
    } else if try isThere(index) {
      let weightMap = try Self.weightMap(path: index)
      let names = Set(weightMap.values).sorted()
      files = try names.map { try SafetensorsFile(path: directory + "/" + $0) }
      for (position, name) in names.enumerated() { shards[name] = position }
      try Self.agree(weightMap, files, shards, index: index)
    } else {
      let hasPickle = try ["", ".index.json"].contains {
        try isThere(directory + "/pytorch_model.bin" + $0)
      }
      throw SafetensorsError(
        path: directory,
        reason: "holds neither model.safetensors nor model.safetensors.index.json"
          + (hasPickle
            ? ", but pytorch_model.bin, which is not read; save the model with transformers anew"
            : ""),
        errorNumber: ENOENT)
    }
    path = directory
    tensors = files.flatMap(\.tensors)
    fileIndices = Dictionary(
      uniqueKeysWithValues: files.enumerated().flatMap { position, file in
        file.tensors.map { ($0.name, position) }
      })
  }

  /// The tensor of that name, if there is one.
  public subscript(name: String) -> TensorDescriptor? {
    fileIndices[name].flatMap { files[$0][name] }
  }

  /// The bytes of a tensor of this collection, valid while this object lives.
  ///
  /// - Precondition: `tensor` came from this collection.
  public func bytes(of tensor: TensorDescriptor) -> UnsafeRawBufferPointer {
    file(of: tensor).bytes(of: tensor)
  }

  /// True if two float tensors of this collection have the same shape and values.
  ///
  /// - Throws: `SafetensorsError` where one of them holds no floats.
  public func isSame(_ a: TensorDescriptor, _ b: TensorDescriptor) throws -> Bool {
    guard a.shape == b.shape else { return false }
    if a.elementType == b.elementType {
      let (first, second) = (bytes(of: a), bytes(of: b))
      guard let x = first.baseAddress, let y = second.baseAddress else { return true }
      return memcmp(x, y, first.count) == 0
    }
    return try readFloats(named: a.name) == readFloats(named: b.name)
  }

  /// The shard that holds a tensor of this collection.
  public func path(of tensor: TensorDescriptor) -> String { file(of: tensor).path }

  private func file(of tensor: TensorDescriptor) -> SafetensorsFile {
    guard let position = fileIndices[tensor.name] else {
      preconditionFailure("tensor \(quoted(tensor.name)) is not one of \(path)")
    }
    return files[position]
  }

  private static func weightMap(path: String) throws -> [String: String] {
    let file = try MappedFile(path: path)
    guard file.bytes.count <= SafetensorsHeader.maximumByteCount else {
      throw SafetensorsError(
        path: path, reason: "\(file.bytes.count) bytes are too many for an index")
    }
    var weightMap: [String: String] = [:]
    var found = false
    do {
      try withExtendedLifetime(file) {
        var scanner = JSONScanner(file.bytes)
        try scanner.members { key, scanner in
          guard key == "weight_map" else { return try scanner.skipValue() }
          if found { throw scanner.fault("weight_map is there twice") }
          found = true
          try scanner.members { tensor, scanner in
            let shard = try scanner.string()
            if shard.isEmpty || shard == "." || shard == ".."
              || shard.utf8.contains(where: { $0 == 0x2F || $0 == 0 })
            {
              throw scanner.fault(
                "tensor \(quoted(tensor)) in \(quoted(shard)); only this folder's files are valid"
              )
            }
            guard weightMap.updateValue(shard, forKey: tensor) == nil else {
              throw scanner.fault("tensor \(quoted(tensor)) is there twice")
            }
          }
        }
        try scanner.finish()
      }
    } catch let fault as JSONFault {
      throw SafetensorsError(path: path, reason: "byte \(fault.offset): \(fault.text)")
    }
    if weightMap.isEmpty {
      throw SafetensorsError(path: path, reason: "no weight_map that names a tensor")
    }
    return weightMap
  }

  /// Checks that every tensor of the index is in the shard it names, and every tensor of the shards
  /// in the index.
  private static func agree(
    _ weightMap: [String: String], _ files: [SafetensorsFile], _ shards: [String: Int],
    index: String
  ) throws {
    for (tensor, shard) in weightMap.sorted(by: { $0.key < $1.key }) {
      guard let position = shards[shard], files[position][tensor] != nil else {
        throw SafetensorsError(
          path: index, reason: "names tensor \(quoted(tensor)) in \(shard), which does not hold it")
      }
    }
    for file in files {
      for tensor in file.tensors {
        guard let shard = weightMap[tensor.name], let position = shards[shard],
          files[position] === file
        else {
          throw SafetensorsError(
            path: file.path,
            reason: "holds tensor \(quoted(tensor.name)), which \(index) does not say")
        }
      }
    }
  }
}
