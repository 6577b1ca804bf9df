// JSON has no infinity and no NaN. In this program's own records they are the texts "inf", "-inf" and
// "nan", which Python's float() and Swift's Double() read.

package import Foundation

extension JSONEncoder {
  /// An encoder that writes numbers JSON does not have as texts.
  package static var ofAnyNumber: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return encoder
  }
}

extension JSONDecoder {
  /// A decoder that reads them.
  package static var ofAnyNumber: JSONDecoder {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return decoder
  }
}
