// Errors of model and adapter directories.

/// A model or adapter that cannot be used: one line that names the path and the cause.
public struct ModelError: Error, CustomStringConvertible, Sendable {
  /// The file, directory or key.
  public let path: String
  /// The fault, and what would be right.
  public let reason: String
  /// True if something is missing, false if it is malformed.
  public let isMissing: Bool

  /// An error at `path`.
  public init(path: String, reason: String, isMissing: Bool = false) {
    self.path = path
    self.reason = reason
    self.isMissing = isMissing
  }

  /// `path: reason`.
  public var description: String { "\(path): \(reason)" }
}
