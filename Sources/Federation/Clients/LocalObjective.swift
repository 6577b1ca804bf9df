// What one client minimizes, seen from the federation: a mean loss over training examples as a
// function of one flat trainable vector. The federation knows nothing about models, adapters or
// tasks; a transformer with its adapter is one conformance, closed forms in the tests are others.
public import Corpora
public import RandomStreams

/// Sums over the counted items of some examples: an item is an example in classification and a
/// predicted token in language modelling.
public struct LossSums: Sendable, Equatable {
  /// The sum of the items' losses (nats).
  public var loss: Double
  /// How many items were predicted right.
  public var correct: Int
  /// How many items were counted.
  public var count: Int
  /// How many input tokens were computed for them.
  public var tokens: Int

  /// Sums over no item at all, unless told otherwise.
  public init(loss: Double = 0, correct: Int = 0, count: Int = 0, tokens: Int = 0) {
    self.loss = loss
    self.correct = correct
    self.count = count
    self.tokens = tokens
  }

  /// Adds the items of one example.
  public static func += (sums: inout LossSums, outcome: ExampleOutcome) {
    sums.loss += outcome.loss
    sums.correct += outcome.correct
    sums.count += outcome.count
  }

  /// Adds the sums of other items.
  public static func += (sums: inout LossSums, other: LossSums) {
    sums.loss += other.loss
    sums.correct += other.correct
    sums.count += other.count
    sums.tokens += other.tokens
  }
}

/// A decision about one label of an example.
public struct LabelDecision: Sendable, Equatable {
  /// True if it was predicted.
  public let isPredicted: Bool
  /// True if it is there.
  public let isActual: Bool

  /// A decision.
  public init(isPredicted: Bool, isActual: Bool) {
    self.isPredicted = isPredicted
    self.isActual = isActual
  }
}

/// The score of an example.
public struct ScoreOutcome: Sendable, Equatable {
  /// The predicted score.
  public let predicted: Float
  /// The actual score.
  public let actual: Float

  /// A score.
  public init(predicted: Float, actual: Float) {
    self.predicted = predicted
    self.actual = actual
  }
}

/// The choice among several, by two rules.
public struct ChoiceOutcome: Sendable, Equatable {
  /// True if it has the largest likelihood.
  public let isRight: Bool
  /// True if it has the largest likelihood for its length.
  public let isRightNormalized: Bool

  /// An outcome.
  public init(isRight: Bool, isRightNormalized: Bool) {
    self.isRight = isRight
    self.isRightNormalized = isRightNormalized
  }
}

/// What the evaluation of one example found.
public struct ExampleOutcome: Sendable, Equatable {
  /// The sum of the losses of the example's items (nats).
  public var loss: Double
  /// How many of its items were predicted right.
  public var correct: Int
  /// How many items it has: 1 in classification, the predicted tokens in language modelling.
  public var count: Int
  /// The predicted class, where there is one.
  public var predicted: Int32?
  /// The right class, where there is one.
  public var label: Int32?
  /// True if all items were predicted right, where that is asked: the answer would be given exactly.
  public var isExact: Bool?
  /// A decision about each label, where an example may have several; empty elsewhere.
  public var decisions: [LabelDecision]
  /// The predicted and the actual score, where there is one.
  public var score: ScoreOutcome?
  /// The choice, where there are several.
  public var choice: ChoiceOutcome?

  /// The outcome of one example.
  public init(
    loss: Double, correct: Int, count: Int, predicted: Int32? = nil, label: Int32? = nil,
    isExact: Bool? = nil, decisions: [LabelDecision] = [], score: ScoreOutcome? = nil
  ) {
    self.loss = loss
    self.correct = correct
    self.count = count
    self.predicted = predicted
    self.label = label
    self.isExact = isExact
    self.decisions = decisions
    self.score = score
  }
}

/// A mean loss over examples as a function of the trainable vector, with its gradient.
///
/// One object serves every client of a rank, one after the other, so it may own scratch memory but
/// must carry nothing from one call to the next that changes a result: what a call returns depends
/// on its arguments only, down to the last bit. It is used from one thread and need not be Sendable.
///
/// No requirement has a default, so that the compiler asks an objective that wraps another one for each of
/// them. `CoordinateObjective` has those of an objective that has nothing to wrap.
public protocol LocalObjective: AnyObject {
  /// The length of the trainable vector.
  var parameterCount: Int { get }

  /// The number of classes, where an example's outcome has a label and a prediction among them; 0
  /// where items are no classified examples, as in language modelling.
  var labelCount: Int { get }

  /// Where LoRA's factors stand in the vector; nil where it does not hold both of every pair.
  var factors: FactorLayout? { get }

  /// The frozen matrices to which the pairs of `factors` are added, (outputs, inputs) each and in their
  /// order; nil where they cannot be replaced.
  var baseMatrices: [UnsafePointer<Float>]? { get }

  /// Where each tensor of the vector ends, ascending; the last is `parameterCount`.
  var tensorEnds: [Int] { get }

  /// Takes other base matrices from now on, `FactorLayout.baseCount` floats, one matrix after the other.
  ///
  /// - Parameter owner: keeps their memory; it lives as long as they are in use.
  func replaceBase(by matrices: UnsafePointer<Float>, owner: AnyObject)

  /// How many examples a split has; 0 where the corpus lacks it.
  func exampleCount(_ split: Split) -> Int

  /// The tokens of a training example as it will be computed: the cost model of the schedule.
  func tokenCount(ofTrainingExample example: Int) -> Int

  /// Writes d(mean loss over the items of `examples`)/d`parameters` into `gradient`.
  ///
  /// - Parameters:
  ///   - examples: One batch, indices into the train split, in the order in which to sum.
  ///   - parameters: The trainable vector, `parameterCount` long.
  ///   - gradient: `parameterCount` long; overwritten, not added to.
  ///   - dropout: Names the step, for objectives with dropout.
  /// - Returns: The sums of the batch at `parameters`, before any update.
  func gradient(
    ofTrainingExamples examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>, dropout: RandomKey?
  ) throws -> LossSums

  /// Calls `each(example, outcome)` once for every one of `examples` (ascending indices into
  /// `split`), in any order, without dropout.
  func evaluate(
    _ split: Split, examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    each: (Int, ExampleOutcome) throws -> Void
  ) throws

  /// Has `onProgress` called whenever a part of a long call is done, on the thread of the call.
  func watch(_ onProgress: @escaping () -> Void)
}

/// An objective whose vector is just coordinates, of one tensor, and whose calls are all short: closed
/// forms of tests and benchmarks.
///
/// - Precondition: It wraps no other objective.
public protocol CoordinateObjective: LocalObjective {}

extension CoordinateObjective {
  /// No classes.
  public var labelCount: Int { 0 }
  /// No factors.
  public var factors: FactorLayout? { nil }
  /// None that could be replaced.
  public var baseMatrices: [UnsafePointer<Float>]? { nil }
  /// Never called, since there are none.
  public func replaceBase(by matrices: UnsafePointer<Float>, owner: AnyObject) {
    preconditionFailure("this objective has no base matrices")
  }
  /// One tensor.
  public var tensorEnds: [Int] { [parameterCount] }
  /// Calls nothing, since every call is short.
  public func watch(_ onProgress: @escaping () -> Void) {}
}
