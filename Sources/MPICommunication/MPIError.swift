// The one place where MPI's return codes are looked at.

internal import CMPIShim
public import Communication

/// An MPI call that failed.
public struct MPIError: ErrorWithExitCode, Equatable, CustomStringConvertible {
  /// The MPI function, as "MPI_Bcast".
  public let call: String
  /// MPI's error code.
  public let code: Int32
  /// MPI's text for the code.
  public let text: String

  /// One line: the call, the code, MPI's text.
  public var description: String { "\(call) failed with code \(code): \(text)" }

  /// 70: nothing that the user's files could have caused.
  public var exitCode: Int32 { 70 }
}

/// Throws unless `code` is MPI_SUCCESS.
func check(_ call: String, _ code: Int32) throws {
  guard code != 0 else { return }
  // int MPI_Error_string(int errorcode, char *string, int *resultlen)
  let text = try? mpiText("MPI_Error_string") { cmpi_error_text(code, $0, $1) }
  throw MPIError(call: call, code: code, text: text ?? "unknown error")
}

/// The text that an MPI function writes into a buffer of the capacity that MPI asks for.
func mpiText(
  _ call: String, _ write: (UnsafeMutablePointer<CChar>, UnsafeMutablePointer<Int32>) -> Int32
) throws -> String {
  let capacity = Int(cmpi_text_capacity())
  return try withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity + 1) { buffer in
    buffer.initialize(repeating: 0)
    var length: Int32 = 0
    let code = write(buffer.baseAddress!, &length)
    guard code == 0 else { throw MPIError(call: call, code: code, text: "no text") }
    let bytes = buffer.prefix(Int(length)).prefix { $0 != 0 }
    return String(decoding: bytes.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
