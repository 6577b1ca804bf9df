// Which code multiplies matrices, and with which instructions.

internal import CKernels
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

/// An instruction set that the kernels are compiled for. Results of all of them have the same bits.
package enum InstructionSet: String, CaseIterable, Sendable {
  /// Fused multiply-adds of the C library, for any CPU.
  case fma
  /// AVX2 and FMA.
  case avx2
  /// AVX-512 (F, BW, DQ, VL).
  case avx512

  /// The environment variable that chooses one.
  package static let variable = "CELLM_ISA"

  /// The instruction set in use: the widest that the CPU has, or the one that `use` chose.
  package static var current: InstructionSet {
    allCases.first { $0.level == ck_level() } ?? .fma
  }

  /// Whether this CPU has it.
  package var isSupported: Bool { ck_level_supported(level) != 0 }

  /// Uses this instruction set from now on. Call it before other threads compute.
  /// - Precondition: `isSupported`.
  package func use() {
    precondition(isSupported, "this CPU has no \(rawValue)")
    ck_set_level(level)
  }

  /// Uses the instruction set of this name, the value of CELLM_ISA.
  ///
  /// - Returns: the reason in one line if there is none of this name or the CPU lacks it.
  package static func use(named name: String) -> String? {
    let supported = allCases.filter(\.isSupported).map(\.rawValue).joined(separator: ", ")
    guard let found = InstructionSet(rawValue: name) else {
      return "\(variable)=\(name): unknown instruction set; this CPU has \(supported)"
    }
    guard found.isSupported else {
      return "\(variable)=\(name): this CPU has only \(supported)"
    }
    found.use()
    return nil
  }

  private var level: Int32 {
    switch self {
    case .fma: Int32(CK_LEVEL_FMA)
    case .avx2: Int32(CK_LEVEL_AVX2)
    case .avx512: Int32(CK_LEVEL_AVX512)
    }
  }
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
