// Frozen matrices of linear layers: a matrix is kept in the form in which its products read it.

/// A frozen matrix, (outputs, inputs).
///
/// A call is a whole product, so that calling through the protocol costs nothing that can be
/// measured.
package protocol FrozenMatrix: Sendable {
  /// `output` (T, outputs) = `input` (T, inputs) * matrix^T, or adds it.
  func forward(
    output: MutableFloats, input: Floats, tokens: Int, _ accumulation: Accumulation)

  /// `dInput` (T, inputs) = `dOutput` (T, outputs) * matrix, or adds it.
  func backwardInput(
    dInput: MutableFloats, dOutput: Floats, tokens: Int, _ accumulation: Accumulation)

  /// The matrix row-major in fp32; nil if it is kept in another form.
  var floats: Floats? { get }
}

/// A form in which frozen matrices are kept. `allCases` is the table of formats.
package struct MatrixFormat: RawRepresentable, CaseIterable, Equatable, Sendable {
  /// Turns matrices into a form that only the products of this process read: it may depend on the
  /// CPU and on library versions.
  package struct Packing: Sendable {
    /// The number that the inputs must be a multiple of.
    package var inputMultiple = 1
    /// Bytes of a packed matrix, a multiple of 64.
    package let byteCount: @Sendable (_ inputs: Int, _ outputs: Int) -> Int
    /// Writes a row-major matrix to memory of `byteCount` bytes.
    package let pack:
      @Sendable (_ matrix: Floats, _ inputs: Int, _ outputs: Int, _ to: UnsafeMutableRawPointer)
        -> Void
    /// The packed matrix at some memory, which outlives it.
    package let matrix:
      @Sendable (_ memory: UnsafeRawPointer, _ inputs: Int, _ outputs: Int) -> any FrozenMatrix
  }

  /// The name in experiment files and on command lines.
  package let rawValue: String
  /// The packed form; nil if products read fp32 in place.
  package let packing: Packing?
  private let reason: @Sendable () -> String?

  /// Every format.
  package static let allCases: [MatrixFormat] = [.fp32, .bf16, .q8_0, .q4_0, .q4_1]
  /// Row-major fp32.
  package static let fp32 = PlainMatrix.format
  /// Factors in bf16, sums and results in fp32. Needs AVX512-BF16 and a build with oneDNN.
  package static let bf16 = BF16Matrix.format
  /// Blocks of 32 weights with 8-bit codes, widened to fp32 in products.
  package static let q8_0 = BlockMatrix.q8_0
  /// Blocks of 32 weights with 4-bit codes around zero.
  package static let q4_0 = BlockMatrix.q4_0
  /// Blocks of 32 weights with 4-bit codes from a smallest value.
  package static let q4_1 = BlockMatrix.q4_1

  /// A format of this name.
  init(
    name: String, packing: Packing? = nil,
    unavailableReason: @escaping @Sendable () -> String? = { nil }
  ) {
    rawValue = name
    self.packing = packing
    reason = unavailableReason
  }

  /// The format of this name; nil if there is none.
  package init?(rawValue: String) {
    guard let found = Self.allCases.first(where: { $0.rawValue == rawValue }) else { return nil }
    self = found
  }

  /// The reason for which this build on this CPU lacks the format, in one line; nil if it has it.
  package var unavailableReason: String? { reason() }

  /// Formats are equal if their names are.
  package static func == (a: MatrixFormat, b: MatrixFormat) -> Bool { a.rawValue == b.rawValue }
}
