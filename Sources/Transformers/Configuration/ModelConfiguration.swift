// What a transformer is, as values: one block description covers the encoder of BERT and MiniLM
// (post-norm, learned positions, bidirectional) and the Llama family (pre-norm, rotary, causal).
// `ModelConfiguration+HuggingFace.swift` reads it from a config.json.

public import Kernels

/// How activations are normalized.
public enum NormKind: Sendable, Equatable {
  /// RMSNorm (Zhang & Sennrich 2019): a weight, no bias.
  case rootMeanSquare
  /// LayerNorm (Ba et al. 2016): a weight and a bias.
  case layer
}

/// Where a block normalizes.
public enum NormPlacement: Sendable, Equatable {
  /// Before attention and feed-forward, with one more norm after the last block (Llama, GPT-2).
  case pre
  /// After each residual sum (BERT).
  case post
}

/// How a token's position enters.
public enum PositionKind: Sendable, Equatable {
  /// Rotary embedding of queries and keys (Su et al. 2021).
  case rotary(RotaryConfiguration)
  /// A learned vector for each position, added to the token's embedding. The first position has the
  /// row `offset` of the table.
  case learned(offset: Int)
}

/// The shape and the kinds of a transformer's parts.
///
/// Letters used in comments: V vocabulary, C channels, H heads, D head size, I feed-forward width.
public struct ModelConfiguration: Sendable, Equatable {
  /// The family in Hugging Face transformers.
  public var family: ModelFamily
  /// Tokens in the vocabulary, V.
  public var vocabularySize: Int
  /// Width of the residual stream, C.
  public var channels: Int
  /// Blocks.
  public var layerCount: Int
  /// Query heads, H.
  public var headCount: Int
  /// Key and value heads (grouped-query attention where fewer than `headCount`).
  public var keyValueHeadCount: Int
  /// Channels of a head, D.
  public var headSize: Int
  /// Width of the feed-forward part, I.
  public var intermediateSize: Int
  /// Longest sequence, in tokens.
  public var maximumPositions: Int
  /// Kind of norm.
  public var norm: NormKind
  /// Epsilon inside the norm's square root.
  public var normEpsilon: Float
  /// Placement of the norms.
  var normPlacement: NormPlacement
  /// How positions enter.
  public var positions: PositionKind
  /// Rows of the token type embedding; 0 where there is none. Every token is of type 0.
  var tokenTypeCount: Int
  /// Activation of the feed-forward part.
  public var activation: Activation
  /// Whether the feed-forward part is gated: f(gate) * up.
  public var isGated: Bool
  /// Whether a token sees only its past.
  public var isCausal: Bool
  /// Whether query, key and value have biases.
  package var attentionInputBias: Bool
  /// Whether the attention's output product has a bias.
  var attentionOutputBias: Bool
  /// Whether the feed-forward products have biases.
  var feedForwardBias: Bool
  /// Whether the language modelling head is the token embedding.
  package var tiesWordEmbeddings: Bool
  /// Standard deviation of a fresh classification head.
  public var initializerRange: Float

  /// The row of the first position in a table of learned positions; 0 for rotary positions.
  var positionOffset: Int {
    if case .learned(let offset) = positions { offset } else { 0 }
  }

  /// Query channels, H * D.
  public var queryChannels: Int { headCount * headSize }
  /// Key (and value) channels.
  package var keyChannels: Int { keyValueHeadCount * headSize }

  /// The attention kernels' view of the shape.
  var attentionShape: AttentionShape {
    AttentionShape(
      heads: headCount, keyValueHeads: keyValueHeadCount, headSize: headSize, isCausal: isCausal)
  }

  /// The linear layers of a block's `group`, in order.
  public func roles(of group: LinearGroup) -> [LinearRole] {
    switch group {
    case .attentionInput: [.query, .key, .value]
    case .attentionOutput: [.attentionOutput]
    case .feedForwardInput: isGated ? [.gate, .up] : [.up]
    case .feedForwardOutput: [.down]
    case .pooler: [.pooler]
    case .languageHead: [.languageHeadTransform]
    }
  }

  /// (inputs, outputs) of a linear layer.
  public func size(of role: LinearRole) -> (inputs: Int, outputs: Int) {
    switch role {
    case .query: (channels, queryChannels)
    case .key, .value: (channels, keyChannels)
    case .attentionOutput: (queryChannels, channels)
    case .gate, .up: (channels, intermediateSize)
    case .down: (intermediateSize, channels)
    case .pooler, .languageHeadTransform: (channels, channels)
    }
  }

  /// Whether a linear layer has a bias.
  public func hasBias(_ role: LinearRole) -> Bool {
    switch role {
    case .query, .key, .value: attentionInputBias
    case .attentionOutput: attentionOutputBias
    case .gate, .up, .down: feedForwardBias
    case .pooler, .languageHeadTransform: true
    }
  }
}

/// A linear layer's part in the model.
public enum LinearRole: Int, Sendable, CaseIterable {
  /// Query projection, (C) to (H * D).
  case query
  /// Key projection.
  case key
  /// Value projection.
  case value
  /// Projection of the heads' results back to C.
  case attentionOutput
  /// Gate of a gated feed-forward part.
  case gate
  /// First product of the feed-forward part, (C) to (I).
  case up
  /// Last product of the feed-forward part, (I) to (C).
  case down
  /// BERT's pooler.
  case pooler
  /// The transform before BERT's language modelling head.
  case languageHeadTransform

  /// The layers that read the same input.
  public var group: LinearGroup {
    switch self {
    case .query, .key, .value: .attentionInput
    case .attentionOutput: .attentionOutput
    case .gate, .up: .feedForwardInput
    case .down: .feedForwardOutput
    case .pooler: .pooler
    case .languageHeadTransform: .languageHead
    }
  }
}

/// Linear layers that read the same input, in the order in which a forward pass meets them.
public enum LinearGroup: Int, Sendable, CaseIterable, Comparable {
  /// Query, key and value.
  case attentionInput
  /// The attention's output product.
  case attentionOutput
  /// Gate and up, or up alone.
  case feedForwardInput
  /// Down.
  case feedForwardOutput
  /// BERT's pooler (after the last block).
  case pooler
  /// The transform before BERT's language modelling head (after the last block).
  case languageHead

  /// The groups inside a block.
  public static let inBlock: [LinearGroup] = [
    .attentionInput, .attentionOutput, .feedForwardInput, .feedForwardOutput,
  ]

  /// Forward order.
  public static func < (a: LinearGroup, b: LinearGroup) -> Bool { a.rawValue < b.rawValue }
}
