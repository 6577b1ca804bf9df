// Scaled dot-product attention over packed sequences, forward and backward.
//
// Nothing is padded and no (length, length) matrix outlives a tile: scores exist for at most
// `attentionTile` queries of one head; the backward pass recomputes probabilities from the kept
// log-sum-exp (Dao et al. 2022, section 3.1). Under a causal mask a tile stops at its last visible
// key.

internal import CKernels

/// Most queries of one head whose scores exist at a time.
let attentionTile = 128

/// One sequence of a packed batch as attention sees it.
///
/// Keys are rows `start ..< start + length`. Queries are the last `queryCount` of these rows, or,
/// for a bidirectional model that pools its first token, the first; their results go to rows
/// `outputStart ...` of the output.
public struct AttentionSpan: Sendable, Equatable {
  /// First row of the sequence in q, k and v.
  public var start: Int
  /// Tokens of the sequence.
  public var length: Int
  /// First query, counted from the sequence's start.
  public var queryStart: Int
  /// Number of consecutive queries.
  public var queryCount: Int
  /// First row of the results.
  public var outputStart: Int

  /// A span; queries must lie inside the sequence.
  public init(start: Int, length: Int, queryStart: Int, queryCount: Int, outputStart: Int) {
    precondition(
      queryStart >= 0 && queryCount >= 0 && queryStart + queryCount <= length,
      "queries \(queryStart) + \(queryCount) outside a sequence of \(length)")
    self.start = start
    self.length = length
    self.queryStart = queryStart
    self.queryCount = queryCount
    self.outputStart = outputStart
  }
}

/// The keys that a query sees around its own position (sliding window, Beltagy et al. 2020).
public struct AttentionWindow: Sendable, Equatable {
  /// Keys before its own.
  public var before: Int
  /// Keys after its own; 0 under a causal mask.
  public var after: Int

  /// A window of `before` + 1 + `after` keys.
  public init(before: Int, after: Int) {
    precondition(before >= 0 && after >= 0, "a window of \(before) and \(after) keys")
    self.before = before
    self.after = after
  }
}

/// The sizes that attention needs: query heads, key/value heads (grouped queries, Ainslie et al.
/// 2023), channels of a head, and the mask.
public struct AttentionShape: Sendable, Equatable {
  /// Query heads, H.
  public var heads: Int
  /// Key and value heads; divides `heads`.
  public var keyValueHeads: Int
  /// Channels of one head, D.
  public var headSize: Int
  /// Whether a query sees only keys up to its own position.
  public var isCausal: Bool
  /// The keys around a query that it sees; nil for all. Nothing comes after it if `isCausal`.
  public var window: AttentionWindow?
  /// Factor of the scores: 1 / sqrt(D) unless told otherwise.
  public var scale: Float

  /// Shape with `heads` a multiple of `keyValueHeads`.
  public init(
    heads: Int, keyValueHeads: Int, headSize: Int, isCausal: Bool, window: AttentionWindow? = nil,
    scale: Float? = nil
  ) {
    precondition(
      keyValueHeads > 0 && heads % keyValueHeads == 0,
      "\(heads) query heads do not divide over \(keyValueHeads) key/value heads")
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headSize = headSize
    self.isCausal = isCausal
    self.window = window
    self.scale = scale ?? 1 / Float(headSize).squareRoot()
  }

  /// Floats of scratch that one call needs for sequences up to `longest` tokens.
  public func scratchCount(longest: Int) -> Int { attentionTile * longest * 2 + attentionTile }

  /// Floats of scratch that one call needs on a device, for up to `queries` queries: the scores of
  /// all heads and their gradients.
  package func deviceScratchCount(longest: Int, queries: Int) -> Int {
    2 * heads * queries * longest
  }

  /// Queries of a tile. Narrow under a causal mask, since what a tile computes behind its queries'
  /// own positions is thrown away: 1/4 more than needed at 128 tokens, where one tile is twice it.
  /// A window is such a mask too.
  var tile: Int { isCausal || window != nil ? 32 : attentionTile }
  var queryStride: Int { heads * headSize }
  var keyStride: Int { keyValueHeads * headSize }

  /// Calls `body` for each head and each tile of queries of `span`.
  @inline(__always)
  func forEachTile(
    _ span: AttentionSpan, _ body: (_ head: Int, _ tile: AttentionTile) -> Void
  ) {
    for head in 0..<heads {
      var first = 0
      while first < span.queryCount {
        let rows = min(tile, span.queryCount - first)
        body(head, AttentionTile(first: first, rows: rows, of: span, self))
        first += rows
      }
    }
  }
}

/// Some queries of a span, with the keys that any of them sees.
struct AttentionTile {
  /// First query, counted from the span's first.
  let first: Int
  /// Number of queries.
  let rows: Int
  /// First key, counted from the sequence's start.
  let firstKey: Int
  /// Number of keys.
  let keys: Int
  /// Keys of the tile up to the last that the first query sees; each later query sees one more.
  let visible: Int64
  /// Keys of the tile before the first that the first query sees, one more for each later query;
  /// below zero where a query sees all of them.
  let hidden: Int64

  @inline(__always)
  init(first: Int, rows: Int, of span: AttentionSpan, _ shape: AttentionShape) {
    self.first = first
    self.rows = rows
    let query = span.queryStart + first
    let after = shape.isCausal ? 0 : shape.window?.after ?? span.length
    let before = shape.window?.before ?? span.length
    firstKey = max(0, query - before)
    keys = min(span.length, query + rows + after) - firstKey
    visible = Int64(min(span.length, query + 1 + after) - firstKey)
    hidden = Int64(query - before - firstKey)
  }
}

/// Attention of every span: `out` (queries, H * D) and `logSumExp` (H, queries), kept for backward.
///
/// `query` is (T, H * D), `key` and `value` (T, keyValueHeads * D); `queries` is the number of rows
/// of `out`. `scratch` has `shape.scratchCount(longest:)` floats, on a device
/// `shape.deviceScratchCount(longest:queries:)`.
public func attentionForward(
  out: MutableFloats, logSumExp: MutableFloats, query: Floats, key: Floats, value: Floats,
  spans: [AttentionSpan], tokens: Int, queries: Int, shape: AttentionShape,
  scratch: MutableFloats
) {
  if let device = KernelDevices.owner(of: out) {
    return device.attentionForward(
      out: out, logSumExp: logSumExp, query: query, key: key, value: value, spans: spans,
      tokens: tokens, queries: queries, shape: shape, scratch: scratch)
  }
  let size = shape.headSize
  let group = shape.heads / shape.keyValueHeads
  for span in spans {
    shape.forEachTile(span) { head, tile in
      let (rows, keys) = (tile.rows, tile.keys)
      let offset = head * size
      let keyOffset = (span.start + tile.firstKey) * shape.keyStride + (head / group) * size
      let outRow = span.outputStart + tile.first
      matmul(
        scratch, stride: keys, rows: rows, columns: keys, inner: size,
        query + (span.start + span.queryStart + tile.first) * shape.queryStride + offset,
        strideA: shape.queryStride, key + keyOffset, strideB: shape.keyStride, transposeB: true)
      ck_attention_softmax(
        scratch, Int64(keys), logSumExp + head * queries + outRow, Int64(rows), Int64(keys),
        tile.visible, tile.hidden, shape.scale)
      matmul(
        out + outRow * shape.queryStride + offset, stride: shape.queryStride, rows: rows,
        columns: size, inner: keys, scratch, strideA: keys, value + keyOffset,
        strideB: shape.keyStride)
    }
  }
}

/// Gradients of attention: overwrites `dQuery`, `dKey` and `dValue` (all T rows of each).
///
/// `out`, `logSumExp` are what `attentionForward` gave; `dOut` is (queries, H * D).
public func attentionBackward(
  dQuery: MutableFloats, dKey: MutableFloats, dValue: MutableFloats, dOut: Floats, out: Floats,
  logSumExp: Floats, query: Floats, key: Floats, value: Floats, spans: [AttentionSpan],
  tokens: Int, queries: Int, shape: AttentionShape, scratch: MutableFloats
) {
  if let device = KernelDevices.owner(of: dQuery) {
    return device.attentionBackward(
      dQuery: dQuery, dKey: dKey, dValue: dValue, dOut: dOut, out: out, logSumExp: logSumExp,
      query: query, key: key, value: value, spans: spans, tokens: tokens, queries: queries,
      shape: shape, scratch: scratch)
  }
  let size = shape.headSize
  let group = shape.heads / shape.keyValueHeads
  dKey.update(repeating: 0, count: tokens * shape.keyStride)
  dValue.update(repeating: 0, count: tokens * shape.keyStride)
  if queries != tokens { dQuery.update(repeating: 0, count: tokens * shape.queryStride) }
  for span in spans {
    let probabilities = scratch
    let dProbabilities = scratch + attentionTile * span.length
    let delta = scratch + 2 * attentionTile * span.length
    shape.forEachTile(span) { head, tile in
      let (rows, keys) = (tile.rows, tile.keys)
      let offset = head * size
      let keyOffset = (span.start + tile.firstKey) * shape.keyStride + (head / group) * size
      let outRow = span.outputStart + tile.first
      let queryOffset =
        (span.start + span.queryStart + tile.first) * shape.queryStride + offset
      let outOffset = outRow * shape.queryStride + offset
      matmul(
        probabilities, stride: keys, rows: rows, columns: keys, inner: size,
        query + queryOffset, strideA: shape.queryStride, key + keyOffset,
        strideB: shape.keyStride, transposeB: true)
      ck_attention_probabilities(
        probabilities, Int64(keys), logSumExp + head * queries + outRow, Int64(rows), Int64(keys),
        tile.visible, tile.hidden, shape.scale)
      matmul(
        dValue + keyOffset, stride: shape.keyStride, rows: keys, columns: size, inner: rows,
        probabilities, strideA: keys, transposeA: true, dOut + outOffset,
        strideB: shape.queryStride, .add)
      matmul(
        dProbabilities, stride: keys, rows: rows, columns: keys, inner: size, dOut + outOffset,
        strideA: shape.queryStride, value + keyOffset, strideB: shape.keyStride, transposeB: true)
      ck_row_dots(
        delta, dOut + outOffset, out + outOffset, Int64(shape.queryStride), Int64(rows),
        Int64(size))
      ck_attention_score_gradient(
        dProbabilities, probabilities, Int64(keys), delta, Int64(rows), Int64(keys), shape.scale)
      matmul(
        dQuery + queryOffset, stride: shape.queryStride, rows: rows, columns: size, inner: keys,
        dProbabilities, strideA: keys, key + keyOffset, strideB: shape.keyStride)
      matmul(
        dKey + keyOffset, stride: shape.keyStride, rows: keys, columns: size, inner: rows,
        dProbabilities, strideA: keys, transposeA: true, query + queryOffset,
        strideB: shape.queryStride, .add)
    }
  }
}

/// A tile of `scores` (rows, columns) into probabilities in place, as `attentionForward` does it:
/// row r becomes softmax(scale * s) over its first `visible` + r columns, and zero behind them.
public func attentionSoftmax(
  scores: MutableFloats, logSumExp: MutableFloats, rows: Int, columns: Int, visible: Int,
  scale: Float
) {
  ck_attention_softmax(
    scores, Int64(columns), logSumExp, Int64(rows), Int64(columns), Int64(visible), -Int64(rows),
    scale)
}
