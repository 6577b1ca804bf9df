// Directories for tests that write files, and the directory of the goldens.

import Foundation

/// A directory that is removed when the object goes away.
package final class TemporaryDirectory: Sendable {
  /// The directory.
  package let path: String

  /// A new empty directory.
  package init() throws {
    path = NSTemporaryDirectory() + "cellm-mpi-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The path of a file in it.
  package func file(_ name: String) -> String { path + "/" + name }

  /// The names of its files, sorted.
  package var contents: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
  }
}

/// The path of a file or directory of Tests/Goldens.
package func goldenPath(_ name: String) -> String {
  URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Goldens/\(name)").path
}
