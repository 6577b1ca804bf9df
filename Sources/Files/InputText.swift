// Reading a text file that the user names.

internal import Safetensors

/// The text of an input file.
///
/// - Parameter limit: The most bytes; what comes after them is not read.
/// - Throws: `CommandFailure`: 66 if it does not exist, 74 if it cannot be read, 65 if it is not a
///   text, 64 if it has more than `limit` bytes.
package func readText(_ path: String, what: String, atMost limit: Int = .max) throws -> String {
  let bytes: [UInt8]?
  do {
    bytes = try contentsIfThere(of: path, atMost: limit)
  } catch let error as SafetensorsError {
    throw CommandFailure(
      error.errorNumber == nil ? ExitCode.usage : ExitCode.inputOutput,
      "\(what) \(path)\(error.errorNumber == nil ? " " : ": ")\(error.reason)")
  }
  guard let bytes else {
    throw CommandFailure(ExitCode.missingInput, "\(what) \(path) does not exist")
  }
  guard let text = String(validating: bytes, as: UTF8.self) else {
    throw CommandFailure(ExitCode.data, "\(what) \(path) is not a text in UTF-8")
  }
  return text
}
