// The instructions that the kernels use.

internal import CKernels
internal import Glibc

/// An instruction set that the kernels are compiled for. Results of all of them have the same bits.
package enum InstructionSet: String, CaseIterable, Sendable {
  /// Fused multiply-adds of the C library, for any CPU.
  case fma
  /// AVX2 and FMA.
  case avx2
  /// AVX-512 (F, BW, DQ, VL).
  case avx512

  /// The environment variable that chooses one.
  private static let variable = "CELLM_ISA"

  /// The instruction set in use: the widest that the CPU has, or the one that `use` chose.
  package static var current: InstructionSet {
    allCases.first { $0.level == ck_level() } ?? .fma
  }

  /// True if this CPU has it.
  package var isSupported: Bool { ck_level_supported(level) != 0 }

  /// Uses this instruction set from now on. Call it before other threads compute.
  /// - Precondition: `isSupported`.
  package func use() {
    precondition(isSupported, "this CPU has no \(rawValue)")
    ck_set_level(level)
  }

  /// Uses the instruction set that CELLM_ISA names, if it names one.
  ///
  /// - Returns: the reason in one line if there is none of this name or the CPU lacks it.
  package static func useRequested() -> String? {
    guard let value = getenv(variable), value.pointee != 0 else { return nil }
    return use(named: String(cString: value))
  }

  /// Uses the instruction set of this name.
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
