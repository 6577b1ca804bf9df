// Attention on a device: the scores of all heads and queries exist at once, and each output has the
// chain of sums that the tiles of `Attention.swift` give it.

/// The integers by which kernels know the rows, tiles and tokens of a batch (`attention.cl`).
struct AttentionPlan {
  /// Five for each row of the output.
  private(set) var rows: [Int32] = []
  /// Five for each tile.
  private(set) var tiles: [Int32] = []
  /// Two for each token.
  private(set) var tokens: [Int32] = []
  /// The most keys of a tile.
  private(set) var width = 0

  /// What a plan is made of.
  private struct Source: Equatable {
    let spans: [AttentionSpan]
    let queries: Int
    let tokens: Int
    let shape: AttentionShape
  }

  /// The last plans: those of a micro-batch serve all its blocks, forward and backward.
  nonisolated(unsafe) private static var known: [(source: Source, plan: AttentionPlan)] = []
  private static let mostKnown = 8

  /// The plan of a batch. Only the device's thread may ask.
  static func of(
    _ spans: [AttentionSpan], queries: Int, tokens: Int, _ shape: AttentionShape
  ) -> AttentionPlan {
    let source = Source(spans: spans, queries: queries, tokens: tokens, shape: shape)
    if let found = known.first(where: { $0.source == source }) { return found.plan }
    let plan = AttentionPlan(spans, queries: queries, tokens: tokens, shape)
    known.insert((source, plan), at: 0)
    if known.count > mostKnown { known.removeLast() }
    return plan
  }

  /// Lists rows, tiles and tokens.
  private init(
    _ spans: [AttentionSpan], queries: Int, tokens tokenCount: Int, _ shape: AttentionShape
  ) {
    rows = [Int32](repeating: 0, count: 5 * queries)
    tokens = [Int32](repeating: 0, count: 2 * tokenCount)
    for span in spans {
      let firstTile = tiles.count / 5
      var first = 0
      while first < span.queryCount {
        let count = min(shape.tile, span.queryCount - first)
        add(AttentionTile(first: first, rows: count, of: span, shape), of: span)
        first += count
      }
      for token in span.start..<span.start + span.length {
        tokens[2 * token] = Int32(firstTile)
        tokens[2 * token + 1] = Int32(tiles.count / 5 - firstTile)
      }
    }
  }

  private mutating func add(_ tile: AttentionTile, of span: AttentionSpan) {
    let output = span.outputStart + tile.first
    let query = span.start + span.queryStart + tile.first
    let key = span.start + tile.firstKey
    width = max(width, tile.keys)
    tiles += [output, tile.rows, query, key, tile.keys].map(Int32.init)
    for row in 0..<tile.rows {
      let visible = min(Int(tile.visible) + row, tile.keys)
      let hidden = max(0, Int(tile.hidden) + row)
      let values = [query + row, key, tile.keys, visible, hidden]
      for (index, value) in values.enumerated() { rows[5 * (output + row) + index] = Int32(value) }
    }
  }
}

extension KernelDevice {
  /// `attentionForward` of memory of this device.
  func attentionForward(
    out: MutableFloats, logSumExp: MutableFloats, query: Floats, key: Floats, value: Floats,
    spans: [AttentionSpan], tokens: Int, queries: Int, shape: AttentionShape,
    scratch: MutableFloats
  ) {
    let plan = AttentionPlan.of(spans, queries: queries, tokens: tokens, shape)
    let sizes = DeviceAttentionSizes(plan, queries: queries, shape)
    launch(
      "attention_scores", sizes.scores,
      [.memory(scratch), .memory(query), .memory(key), .integers(plan.rows)] + sizes.all
        + [.int(0)])
    launch(
      "attention_softmax", sizes.lanes,
      [
        .memory(scratch), .memory(logSumExp), .integers(plan.rows), .int(queries),
        .int(plan.width), .float(shape.scale),
      ])
    launch(
      "attention_mixture", sizes.channels,
      [.memory(out), .memory(scratch), .memory(value), .integers(plan.rows)] + sizes.all
        + [.int(0)])
  }

  /// `attentionBackward` of memory of this device.
  func attentionBackward(
    dQuery: MutableFloats, dKey: MutableFloats, dValue: MutableFloats, dOut: Floats, out: Floats,
    logSumExp: Floats, query: Floats, key: Floats, value: Floats, spans: [AttentionSpan],
    tokens: Int, queries: Int, shape: AttentionShape, scratch: MutableFloats
  ) {
    let plan = AttentionPlan.of(spans, queries: queries, tokens: tokens, shape)
    let sizes = DeviceAttentionSizes(plan, queries: queries, shape)
    let probabilities = scratch
    let dScores = scratch + shape.heads * queries * plan.width
    let rows = KernelArgument.integers(plan.rows)
    let keys = KernelGrid.matrix(
      columns: shape.headSize, rows: tokens, planes: shape.keyValueHeads)
    let ofKeys: [KernelArgument] = [.integers(plan.tiles), .integers(plan.tokens)] + sizes.all
    if queries != tokens { clear(dQuery, count: tokens * shape.queryStride) }
    launch(
      "attention_scores", sizes.scores,
      [.memory(probabilities), .memory(query), .memory(key), rows] + sizes.all + [.int(0)])
    launch(
      "attention_probabilities", sizes.scores,
      [
        .memory(probabilities), .memory(logSumExp), rows, .int(queries), .int(plan.width),
        .float(shape.scale),
      ])
    launch(
      "attention_key_gradient", keys,
      [.memory(dValue), .memory(probabilities), .memory(dOut)] + ofKeys + [.int(1)])
    launch(
      "attention_scores", sizes.scores,
      [.memory(dScores), .memory(dOut), .memory(value), rows] + sizes.all + [.int(1)])
    launch(
      "attention_score_gradient", sizes.lanes,
      [
        .memory(dScores), .memory(probabilities), .memory(dOut), .memory(out), rows,
        .int(queries), .int(plan.width), .int(shape.heads), .int(shape.headSize),
        .float(shape.scale),
      ])
    launch(
      "attention_mixture", sizes.channels,
      [.memory(dQuery), .memory(dScores), .memory(key), rows] + sizes.all + [.int(1)])
    launch(
      "attention_key_gradient", keys,
      [.memory(dKey), .memory(dScores), .memory(query)] + ofKeys + [.int(0)])
  }
}

/// Grids and sizes that the kernels of attention share.
private struct DeviceAttentionSizes {
  /// Queries, width, heads, query heads of a key head, channels of a head.
  let all: [KernelArgument]
  let scores: KernelGrid
  let lanes: KernelGrid
  let channels: KernelGrid

  init(_ plan: AttentionPlan, queries: Int, _ shape: AttentionShape) {
    all = [
      .int(queries), .int(plan.width), .int(shape.heads), .int(shape.heads / shape.keyValueHeads),
      .int(shape.headSize),
    ]
    scores = .matrix(columns: plan.width, rows: queries, planes: shape.heads)
    lanes = .rows(queries, heads: shape.heads)
    channels = .matrix(columns: shape.headSize, rows: queries, planes: shape.heads)
  }
}
