// Compiled programs on disk: a driver takes seconds to compile the kernels.

internal import Foundation

/// A folder of compiled programs.
package struct ProgramCache: Sendable {
  private let folder: String

  /// Programs in `folder`, which is made when the first is kept.
  package init(folder: String) { self.folder = folder }

  /// The program that was kept for a key; nil if there is none.
  func program(for key: String) -> [UInt8]? {
    FileManager.default.contents(atPath: path(key)).map { [UInt8]($0) }
  }

  /// Keeps a program. A folder that cannot be written is no fault: the program is compiled again.
  func keep(_ program: [UInt8], for key: String) {
    try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try? Data(program).write(to: URL(fileURLWithPath: path(key)), options: .atomic)
  }

  /// The file of a key: its FNV-1a hash of 64 bits (a driver checks what it is given, and other
  /// bits than the CPU's are found by the self-test).
  private func path(_ key: String) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in key.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return "\(folder)/\(String(hash, radix: 16)).bin"
  }
}
