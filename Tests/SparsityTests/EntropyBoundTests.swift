import Foundation
import Sparsity
import Testing

@Suite("Messages beside the entropy bound")
struct EntropyBoundTests {
  @Test("the bound is the logarithm of Pascal's triangle")
  func pascal() {
    var row: [Double] = [1]
    for length in 0...60 {
      for count in 0...length {
        let bound = VectorCodec.entropyBoundOfIndices(length: length, count: count)
        #expect(abs(bound - log2(row[count]) / 8) < 1e-12)
      }
      row = [1] + zip(row, row.dropFirst()).map { $0 + $1 } + [1]
    }
    // n H(p) less the logarithm of the binomial law's largest term (Stirling).
    let (n, k) = (4_000_000_000.0, 1_000_000_000.0)
    let entropy = -n * (0.25 * log2(0.25) + 0.75 * log2(0.75))
    let stirling = entropy - 0.5 * log2(2 * .pi * n * 0.25 * 0.75)
    #expect(
      abs(VectorCodec.entropyBoundOfIndices(length: Int(n), count: Int(k)) - stirling / 8) < 1)
  }

  @Test("the bound of a message adds what values and header take")
  func message() {
    let indices = VectorCodec.entropyBoundOfIndices(length: 1000, count: 10)
    #expect(VectorCodec.entropyBound(length: 1000, count: 10) == 40 + 16 + indices)
    #expect(
      VectorCodec.entropyBound(length: 1000, count: 9, format: .int4, tensorCount: 3)
        == 5 + 12 + 16 + VectorCodec.entropyBoundOfIndices(length: 1000, count: 9))
  }

  @Test(
    "of a random mask an fp32 message is within one percent of the bound, its indices within two",
    arguments: [2, 4, 8, 16, 32, 64, 128, 256])
  func smallestCodec(inverseDensity: Int) {
    let length = 2_000_000
    var random = SeededGenerator(inverseDensity)
    let mask = random.mask(length: length, density: 1 / Double(inverseDensity))
    let vector = SparseVector(mask: mask, values: [Float](repeating: 1, count: mask.count))
    let size = VectorCodec.size(of: vector)
    let bound = VectorCodec.entropyBound(length: length, count: mask.count)
    #expect(Double(size.total) >= bound * 0.9995)
    #expect(Double(size.total) <= bound * 1.01)
    let indexBound = VectorCodec.entropyBoundOfIndices(length: length, count: mask.count)
    #expect(Double(size.indices) >= indexBound * 0.999)
    #expect(Double(size.indices) <= indexBound * 1.02)
    let rice = VectorCodec.size(of: vector, codec: .rice)
    #expect(Double(rice.total) <= bound * 1.01)
    print(
      "1/\(inverseDensity): message", Double(size.total) / bound, "indices",
      Double(size.indices) / indexBound)
  }
}
