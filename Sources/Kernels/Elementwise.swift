// Sums along rows and columns, and a check for finite values.

internal import CKernels

/// `x` (tokens, channels) += `bias` (channels).
public func addBias(_ x: MutableFloats, bias: Floats, tokens: Int, channels: Int) {
  if let device = KernelDevices.owner(of: x) {
    return device.launch(
      "add_bias", .elements(tokens * channels),
      [.memory(x), .memory(bias), .long(tokens * channels), .int(channels)])
  }
  ck_add_bias(x, bias, Int64(tokens), Int64(channels))
}

/// `dBias` (channels) += the column sums of `dOut` (tokens, channels).
public func biasGradient(dBias: MutableFloats, dOut: Floats, tokens: Int, channels: Int) {
  if let device = KernelDevices.owner(of: dBias) {
    return device.launch(
      "bias_gradient", .elements(channels),
      [.memory(dBias), .memory(dOut), .int(tokens), .int(channels)])
  }
  ck_bias_gradient(dBias, dOut, Int64(tokens), Int64(channels))
}

/// `x` += `y` over `count` elements.
public func add(_ x: MutableFloats, _ y: Floats, count: Int) {
  if let device = KernelDevices.owner(of: x) {
    return device.launch("add", .elements(count), [.memory(x), .memory(y), .long(count)])
  }
  ck_add(x, y, Int64(count))
}

/// Multiplies `count` elements of `x` by `factor`; no work for 1, LoRA's scale if alpha is its rank.
public func scale(_ x: MutableFloats, by factor: Float, count: Int) {
  guard factor != 1 else { return }
  if let device = KernelDevices.owner(of: x) {
    return device.launch("scale", .elements(count), [.memory(x), .float(factor), .long(count)])
  }
  for index in 0..<count { x[index] *= factor }
}

/// `out` = `a` * `b` over `count` elements.
public func multiply(_ out: MutableFloats, _ a: Floats, _ b: Floats, count: Int) {
  if let device = KernelDevices.owner(of: out) {
    return device.launch(
      "multiply", .elements(count), [.memory(out), .memory(a), .memory(b), .long(count)])
  }
  for index in 0..<count { out[index] = a[index] * b[index] }
}

/// `out` += `a` * `b` over `count` elements, in two roundings.
public func addProduct(_ out: MutableFloats, _ a: Floats, _ b: Floats, count: Int) {
  if let device = KernelDevices.owner(of: out) {
    return device.launch(
      "add_product", .elements(count), [.memory(out), .memory(a), .memory(b), .long(count)])
  }
  for index in 0..<count { out[index] += a[index] * b[index] }
}

/// `out` = 1 + `x` over `count` elements.
public func onePlus(_ out: MutableFloats, _ x: Floats, count: Int) {
  if let device = KernelDevices.owner(of: out) {
    return device.launch("one_plus", .elements(count), [.memory(out), .memory(x), .int(count)])
  }
  for index in 0..<count { out[index] = 1 + x[index] }
}

/// Writes the transpose of a row-major matrix (`rows`, `columns`) to `out`, in tiles that fit caches.
public func transpose(
  _ matrix: [Float], rows: Int, columns: Int, into out: UnsafeMutableBufferPointer<Float>
) {
  precondition(
    matrix.count == rows * columns && out.count == matrix.count,
    "\(matrix.count) values for (\(rows), \(columns)) into \(out.count)")
  let tile = 32
  matrix.withUnsafeBufferPointer { matrix in
    for firstRow in stride(from: 0, to: rows, by: tile) {
      for firstColumn in stride(from: 0, to: columns, by: tile) {
        for row in firstRow..<min(firstRow + tile, rows) {
          for column in firstColumn..<min(firstColumn + tile, columns) {
            out[column * rows + row] = matrix[row * columns + column]
          }
        }
      }
    }
  }
}

/// Whether all of `count` elements are finite.
public func allFinite(_ x: Floats, count: Int) -> Bool {
  ck_all_finite(x, Int64(count)) != 0
}

/// `a` = `b` + 0.5 * `c` over `count` elements: the triad that memory bandwidth is measured with.
public func triad(_ a: MutableFloats, _ b: Floats, _ c: Floats, count: Int) {
  ck_triad(a, b, c, Int64(count))
}
