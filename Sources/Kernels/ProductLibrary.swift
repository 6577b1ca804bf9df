// The library that multiplies matrices.

internal import COpenBLAS

/// The library that computes matrix products. `current` belongs to the process.
package enum ProductLibrary: String, CaseIterable, Sendable {
  /// The products of this program: the same bits on every CPU.
  case own
  /// `cblas_sgemm`: bits depend on the CPU and on the library's version.
  case openblas

  /// The library in use. Set it before other threads compute.
  nonisolated(unsafe) package static var current = ProductLibrary.own
}

/// OpenBLAS, the library of `ProductLibrary.openblas`.
public enum BLAS {
  /// Sets the threads of one product; 1 keeps every rank on its own core.
  public static func setThreads(_ count: Int) {
    openblas_set_num_threads(Int32(count))
  }

  /// The library's own description: version, build options and the CPU kernels that it chose.
  public static var description: String {
    String(cString: openblas_get_config()) + " core " + String(cString: openblas_get_corename())
  }
}
