// The real objective: a transformer with an adapter on a token corpus.
//
// A batch is cut into micro-batches of bounded tokens in the order of its examples; their gradients
// are added in that order. The cut depends on the examples and the bound alone, so a client's
// update has the same bits wherever it is computed.

public import Adapters
public import Corpora
internal import Transformers

/// Mean cross-entropy of a transformer with LoRA over examples of a token corpus.
public final class TransformerObjective: LocalObjective {
  /// The model, its adapter and head.
  public let model: AdaptedModel
  private let corpus: TokenCorpus
  private let maximumLength: Int
  private var batch = PackedSequences()
  private var tokens: [Int32] = []
  private var labels: [Int32] = []
  private var members: [Int] = []

  /// An objective over `corpus`, whose examples are cut to `maximumLength` tokens.
  /// - Precondition: the corpus has labels where the task is classification, and the model's engine
  ///   takes sequences of `maximumLength`.
  public init(model: AdaptedModel, corpus: TokenCorpus, maximumLength: Int) {
    self.model = model
    self.corpus = corpus
    self.maximumLength = maximumLength
    precondition(
      !isClassification || corpus.train.hasLabels, "classification needs a corpus with labels")
  }

  /// The length of the trainable vector.
  public var parameterCount: Int { model.layout.parameterCount }

  /// How many examples a split has.
  public func exampleCount(_ split: Split) -> Int { dataset(split)?.count ?? 0 }

  /// The tokens of an example that are computed.
  public func tokenCount(ofTrainingExample example: Int) -> Int {
    corpus.train.tokenCount(of: example, limit: maximumLength)
  }

  /// The mean loss's gradient over one batch, micro-batch by micro-batch.
  public func gradient(
    ofTrainingExamples examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>, dropout: RandomKey?
  ) throws -> LossSums {
    gradient.update(repeating: 0)
    let items = examples.reduce(0) { $0 + itemCount(corpus.train, $1) }
    var sums = LossSums()
    var microBatch = 0
    forEachMicroBatch(of: examples, corpus.train) {
      let key = dropout.map { key in
        DropoutKey(
          seed: key.seed, round: key.round, client: key.client, step: key.step,
          microBatch: microBatch)
      }
      let outcomes = model.addGradient(
        of: batch, labels: labels, parameters: parameters.baseAddress!,
        gradient: gradient.baseAddress!, lossScale: items == 0 ? 0 : 1 / Float(items),
        dropout: key)
      for outcome in outcomes {
        sums += LossSums(loss: outcome.loss, correct: outcome.correct, count: outcome.count)
      }
      sums.tokens += batch.tokenCount
      microBatch += 1
    }
    return sums
  }

  /// The outcome of every example.
  public func evaluate(
    _ split: Split, examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    each: (Int, ExampleOutcome) throws -> Void
  ) throws {
    guard let dataset = dataset(split) else {
      preconditionFailure("the corpus has no \(split.rawValue) split")
    }
    try forEachMicroBatch(of: examples, dataset) {
      let outcomes = model.evaluate(
        batch, labels: labels, parameters: parameters.baseAddress!)
      for (example, outcome) in zip(members, outcomes) {
        try each(
          example,
          ExampleOutcome(
            loss: outcome.loss, correct: outcome.correct, count: outcome.count,
            predicted: isClassification ? outcome.predicted : nil))
      }
    }
  }

  private var isClassification: Bool {
    if case .classification = model.layout.task { true } else { false }
  }

  private func dataset(_ split: Split) -> TokenDataset? {
    switch split {
    case .train: corpus.train
    case .validation: corpus.validation
    case .test: corpus.test
    }
  }

  /// Items of an example that its loss averages over: itself, or its predicted tokens.
  private func itemCount(_ dataset: TokenDataset, _ example: Int) -> Int {
    isClassification ? 1 : dataset.tokenCount(of: example, limit: maximumLength) - 1
  }

  /// Fills `batch`, `labels` and `members` with as many examples as fit, again and again.
  private func forEachMicroBatch(
    of examples: [Int], _ dataset: TokenDataset, _ body: () throws -> Void
  ) rethrows {
    func clear() {
      batch.removeAll()
      labels.removeAll(keepingCapacity: true)
      members.removeAll(keepingCapacity: true)
    }
    clear()
    for example in examples {
      tokens.removeAll(keepingCapacity: true)
      dataset.appendTokens(of: example, limit: maximumLength, to: &tokens)
      if batch.tokenCount + tokens.count > model.capacity {
        try body()
        clear()
      }
      batch.append(tokens)
      if isClassification { labels.append(dataset.label(of: example)) }
      members.append(example)
    }
    if batch.count > 0 { try body() }
  }
}
