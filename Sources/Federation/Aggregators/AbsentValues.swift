// What a coordinate-wise aggregation makes of a coordinate that a client did not send.
internal import Sparsity

extension AggregationSetting {
  /// Whether a coordinate that a client did not send counts as 0 or is left out.
  static let absent = AggregationSetting(
    name: "absent", allowed: .words(AbsentValues.allCases.map(\.rawValue)),
    standard: .word(AbsentValues.zero.rawValue))
}

/// What a coordinate that a client did not send counts as.
enum AbsentValues: String, CaseIterable {
  /// The value 0.
  case zero
  /// No value.
  case leftOut = "left_out"

  /// The value of a rule with this setting.
  init(rule: AggregationRule) {
    guard let value = AbsentValues(rawValue: rule.word(AggregationSetting.absent.name)) else {
      preconditionFailure("\(rule) says nothing of absent values")
    }
    self = value
  }

  /// What a plan of such an aggregation cannot have.
  func problems(of plan: FederationPlan, _ name: String) -> [PlanProblem] {
    guard plan.weighting != .uniform else { return [] }
    return [
      PlanProblem(
        "federation.weighting",
        "\(plan.weighting.rawValue) is not allowed with method.aggregation: \(name), which counts every"
          + " client alike; give uniform", with: ["method.aggregation"])
    ]
  }

  /// Each coordinate's values in ascending order, reduced to one.
  ///
  /// - Complexity: O(n m log m) for m uploads of n coordinates.
  func reduced(
    _ uploads: [SparseVector], length: Int, _ reduce: ([Float]) -> Float
  ) -> [Float] {
    var result = [Float](repeating: 0, count: length)
    var places = [Int](repeating: 0, count: uploads.count)
    let indices = uploads.map(\.indices)
    var values: [Float] = []
    for coordinate in 0..<length {
      values.removeAll(keepingCapacity: true)
      for (client, upload) in uploads.enumerated() {
        let place = places[client]
        if place < indices[client].count, Int(indices[client][place]) == coordinate {
          values.append(upload.values[place])
          places[client] += 1
        } else if self == .zero {
          values.append(0)
        }
      }
      values.sort()
      result[coordinate] = reduce(values)
    }
    return result
  }
}
