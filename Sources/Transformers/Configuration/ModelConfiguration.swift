// What a transformer is, as values: one block description covers encoders (BERT: post-norm, learned
// positions, bidirectional) and decoders (Llama: pre-norm, rotary, causal). LinearLayers.swift has
// its linear layers; `ModelConfiguration+HuggingFace.swift` reads it from a config.json.

public import Kernels

/// How activations are normalized.
public enum NormKind: Sendable, Equatable {
  /// RMSNorm (Zhang & Sennrich 2019): a weight, no bias.
  case rootMeanSquare
  /// RMSNorm whose factor is 1 + weight (Gemma).
  case rootMeanSquareAroundOne
  /// LayerNorm (Ba et al. 2016): a weight and a bias.
  case layer
  /// LayerNorm with a weight alone (ModernBERT).
  case layerWithoutBias

  /// True for LayerNorm, which subtracts the mean.
  var isLayer: Bool { self == .layer || self == .layerWithoutBias }
}

/// Where a block normalizes.
public enum NormPlacement: Sendable, Equatable {
  /// Before attention and feed-forward, with one more norm after the last block (Llama, GPT-2).
  case pre
  /// After each residual sum (BERT).
  case post
}

/// What differs between the attention of one block and another's.
public struct AttentionKind: Sendable, Equatable {
  /// Rotary embedding of queries and keys (Su et al. 2021); nil for none.
  public var rotary: RotaryConfiguration?
  /// The keys around a token that it sees; nil for all.
  public var window: AttentionWindow?

  /// Attention of this kind.
  public init(rotary: RotaryConfiguration? = nil, window: AttentionWindow? = nil) {
    self.rotary = rotary
    self.window = window
  }
}

/// Square images, cut into square patches. The model's tokens are a class token and the patches,
/// row by row (Dosovitskiy et al., arXiv 2010.11929).
public struct ImageShape: Sendable, Equatable {
  /// Rows and columns of pixels.
  public let size: Int
  /// Rows and columns of a patch's pixels.
  public let patchSize: Int
  /// Values of a pixel.
  public let channels: Int

  /// Images of this shape, whose size is a multiple of the patch's.
  public init(size: Int, patchSize: Int, channels: Int) {
    self.size = size
    self.patchSize = patchSize
    self.channels = channels
  }

  /// Patches of an image.
  public var patchCount: Int { (size / patchSize) * (size / patchSize) }
  /// Tokens of an image: the class token and its patches.
  public var tokenCount: Int { patchCount + 1 }
  /// Values of a patch: channels, rows, columns.
  public var patchValues: Int { channels * patchSize * patchSize }
}

/// The shape and the kinds of a transformer's parts.
///
/// Letters used in comments: V vocabulary, C channels, H heads, D head size, I feed-forward width.
public struct ModelConfiguration: Sendable, Equatable {
  /// The family in Hugging Face transformers.
  public var family: ModelFamily
  /// Tokens in the vocabulary, V; 0 in models of images.
  public var vocabularySize: Int
  /// Width of the residual stream, C.
  public var channels: Int
  /// The attention of each block.
  public var attention: [AttentionKind]
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
  /// The row of the first position in a table of learned positions, whose vectors are added to the
  /// tokens'; nil if there is no table.
  public var learnedPositionOffset: Int?
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
  /// The hidden state that the model's own sequence classifier reads.
  public var pooling: Pooling
  /// Factor of the scores of attention; nil for 1 / sqrt(D).
  var attentionScale: Float?
  /// Factor of the token embedding (Gemma).
  var embeddingScale: Float = 1
  /// The images that the model reads; nil for models of text.
  public var image: ImageShape?

  /// Blocks.
  public var layerCount: Int { attention.count }
  /// Query channels, H * D.
  public var queryChannels: Int { headCount * headSize }
  /// Key (and value) channels.
  package var keyChannels: Int { keyValueHeadCount * headSize }
  /// Channels that a norm of queries takes together; 0 if there is none.
  var queryNormChannels: Int {
    names.block.queryKeyNorms.map { $0.isPerHead ? headSize : queryChannels } ?? 0
  }
  /// Channels that a norm of keys takes together; 0 if there is none.
  var keyNormChannels: Int {
    names.block.queryKeyNorms.map { $0.isPerHead ? headSize : keyChannels } ?? 0
  }

  /// The attention kernels' view of a block's shape.
  func attentionShape(layer: Int) -> AttentionShape {
    AttentionShape(
      heads: headCount, keyValueHeads: keyValueHeadCount, headSize: headSize, isCausal: isCausal,
      window: attention[layer].window, scale: attentionScale)
  }
}
