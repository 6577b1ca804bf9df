// The families of models. A family is one file beside this one and one row of `ModelFamily.all`: the
// file says how config.json is read, how tensors and modules are called, and what the family's own
// sequence classifier looks like. No other file asks for the family.

package import Kernels
internal import Safetensors

/// A family of models with one block, one config.json and one set of names in Hugging Face transformers.
public struct ModelFamily: Sendable, Equatable {
  /// The family's name, for people.
  public let name: String
  /// The values of `model_type`, and the name of each one's sequence classifier in transformers.
  let classifiers: [String: String]
  /// The fields of config.json besides those of every model, by `model_type`.
  let fields: @Sendable (_ modelType: String) -> [String: FieldMeaning]
  /// The family's own spelling of fields that most families call otherwise.
  var spelling: [String: String] = [:]
  /// Those of the common names that transformers takes too (`attribute_map`).
  var otherSpellings: Set<String> = []
  /// True if config.json may describe rotary positions.
  let hasRotaryFields: Bool
  /// Reads the configuration.
  let read:
    @Sendable (ConfigurationFields, _ modelType: String, _ rope: RotaryFields) throws
      -> ModelConfiguration
  /// The names of modules and tensors.
  package let names: ModuleNames
  /// The family in llama.cpp; nil if llama.cpp does not have it.
  var gguf: GGUFFamily?

  /// All families.
  static let all: [ModelFamily] = [
    .bert, .distilBert, .gemma3, .gpt2, .llama, .modernBert, .olmo2, .phi3, .qwen3, .roberta,
    .smolLM3, .vit,
  ]

  /// The values of `model_type` of all families, sorted.
  static var modelTypes: [String] { all.flatMap { $0.classifiers.keys }.sorted() }

  /// The family of a `model_type`; nil if there is none.
  static func of(modelType: String) -> ModelFamily? {
    all.first { $0.classifiers[modelType] != nil }
  }

  /// The name of the sequence classifier of a `model_type` in transformers.
  package func classifier(of modelType: String?) -> String? {
    classifiers[modelType ?? ""] ?? classifiers[name]
  }

  /// Families are equal if their names are.
  public static func == (a: ModelFamily, b: ModelFamily) -> Bool { a.name == b.name }
}

/// The hidden state that stands for a sequence.
public enum Pooling: String, Sendable, CaseIterable {
  /// The first token, through the pooler if the model has one (BERT's).
  case first
  /// The last token (Llama's).
  case last
  /// The mean over all tokens (sentence embedding models), without pooler.
  case mean
}

/// The names that Hugging Face gives to modules, and so to tensors and PEFT targets.
package struct ModuleNames: Sendable {
  /// The modules that turn tokens or images into the first block's input.
  struct Embeddings: Sendable {
    /// The embedding of tokens; nil in models of images.
    var tokens: String?
    /// The embedding of images; nil in models of text.
    var images: ImageEmbeddings?
    /// The embedding of positions; nil for rotary positions.
    var positions: String?
    /// The embedding of token types; nil if there are none.
    var tokenTypes: String?
    /// The norm after the sum; nil if there is none.
    var norm: String?
  }

  /// The names of an image's embedding.
  struct ImageEmbeddings: Sendable {
    /// The module of the product from a patch's values to C channels.
    let patches: String
    /// The tensor of the vector before the patches, (1, 1, C).
    let classToken: String
    /// The tensor of the positions, (1, tokens, C).
    let positions: String
  }

  /// The names within a block.
  struct Block: Sendable {
    /// The path of the blocks, before the number of a block.
    let path: String
    /// The linear layers.
    let linears: [LinearRole: String]
    /// True if files hold the weights of linear layers as (inputs, outputs).
    var storesInputsFirst = false
    /// The norm before or after attention; nil if there is none.
    var attentionNorm: String?
    /// False if the first block has no norm before attention.
    var firstHasAttentionNorm = true
    /// The norm before or after the feed-forward part; nil if there is none.
    var feedForwardNorm: String?
    /// The norms of what attention and feed-forward part add to the residual stream; nil if there
    /// are none.
    var branchNorms: BranchNorms?
    /// The norms of queries and keys; nil if there are none.
    var queryKeyNorms: QueryKeyNorms?
  }

  /// Norms of the two halves of a block, before their results are added (OLMo 2, Gemma 3).
  struct BranchNorms: Sendable {
    /// Of attention's result.
    let attention: String
    /// Of the feed-forward part's result.
    let feedForward: String
  }

  /// Norms of queries and keys before they are rotated (Henry et al. 2020).
  struct QueryKeyNorms: Sendable {
    /// Of queries.
    let query: String
    /// Of keys.
    let key: String
    /// True if each head is normalized by itself, with the same weights; false for all heads
    /// together.
    let isPerHead: Bool
  }

  /// A frozen dense layer that a sequence classifier puts after pooling, with an activation.
  package struct Pooler: Sendable {
    /// The dense layer, (C, C).
    package let module: String
    /// Its activation.
    package var activation = Activation.tanh
    /// The norm after the activation; nil if there is none.
    package var norm: String?
    /// False if the dense layer has no bias.
    package var hasBias = true
    /// True if pooling over all tokens goes through it too.
    package var takesMean = false
  }

  /// The product to the vocabulary.
  package struct LanguageHead: Sendable {
    /// The module of the product, if it is not tied to the token embedding.
    package let output: String
    /// The dense layer before the product; nil if there is none.
    package var transform: String?
    /// The norm after that layer.
    var transformNorm: String?
    /// The tensor of the product's bias; nil if there is none.
    package var bias: String?
    /// A tensor in which files may hold the bias a second time; it is used if it differs.
    package var biasCopy: String?
  }

  /// The sequence classifier's product to the labels, and a dense layer that is trained before it.
  package struct ClassificationHead: Sendable {
    /// The module of a dense layer, (C, C) with a bias, whose activation the product reads; nil if
    /// there is none.
    package var dense: String?
    /// The activation of that layer.
    package var activation = Activation.tanh
    /// The module of the product.
    package let module: String
    /// True if the product has a bias.
    package let hasBias: Bool
  }

  /// The prefix that checkpoints of the bare model leave out.
  package let basePrefix: String
  /// Tokens to the first block's input.
  let embeddings: Embeddings
  /// The blocks.
  let block: Block
  /// The norm after the last block; nil if there is none.
  var finalNorm: String?
  /// The dense layer that some sequence classifiers put after pooling; nil if there is none.
  package var pooler: Pooler?
  /// The product to the vocabulary; nil in models of images.
  package var languageHead: LanguageHead?
  /// The product to labels.
  package let classificationHead: ClassificationHead
  /// A part of a module's name, and its spelling in files.
  struct FileSpelling: Sendable {
    /// In files.
    let file: String
    /// In transformers' modules, and so in PEFT.
    let module: String
  }

  /// The beginnings of tensors outside of the bare model.
  let outside: [String]
  /// The parts of names that files spell otherwise, in the order in which they are replaced.
  var fileSpellings: [FileSpelling] = []
  /// The ends of the names of tensors that older versions saved and no version reads.
  var buffers: [String] = []
}
