// Directories for tests that write files.

import Foundation

/// A directory that vanishes with the test.
package final class TemporaryDirectory {
  /// The directory.
  package let path: String

  /// A new empty directory.
  package init() throws {
    path =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("cellm-mpi-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
