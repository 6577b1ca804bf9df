// The optimizers' loops (target Federation): a client's momentum step and the server's step.

import Corpora
import Federation
import Kernels
import RandomStreams

extension KernelBench {
  /// Client SGD with momentum, FedAdam and AdamW over the trainable vector.
  var optimizerKernels: [VectorKernel] {
    [
      client("sgd_momentum_step", LocalTraining(batchSize: 1), traffic: 5),
      client("adam_w_local_step", LocalTraining(batchSize: 1, optimizer: .adamW()), traffic: 7),
      client(
        "sgd_momentum_proximal_step",
        LocalTraining(batchSize: 1, optimizer: .sgd(momentum: 0.9), proximal: 0.01), traffic: 9),
      server("fed_yogi_step", .fedYogi(learningRate: 0.005)),
      server("fed_adam_step", .fedAdam(learningRate: 0.005)),
      server("adam_w_step", .adamW(learningRate: 0.005)),
    ]
  }

  /// A client of eight examples: as many steps, one copy and one difference at its ends.
  ///
  /// - Parameter traffic: The Floats that a step reads and writes for each coordinate.
  private func client(_ name: String, _ local: LocalTraining, traffic: Int) -> VectorKernel {
    let (count, steps) = (trainable, 8)
    return VectorKernel(
      name: name, elements: steps * count, bytes: 4 * (traffic * steps + 6) * count, buffers: []
    ) { _ in
      let trainer = LocalTrainer(objective: FreeObjective(parameterCount: count))
      let terms = ProximalTerm(mu: local.proximal).map { [$0] } ?? []
      _ = try? trainer.train(
        local, examples: Array(0..<steps), terms: terms, round: 0, client: 0, seed: 0)
    }
  }

  private func server(_ name: String, _ optimizer: ServerOptimizer) -> VectorKernel {
    let gradient = [Float](repeating: 0.125, count: trainable)
    var state: ServerState?
    return VectorKernel(
      name: name, elements: trainable, bytes: 4 * 7 * trainable, buffers: []
    ) { [trainable] _ in
      if state == nil {
        state = ServerState(vector: [Float](repeating: 0, count: trainable), optimizer: optimizer)
      }
      state!.step(optimizer, pseudoGradient: gradient)
    }
  }
}

/// An objective whose gradient costs nothing: what is left is the optimizer.
private final class FreeObjective: CoordinateObjective {
  let parameterCount: Int

  init(parameterCount: Int) { self.parameterCount = parameterCount }

  func exampleCount(_ split: Split) -> Int { 0 }

  func tokenCount(ofTrainingExample example: Int) -> Int { 1 }

  func gradient(
    ofTrainingExamples examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>, dropout: RandomKey?
  ) -> LossSums { LossSums(loss: 1, count: examples.count) }

  func evaluate(
    _ split: Split, examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    each: (Int, ExampleOutcome) throws -> Void
  ) {}
}
