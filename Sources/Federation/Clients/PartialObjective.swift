// A part of a trainable vector, the rest frozen where training started: FFA-LoRA (Sun et al. 2024,
// arXiv 2403.12313) freezes every A, head-only training every A and B. The federation sees a shorter
// vector; what is frozen is neither trained, sent nor counted, since every client has it already.
public import Corpora
public import RandomStreams
public import Sparsity

/// An objective as a function of some of its coordinates.
public final class PartialObjective: LocalObjective {
  private let whole: any LocalObjective
  private let part: SupportMask
  private let parameters: UnsafeMutableBufferPointer<Float>
  private let gradient: UnsafeMutableBufferPointer<Float>

  /// Where each tensor of the part ends.
  public let tensorEnds: [Int]

  /// `whole` as a function of the coordinates in `part`, the others at their values in `frozen`.
  ///
  /// - Precondition: `part` and `frozen` are as long as the whole vector; `part` keeps something.
  public init(_ whole: any LocalObjective, part: SupportMask, frozen: [Float]) {
    precondition(
      part.length == whole.parameterCount && frozen.count == whole.parameterCount,
      "a part of \(part.length) and \(frozen.count) frozen values for \(whole.parameterCount)")
    precondition(part.count > 0, "a part of no coordinates")
    self.whole = whole
    self.part = part
    parameters = .allocate(capacity: frozen.count)
    _ = parameters.initialize(fromContentsOf: frozen)
    gradient = .allocate(capacity: frozen.count)
    gradient.initialize(repeating: 0)
    tensorEnds = whole.tensorEnds.map { end in
      part.indices.partitioningIndex { $0 >= UInt32(end) }
    }.reduce(into: []) { if $1 > ($0.last ?? 0) { $0.append($1) } }
  }

  deinit {
    parameters.deallocate()
    gradient.deallocate()
  }

  /// The coordinates of the part.
  public var parameterCount: Int { part.count }

  /// As the whole.
  public var labelCount: Int { whole.labelCount }

  /// None, since the part lacks a factor of some pair.
  public var factors: FactorLayout? { nil }

  /// None, since there are no factors.
  public var baseMatrices: [UnsafePointer<Float>]? { nil }

  /// Never called, since there are no base matrices.
  public func replaceBase(by matrices: UnsafePointer<Float>, owner: AnyObject) {
    preconditionFailure("a part of the trainable vector has no base matrices")
  }

  /// As the whole.
  public func exampleCount(_ split: Split) -> Int { whole.exampleCount(split) }

  /// As the whole.
  public func tokenCount(ofTrainingExample example: Int) -> Int {
    whole.tokenCount(ofTrainingExample: example)
  }

  /// As the whole.
  public func watch(_ onProgress: @escaping () -> Void) { whole.watch(onProgress) }

  /// The part's coordinates of the whole gradient.
  public func gradient(
    ofTrainingExamples examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>, dropout: RandomKey?
  ) throws -> LossSums {
    place(parameters)
    let sums = try whole.gradient(
      ofTrainingExamples: examples, at: UnsafeBufferPointer(self.parameters), into: self.gradient,
      dropout: dropout)
    for (own, index) in part.indices.enumerated() { gradient[own] = self.gradient[Int(index)] }
    return sums
  }

  /// As the whole, at the part's values.
  public func evaluate(
    _ split: Split, examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    each: (Int, ExampleOutcome) throws -> Void
  ) throws {
    place(parameters)
    try whole.evaluate(
      split, examples: examples, at: UnsafeBufferPointer(self.parameters), each: each)
  }

  /// The whole vector with the part's values in it.
  public func whole(with values: [Float]) -> [Float] {
    values.withUnsafeBufferPointer(place)
    return Array(parameters)
  }

  private func place(_ values: UnsafeBufferPointer<Float>) {
    precondition(values.count == part.count, "\(values.count) values for \(part.count)")
    for (own, index) in part.indices.enumerated() { parameters[Int(index)] = values[own] }
  }
}

extension [UInt32] {
  /// The first position whose element fulfils an ascending condition.
  fileprivate func partitioningIndex(where holds: (UInt32) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if holds(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
