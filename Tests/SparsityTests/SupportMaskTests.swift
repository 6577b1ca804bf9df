import Sparsity
import Testing

@Suite("Support masks and sparse vectors")
struct SupportMaskTests {
  @Test("gathering and scattering keep the kept values and zero the others", arguments: lengths)
  func roundTrip(length: Int) {
    var random = SeededGenerator(length)
    for density in densities {
      let dense = (0..<length).map { _ in random.anyFinite() }
      let mask = random.mask(length: length, density: density)
      var expected = [Float](repeating: 0, count: length)
      for index in mask.indices { expected[Int(index)] = dense[Int(index)] }

      let sparse = dense.withUnsafeBufferPointer { SparseVector(gathering: $0, at: mask) }
      #expect(sparse.mask == mask)
      #expect(sparse.isDense == (mask.count == length))
      var scattered = [Float](repeating: .nan, count: length)
      scattered.withUnsafeMutableBufferPointer { sparse.scatter(into: $0) }
      #expect(scattered.map(\.bitPattern) == expected.map(\.bitPattern))
      #expect(sparse.dense() == expected)

      var masked = dense
      masked.withUnsafeMutableBufferPointer { mask.apply(to: $0) }
      #expect(masked.map(\.bitPattern) == expected.map(\.bitPattern))
    }
  }

  @Test("the mask of all coordinates keeps each one", arguments: lengths)
  func all(length: Int) {
    let mask = SupportMask.all(length: length)
    #expect(mask == SupportMask(length: length, indices: (0..<length).map { UInt32($0) }))
    #expect(mask.isAll)
    #expect(mask.density == (length == 0 ? 0 : 1))
  }

  @Test("vectors are equal bit for bit")
  func equality() {
    func vector(_ value: Float) -> SparseVector {
      SparseVector(length: 3, indices: [1], values: [value])
    }
    #expect(vector(0) != vector(-0.0))
    #expect(vector(.nan) == vector(.nan))
    #expect(vector(1) != SparseVector(length: 3, indices: [2], values: [1]))
    #expect(vector(1) != SparseVector(length: 4, indices: [1], values: [1]))
  }

  @Test("the largest magnitude is that of the widest value, whatever its sign")
  func magnitudes() {
    func largest(_ values: [Float]) -> Float {
      values.withUnsafeBufferPointer { largestMagnitude(of: $0) }
    }
    #expect(largest([]) == 0)
    #expect(largest([-0.0]).sign == .plus)
    #expect(largest([1, -3, 2]) == 3)
    #expect(largest([.leastNonzeroMagnitude, -0.0]) == .leastNonzeroMagnitude)
    #expect(largest([1, -.infinity]) == .infinity)
    #expect(largest([.infinity, .nan]).isNaN)
    #expect(SparseVector(length: 9, indices: [2, 8], values: [1, -4]).largestMagnitude == 4)
  }

  @Test("the first non-finite value is found in any block")
  func nonFinite() {
    func first(_ values: [Float]) -> Int? {
      values.withUnsafeBufferPointer { firstNonFinite(in: $0) }
    }
    var values = [Float](repeating: .greatestFiniteMagnitude, count: 10_000)
    #expect(first([]) == nil)
    #expect(first(values) == nil)
    values[9_999] = -.infinity
    #expect(first(values) == 9_999)
    values[4_097] = .nan
    #expect(first(values) == 4_097)
    values[0] = .signalingNaN
    #expect(first(values) == 0)
    let sparse = SparseVector(length: 9, indices: [2, 8], values: [1, .infinity])
    #expect(sparse.firstNonFinite == 8)
    #expect(SparseVector(length: 9, indices: [2, 8], values: [0, -0.0]).nonzeroCount == 0)
    #expect(sparse.nonzeroCount == 2)
  }
}
