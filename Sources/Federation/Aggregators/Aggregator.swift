// From a round's uploads to the pseudo-gradient of the server's step. The round calls these hooks
// and does not know which aggregation it plays; the defaults are those of a mean.
internal import Sparsity

/// One way to make a pseudo-gradient of the uploads.
///
/// Results depend on the arguments only, down to the last bit, and so are the same on any number of
/// ranks.
protocol Aggregator: Sendable {
  /// What is wrong with a method of this aggregation.
  func problems(of method: Method) -> [PlanProblem]

  /// What is wrong with a plan of this aggregation besides its method.
  func problems(of plan: FederationPlan) -> [PlanProblem]

  /// What is wrong with a vector that training starts from.
  func problems(ofStart vector: [Float], _ factors: FactorLayout) -> [PlanProblem]

  /// Checks the objective, and the state on rank 0, before the first round.
  ///
  /// - Throws: `FederationError` if the aggregation cannot work with them.
  func check(_ objective: any LocalObjective, _ server: ServerState?) throws

  /// Makes the ranks ready to go on from a saved state.
  ///
  /// - Communication: None by default.
  func restore(_ server: inout ServerState?, in context: RoundContext) throws

  /// Writes what a client starts from, on top of its download.
  func writeStart(
    of client: Int, loraRank: Int, to start: UnsafeMutableBufferPointer<Float>,
    in context: RoundContext)

  /// A number that the client computes of what it trained and that travels in its report; 0 if the
  /// aggregation asks for none.
  func measure(
    _ trained: UnsafeBufferPointer<Float>, loraRank: Int, factors: FactorLayout?
  ) -> Double

  /// The whole-number weights of the clients in the sum.
  ///
  /// - Parameters:
  ///   - examples: The weights by `federation.weighting`.
  ///   - measures: The clients' numbers (`measure`).
  func weights(examples: [Int], measures: [Double]) -> [Int]

  /// The pseudo-gradient, on rank 0.
  func pseudoGradient(of uploads: AggregatedUploads) -> PseudoGradient

  /// Ends the round on every rank, after the server's step.
  ///
  /// - Parameters:
  ///   - stack: The stack of the pseudo-gradient; needed on rank 0.
  ///   - rankCount: The LoRA ranks of all clients together.
  /// - Communication: None by default.
  func finish(
    _ stack: FactorStack?, rankCount: Int, server: inout ServerState?, in context: RoundContext
  ) throws
}

extension Aggregator {
  func problems(of method: Method) -> [PlanProblem] { [] }
  func problems(of plan: FederationPlan) -> [PlanProblem] { [] }
  func problems(ofStart vector: [Float], _ factors: FactorLayout) -> [PlanProblem] { [] }
  func check(_ objective: any LocalObjective, _ server: ServerState?) throws {}
  func restore(_ server: inout ServerState?, in context: RoundContext) throws {}
  func writeStart(
    of client: Int, loraRank: Int, to start: UnsafeMutableBufferPointer<Float>,
    in context: RoundContext
  ) {}
  func measure(
    _ trained: UnsafeBufferPointer<Float>, loraRank: Int, factors: FactorLayout?
  ) -> Double { 0 }
  func weights(examples: [Int], measures: [Double]) -> [Int] { examples }
  func finish(
    _ stack: FactorStack?, rankCount: Int, server: inout ServerState?, in context: RoundContext
  ) throws {}
}

/// The uploads of a round, as an aggregator sees them on rank 0.
struct AggregatedUploads {
  /// One client's upload.
  struct Client {
    /// The decoded message: the client's delta, the coordinates that it sent.
    let upload: SparseVector
    /// The weight in the sum.
    let weight: Int
    /// The LoRA ranks that the client has.
    let loraRank: Int
    /// What the client trained, as far as its upload says so: its start minus the upload.
    let trained: () -> [Float]
  }

  /// The exact weighted mean, zeros where nothing was sent, with privacy's noise if there is any.
  let mean: [Float]
  /// Each client in cohort order; empty if the aggregation needs the sum alone.
  let clients: [Client]
  /// The server's vector P before the step.
  let server: [Float]
  /// LoRA's factors in the vector; nil if it does not have both of every pair.
  let factors: FactorLayout?
  /// The server's learning rate in this round.
  let learningRate: Double
}

/// What an aggregator makes of the uploads.
struct PseudoGradient {
  /// The vector that the server optimizer takes.
  var vector: [Float]
  /// Factors that all ranks merge into base weights; nil if there are none.
  var stack: FactorStack?
}
