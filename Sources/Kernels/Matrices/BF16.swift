// Products of frozen weights in bf16: both factors rounded to 8 bits of fraction, summed in fp32.
//
// oneDNN compiles a product for each size and CPU. A product's rows are cut into pieces of at most
// 128, 112, 96 ... 16, 15 ... 1 rows, so that 22 compiled products serve any number of rows:
// compiling costs 0.3 ms and 80 KB each, and pieces of 128 rows run as fast as 512 at once.

internal import CDNNLShim
internal import CKernels
internal import Synchronization

/// Products in bf16.
public enum BF16 {
  /// Why this build on this CPU has no products in bf16, in one line; nil if it has.
  public static var unavailableReason: String? {
    if cdnnl_is_built() == 0 {
      return "precision bf16 needs a build with oneDNN: swift build -c release --traits oneDNN"
    }
    if cdnnl_has_bf16() == 0 {
      return "precision bf16 needs AVX512-BF16, which this CPU lacks or ONEDNN_MAX_CPU_ISA forbids"
    }
    return nil
  }

  /// The library behind the products, for manifests; nil in a build without it.
  static var libraryDescription: String? {
    cdnnl_is_built() == 0 ? nil : "oneDNN " + String(cString: cdnnl_version())
  }

  /// `out` = `input` in bf16, rounded to the nearest, ties to even.
  public static func round(_ out: UnsafeMutablePointer<UInt16>, _ input: Floats, count: Int) {
    ck_round_to_bf16(out, input, Int64(count))
  }

  /// `out` (rows, columns) = `input` (rows, inner) * `packed` (inner, columns).
  static func product(
    _ out: MutableFloats, _ input: Floats, packed: UnsafeRawPointer, rows: Int, inner: Int,
    columns: Int, _ accumulation: Accumulation
  ) {
    guard rows > 0 else { return }
    let workspace = workspaces.withLock { $0.popLast() } ?? Workspace()
    var first = 0
    while first < rows {
      let size = ProductSize(
        rows: piece(of: rows - first), inner: inner, columns: columns, accumulation: accumulation)
      let product = compiled(size)
      workspace.reserve(
        rounded: size.rows * inner, scratchBytes: cdnnl_product_scratch_bytes(product))
      round(workspace.rounded, input + first * inner, count: size.rows * inner)
      check(
        cdnnl_product_run(
          product, out + first * columns, workspace.rounded, packed, workspace.scratch), size)
      first += size.rows
    }
    workspaces.withLock { $0.append(workspace) }
  }

  /// The rows that are computed at once where `rows` are left.
  static func piece(of rows: Int) -> Int {
    rows >= 128 ? 128 : rows >= 16 ? rows & ~15 : rows
  }

  private static let products = Mutex<[ProductSize: CompiledProduct]>([:])
  /// As many as threads ever computed at once.
  private static let workspaces = Mutex<[Workspace]>([])

  private static func compiled(_ size: ProductSize) -> OpaquePointer {
    products.withLock { products in
      if let found = products[size] { return found }
      var made: OpaquePointer?
      check(
        cdnnl_product_create(
          &made, Int64(size.rows), Int64(size.inner), Int64(size.columns),
          size.accumulation.flag), size)
      let product = CompiledProduct(pointer: made!)
      products[size] = product
      return product
    }.pointer
  }

  /// The library fails where memory is out, or on sizes that our own code got wrong.
  static func check(_ status: Int32, _ size: ProductSize) {
    precondition(
      status == 0,
      "oneDNN's product (\(size.rows), \(size.inner)) x (\(size.inner), \(size.columns)) ended with "
        + "status \(status)")
  }
}

/// What a compiled product is made for.
struct ProductSize: Hashable, Sendable {
  let rows: Int
  let inner: Int
  let columns: Int
  let accumulation: Accumulation
}

/// A product that threads share; kept as long as the process.
private struct CompiledProduct: @unchecked Sendable {
  let pointer: OpaquePointer
}

/// The rounded input rows of one product, and the library's scratch memory; grows and is kept.
private final class Workspace: @unchecked Sendable {
  private(set) var rounded = UnsafeMutablePointer<UInt16>.allocate(capacity: 1)
  private(set) var scratch = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
  private var roundedCount = 0
  private var scratchCount = 64

  func reserve(rounded count: Int, scratchBytes: Int) {
    if count > roundedCount {
      rounded.deallocate()
      rounded = UnsafeMutableRawPointer.allocate(byteCount: count * 2, alignment: 64)
        .bindMemory(to: UInt16.self, capacity: count)
      roundedCount = count
    }
    if scratchBytes > scratchCount {
      scratch.deallocate()
      scratch = .allocate(byteCount: scratchBytes, alignment: 64)
      scratchCount = scratchBytes
    }
  }

  deinit {
    rounded.deallocate()
    scratch.deallocate()
  }
}
