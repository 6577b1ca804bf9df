// Copies and sums of whole rows: embeddings, the rows of a last block, means over sequences. Rows
// have `channels` floats.

/// Row r of `out` = row `sources[r]` of `input`.
public func gatherRows(_ out: MutableFloats, from input: Floats, _ sources: [Int32], channels: Int)
{
  guard let device = KernelDevices.owner(of: out) else {
    for (row, source) in sources.enumerated() {
      (out + row * channels).update(from: input + Int(source) * channels, count: channels)
    }
    return
  }
  device.launch(
    "gather_rows", .matrix(columns: channels, rows: sources.count),
    [.memory(out), .memory(input), .integers(sources), .int(channels)])
}

/// Row `targets[r]` of `out` = row r of `input`.
public func scatterRows(_ out: MutableFloats, from input: Floats, _ targets: [Int32], channels: Int)
{
  guard let device = KernelDevices.owner(of: out) else {
    for (row, target) in targets.enumerated() {
      (out + Int(target) * channels).update(from: input + row * channels, count: channels)
    }
    return
  }
  device.launch(
    "scatter_rows", .matrix(columns: channels, rows: targets.count),
    [.memory(out), .memory(input), .integers(targets), .int(channels)])
}

/// Row r of `out` += row `sources[r]` of `table`.
public func addRows(_ out: MutableFloats, from table: Floats, _ sources: [Int32], channels: Int) {
  guard let device = KernelDevices.owner(of: out) else {
    for (row, source) in sources.enumerated() {
      add(out + row * channels, table + Int(source) * channels, count: channels)
    }
    return
  }
  device.launch(
    "add_gathered_rows", .matrix(columns: channels, rows: sources.count),
    [.memory(out), .memory(table), .integers(sources), .int(channels)])
}

/// Row `targets[r]` of `table` += row r of `input`, in ascending order of r.
public func addRows(_ table: MutableFloats, _ targets: [Int32], from input: Floats, channels: Int) {
  guard let device = KernelDevices.owner(of: table) else {
    for (row, target) in targets.enumerated() {
      add(table + Int(target) * channels, input + row * channels, count: channels)
    }
    return
  }
  device.launch(
    "add_scattered_rows", .elements(channels),
    [
      .memory(table), .memory(input), .integers(targets), .int(targets.count), .int(channels),
    ])
}

/// Row s of `out` = the mean of rows `offsets[s] ..< offsets[s + 1]` of `input`: their sum in
/// ascending order, times 1 / their number.
public func meanRows(_ out: MutableFloats, of input: Floats, offsets: [Int], channels: Int) {
  let count = offsets.count - 1
  guard let device = KernelDevices.owner(of: out) else {
    for index in 0..<count {
      let row = out + index * channels
      row.update(repeating: 0, count: channels)
      for source in offsets[index]..<offsets[index + 1] {
        add(row, input + source * channels, count: channels)
      }
      scale(row, by: 1 / Float(offsets[index + 1] - offsets[index]), count: channels)
    }
    return
  }
  device.launch(
    "mean_rows", .matrix(columns: channels, rows: count),
    [.memory(out), .memory(input), .integers(offsets.map(Int32.init)), .int(channels)])
}

/// The gradient of `meanRows`: rows `offsets[s] ..< offsets[s + 1]` of `out` = row s of `input`,
/// times 1 / their number.
public func spreadRows(_ out: MutableFloats, of input: Floats, offsets: [Int], channels: Int) {
  let count = offsets.count - 1
  guard let device = KernelDevices.owner(of: out) else {
    for index in 0..<count {
      let factor = 1 / Float(offsets[index + 1] - offsets[index])
      for row in offsets[index]..<offsets[index + 1] {
        for channel in 0..<channels {
          out[row * channels + channel] = input[index * channels + channel] * factor
        }
      }
    }
    return
  }
  device.launch(
    "spread_rows", .matrix(columns: channels, rows: count),
    [.memory(out), .memory(input), .integers(offsets.map(Int32.init)), .int(channels)])
}
