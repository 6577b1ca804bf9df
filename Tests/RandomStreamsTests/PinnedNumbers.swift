// Numbers that must never change, computed independently (Philox4x32-10 in Python integers).

enum PinnedNumbers {
  /// The first three of seed 0, purpose cohort, round 0.
  static let cohort: [UInt64] = [
    0xEA23_6249_6AD0_C5EC, 0x0749_44B3_73A4_59F5, 0xE4C2_9D23_6DA1_1836,
  ]
}
