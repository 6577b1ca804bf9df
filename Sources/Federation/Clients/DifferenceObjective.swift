// What travels in full fine-tuning: the difference of the weights from the pretrained ones, which every
// client has already. Sparse messages then leave weights as they were pretrained, where keeping the
// largest weights would cut the others off; and what is small of a difference is small in its effect.
public import Corpora
public import RandomStreams

/// An objective as a function of the difference from an origin: f(origin + d).
///
/// The gradient with respect to the difference is that with respect to the whole.
public final class DifferenceObjective: LocalObjective {
  /// A stretch of the origin: coordinates, and memory with as many values.
  public typealias Stretch = (range: Range<Int>, values: UnsafePointer<Float>)

  private let whole: any LocalObjective
  private let origin: [Stretch]
  /// Keeps the origin's memory.
  private let owner: AnyObject?
  private let parameters: UnsafeMutableBufferPointer<Float>

  /// `whole` as a function of the difference from `origin`, which is zero outside of its stretches.
  ///
  /// - Parameter owner: Kept alive with the objective, as the origin's memory needs it.
  /// - Precondition: the stretches ascend and lie within the vector.
  public init(_ whole: any LocalObjective, origin: [Stretch], owner: AnyObject? = nil) {
    var end = 0
    for stretch in origin {
      precondition(
        stretch.range.lowerBound >= end && stretch.range.upperBound <= whole.parameterCount,
        "a stretch \(stretch.range) after \(end) in a vector of \(whole.parameterCount)")
      end = stretch.range.upperBound
    }
    self.whole = whole
    self.origin = origin
    self.owner = owner
    parameters = .allocate(capacity: whole.parameterCount)
    parameters.initialize(repeating: 0)
  }

  deinit { parameters.deallocate() }

  /// As the whole.
  public var parameterCount: Int { whole.parameterCount }

  /// As the whole.
  public var labelCount: Int { whole.labelCount }

  /// As the whole.
  public var tensorEnds: [Int] { whole.tensorEnds }

  /// None: factors of the whole are origin + difference, so that no product is one of differences.
  public var factors: FactorLayout? { nil }

  /// None, since there are no factors.
  public var baseMatrices: [UnsafePointer<Float>]? { nil }

  /// Never called, since there are no base matrices.
  public func replaceBase(by matrices: UnsafePointer<Float>, owner: AnyObject) {
    preconditionFailure("a difference of weights has no base matrices")
  }

  /// As the whole.
  public func exampleCount(_ split: Split) -> Int { whole.exampleCount(split) }

  /// As the whole.
  public func tokenCount(ofTrainingExample example: Int) -> Int {
    whole.tokenCount(ofTrainingExample: example)
  }

  /// As the whole.
  public func watch(_ onProgress: @escaping () -> Void) { whole.watch(onProgress) }

  /// The whole's gradient at origin + difference.
  public func gradient(
    ofTrainingExamples examples: [Int], at difference: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>, dropout: RandomKey?
  ) throws -> LossSums {
    place(difference)
    return try whole.gradient(
      ofTrainingExamples: examples, at: UnsafeBufferPointer(parameters), into: gradient,
      dropout: dropout)
  }

  /// As the whole, at origin + difference.
  public func evaluate(
    _ split: Split, examples: [Int], at difference: UnsafeBufferPointer<Float>,
    each: (Int, ExampleOutcome) throws -> Void
  ) throws {
    place(difference)
    try whole.evaluate(split, examples: examples, at: UnsafeBufferPointer(parameters), each: each)
  }

  /// Calls `body` with origin + difference.
  public func withWhole<Result>(
    of difference: [Float], _ body: (UnsafeBufferPointer<Float>) throws -> Result
  ) rethrows -> Result {
    difference.withUnsafeBufferPointer(place)
    return try body(UnsafeBufferPointer(parameters))
  }

  private func place(_ difference: UnsafeBufferPointer<Float>) {
    precondition(
      difference.count == parameters.count,
      "a difference of \(difference.count) for a vector of \(parameters.count)")
    guard let p = parameters.baseAddress, let d = difference.baseAddress else { return }
    var end = 0
    for (range, values) in origin {
      for i in end..<range.lowerBound { p[i] = d[i] }
      let (sum, change) = (p + range.lowerBound, d + range.lowerBound)
      for i in 0..<range.count { sum[i] = values[i] + change[i] }
      end = range.upperBound
    }
    for i in end..<parameters.count { p[i] = d[i] }
  }
}
