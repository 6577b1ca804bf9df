// Arrays, text, Codable values and reductions of single values.

import Communication

private struct Sample: Codable, Equatable {
  var rank: Int
  var name: String
  var loss: Double
}

private func sample(_ rank: Int) -> Sample {
  Sample(
    rank: rank, name: "Zürich \(rank) \"→\"", loss: rank % 2 == 0 ? 0.1 * Double(rank) : .infinity)
}

let valueChecks: [ConformanceCheck] = [
  ConformanceCheck("arrays and text of a length that only the root knows are broadcast") {
    comm, found in
    for root in 0..<comm.size {
      for count in [0, 1, 999] {
        let expected = (0..<count).map { Float($0) + Float(root) / 8 }
        var values = comm.rank == root ? expected : [-1]
        try comm.broadcast(&values, root: root)
        found.expect(values, expected, "\(count) floats from \(root)")
      }
      let text = try comm.broadcast(comm.rank == root ? sample(root).name : "other", root: root)
      found.expect(text, sample(root).name, "text from \(root)")
      let value = try comm.broadcast(comm.rank == root ? sample(root) : nil, root: root)
      found.expect(value, sample(root), "value from \(root)")
    }
  },
  ConformanceCheck("byte strings of any length are gathered") { comm, found in
    let expected = (0..<comm.size).map { pattern(of: $0, count: $0 * 37 % 101) }
    found.expect(try comm.allGather(bytes: expected[comm.rank]), expected, "on all")
    for root in 0..<comm.size {
      let gathered = try comm.gather(bytes: expected[comm.rank], root: root)
      found.expect(gathered, comm.rank == root ? expected : nil, "at root \(root)")
    }
  },
  ConformanceCheck("small values are gathered") { comm, found in
    let expected = (0..<comm.size).map(sample)
    found.expect(try comm.allGather(sample(comm.rank)), expected, "on all")
    let root = comm.size - 1
    let gathered = try comm.gather(sample(comm.rank), root: root)
    found.expect(gathered, comm.rank == root ? expected : nil, "at root \(root)")
  },
  ConformanceCheck("integers are summed and compared") { comm, found in
    let (rank, size) = (comm.rank, comm.size)
    found.expect(try comm.sum(rank + 1), size * (size + 1) / 2, "sum")
    found.expect(try comm.maximum(-rank), 0, "maximum")
    found.expect(try comm.minimum(-rank), 1 - size, "minimum")
    found.expect(
      try comm.maximum(rank == 0 ? Int.min : Int.min + rank), Int.min + size - 1, "extreme")
    var counts = [Int64](repeating: Int64(rank), count: 5)
    try comm.sum(&counts)
    found.expect(counts, Array(repeating: Int64(size * (size - 1) / 2), count: 5), "array")
  },
  ConformanceCheck("numbers are compared with signs, infinities, signed zeros and NaN") {
    comm, found in
    let (rank, last) = (comm.rank, comm.size - 1)
    let step = Double(rank) * 1.5
    found.expect(try comm.maximum(step - 4), Double(last) * 1.5 - 4, "maximum")
    found.expect(try comm.minimum(step - 4), -4, "minimum")
    found.expect(try comm.maximum(-step - 4), -4, "maximum of negative numbers")
    found.expect(
      try comm.minimum(-step - 4), Double(last) * -1.5 - 4, "minimum of negative numbers")
    found.expect(try comm.maximum(rank == last ? .infinity : step), .infinity, "infinity")
    found.expect(try comm.minimum(rank == last ? -.infinity : step), -.infinity, "-infinity")
    let smallest = Double.leastNonzeroMagnitude
    found.expect(try comm.maximum(rank == last ? smallest : -smallest), smallest, "subnormal")
    let zero = try comm.minimum(rank == last ? -0.0 : 0.0)
    found.expect(zero.sign, .minus, "sign of the smallest zero")
    let special = rank == last ? Double.nan : step
    found.expect(try comm.maximum(special).isNaN, true, "NaN in a maximum")
    found.expect(try comm.minimum(special).isNaN, true, "NaN in a minimum")
    found.expect(try comm.maximum(-special).isNaN, true, "-NaN in a maximum")
  },
]
