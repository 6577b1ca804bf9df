// The prepared models against PyTorch, when goldens of them were made: they are too large to commit.
// Tests/Long/real-models.sh makes them (Tests/Goldens/transformers/make_real.py) and runs this with
// CELLM_REAL_GOLDENS=DIRECTORY, which holds one folder for each model in $CELLM_HOME.

import Adapters
import FineTuning
import Foundation
import Kernels
import TestSupport
import Testing
import Transformers

/// Where goldens of prepared models are, if there are any.
private let realGoldens = ProcessInfo.processInfo.environment["CELLM_REAL_GOLDENS"]
private let realModels: [String] =
  realGoldens.flatMap { try? FileManager.default.contentsOfDirectory(atPath: $0).sorted() } ?? []

@Suite("Prepared models against PyTorch")
struct RealModelTests {
  static var home: String {
    let environment = ProcessInfo.processInfo.environment
    let cache = environment["XDG_CACHE_HOME"] ?? environment["HOME"]! + "/.cache"
    return environment["CELLM_HOME"] ?? cache + "/cellm-mpi"
  }

  @Test(
    "logits and loss within 1e-4 of PyTorch, gradients as its own float32",
    .enabled(if: realGoldens != nil, "CELLM_REAL_GOLDENS is not set; see make test-long"),
    arguments: realModels)
  func parity(_ name: String) throws {
    let golden = try Golden(
      name: name, modelDirectory: "\(Self.home)/\(name)", directory: "\(realGoldens!)/\(name)")
    let model = golden.adaptedModel()
    let batch = golden.batch
    let logits = relativeError(
      model.logits(batch, parameters: golden.vector), try golden.floats("logits"))
    #expect(logits <= 1e-4)
    var gradient = [Float](repeating: 0, count: golden.vector.count)
    let outcomes = model.addGradient(
      of: batch, labels: golden.labels, parameters: golden.vector, gradient: &gradient,
      lossScale: 1 / Float(golden.sequences.count))
    let loss = outcomes.reduce(0) { $0 + $1.loss } / Double(golden.sequences.count)
    #expect(abs(loss - Double(try golden.floats("loss")[0])) <= 1e-4 * loss)
    var worst = 0.0
    for segment in golden.layout.segments {
      let values = gradient[segment.range]
      let norm = values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      let expected = Double(try golden.floats("gradient_norm." + segment.name)[0])
      worst = max(worst, abs(norm - expected) / expected)
      if golden.file["gradient." + segment.name] != nil {
        worst = max(
          worst, relativeError(values, try golden.floats("gradient." + segment.name)))
      }
    }
    // 30 layers of float32 lose more than 1e-4 of some gradients in PyTorch too.
    let json = try JSONSerialization.jsonObject(
      with: Data(contentsOf: URL(fileURLWithPath: "\(realGoldens!)/\(name)/golden.json")))
    let yardstick = (json as! [String: Any])["float32_gradient_error"] as! Double
    #expect(worst <= max(1e-4, 1.5 * yardstick))
    print(
      "\(name): relative error of logits \(logits), of the worst gradient \(worst) (PyTorch's float32: \(yardstick))"
    )
  }
}
