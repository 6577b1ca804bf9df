// A vector of which only some coordinates are kept: the value that travels between server and
// client, before it is encoded (VectorCodec) and after it is decoded.

/// Kept coordinates (ascending) and their values, of a vector of `length` floats.
///
/// A kept value may be zero: the support is what was selected, not what happens to be nonzero.
/// Two vectors are equal when they are equal bit for bit, so +0 differs from -0 and a NaN equals
/// itself.
public struct SparseVector: Sendable {
  /// The kept coordinates.
  public let mask: SupportMask
  /// The values at the kept coordinates, in their order.
  public let values: [Float]

  /// Makes a vector of the given coordinates and values.
  ///
  /// - Precondition: as many values as indices; indices strictly ascending and below `length`.
  public init(length: Int, indices: [UInt32], values: [Float]) {
    self.init(mask: SupportMask(length: length, indices: indices), values: values)
  }

  /// Makes a vector with `values` at the coordinates of `mask`.
  ///
  /// - Precondition: as many values as the mask keeps coordinates.
  public init(mask: SupportMask, values: [Float]) {
    precondition(
      mask.count == values.count,
      "sparse vector: \(values.count) values for \(mask.count) indices")
    self.mask = mask
    self.values = values
  }

  /// Takes the values of `vector` at the coordinates of `mask`.
  ///
  /// - Precondition: `vector` has `mask.length` floats.
  public init(gathering vector: UnsafeBufferPointer<Float>, at mask: SupportMask) {
    precondition(
      vector.count == mask.length,
      "sparse vector: mask of length \(mask.length) gathers from \(vector.count) floats")
    self.mask = mask
    guard let list = mask.list else {
      values = Array(vector)
      return
    }
    let kept = list.count
    values = [Float](unsafeUninitializedCapacity: kept) { buffer, count in
      list.withUnsafeBufferPointer { positions in
        if let source = vector.baseAddress, let from = positions.baseAddress,
          let to = buffer.baseAddress
        {
          for i in 0..<kept { to[i] = source[Int(from[i])] }
        }
      }
      count = kept
    }
  }

  /// Keeps every coordinate of `vector`.
  public init(dense vector: UnsafeBufferPointer<Float>) {
    self.init(gathering: vector, at: .all(length: vector.count))
  }

  /// The number of coordinates of the whole vector, at most 2^32 - 1.
  public var length: Int { mask.length }

  /// The kept coordinates, strictly ascending; see ``SupportMask/indices`` for what it costs.
  public var indices: [UInt32] { mask.indices }

  /// The number of kept coordinates.
  public var count: Int { values.count }

  /// Whether every coordinate is kept.
  package var isDense: Bool { mask.isAll }

  /// Kept values whose magnitude is not zero.
  package var nonzeroCount: Int {
    values.withUnsafeBufferPointer { values in
      var nonzeros = 0
      for value in values { nonzeros &+= value == 0 ? 0 : 1 }
      return nonzeros
    }
  }

  /// The largest |value|; 0 when nothing is kept.
  public var largestMagnitude: Float {
    values.withUnsafeBufferPointer { Sparsity.largestMagnitude(of: $0) }
  }

  /// The position in the whole vector of the first infinite or NaN value, if there is one.
  public var firstNonFinite: Int? {
    guard let found = values.withUnsafeBufferPointer({ Sparsity.firstNonFinite(in: $0) }) else {
      return nil
    }
    return mask.list.map { Int($0[found]) } ?? found
  }

  /// Overwrites all of `vector`: the kept values at their coordinates, +0 everywhere else.
  ///
  /// - Precondition: `vector` has `length` floats.
  public func scatter(into vector: UnsafeMutableBufferPointer<Float>) {
    precondition(
      vector.count == length,
      "sparse vector of length \(length) scattered into \(vector.count) floats")
    guard let to = vector.baseAddress else { return }
    values.withUnsafeBufferPointer { values in
      guard let list = mask.list else {
        to.update(from: values.baseAddress!, count: length)
        return
      }
      to.update(repeating: 0, count: length)
      guard let from = values.baseAddress else { return }
      list.withUnsafeBufferPointer { indices in
        let at = indices.baseAddress!
        for i in 0..<indices.count { to[Int(at[i])] = from[i] }
      }
    }
  }

  /// The whole vector, +0 where nothing is kept.
  public func dense() -> [Float] {
    [Float](unsafeUninitializedCapacity: length) { buffer, count in
      // The array may offer more room than was asked for.
      let whole = UnsafeMutableBufferPointer(rebasing: buffer[..<length])
      scatter(into: whole)
      count = length
    }
  }
}

extension SparseVector: Equatable {
  /// Whether both vectors are the same bit for bit.
  public static func == (a: SparseVector, b: SparseVector) -> Bool {
    guard a.mask == b.mask else { return false }
    return a.values.withUnsafeBufferPointer { a in
      b.values.withUnsafeBufferPointer { b in
        var difference: UInt32 = 0
        for i in 0..<a.count { difference |= a[i].bitPattern ^ b[i].bitPattern }
        return difference == 0
      }
    }
  }
}
