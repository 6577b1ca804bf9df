// Configurations with all the fields that published models have, in the spellings of their time: they are
// read, and with the values that transformers 5 gives them.

import Foundation
import Kernels
import Testing
import Transformers

@Suite("Configurations as they were published")
struct PublishedConfigurationTests {
  func parse(_ json: String) throws -> ModelConfiguration {
    try ModelConfiguration(json: Data(json.utf8), path: "config.json")
  }

  @Test("GPT-2")
  func gpt2() throws {
    let found = try parse(
      #"""
      {"activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
       "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02,
       "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12,
       "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": null,
       "summary_first_dropout": 0.1, "summary_proj_to_labels": true, "summary_type": "cls_index",
       "summary_use_proj": true, "task_specific_params": {"text-generation": {"do_sample": true}},
       "vocab_size": 50257}
      """#)
    #expect(found.intermediateSize == 3072 && found.headSize == 64 && found.layerCount == 12)
    #expect(found.maximumPositions == 1024 && found.activation == .geluTanh)
  }

  @Test("ModernBERT, with both names of the norm's epsilon")
  func modernBert() throws {
    let found = try parse(
      #"""
      {"architectures": ["ModernBertForMaskedLM"], "attention_bias": false, "attention_dropout": 0.0,
       "bos_token_id": 50281, "classifier_activation": "gelu", "classifier_bias": false,
       "classifier_dropout": 0.0, "classifier_pooling": "mean", "cls_token_id": 50281,
       "decoder_bias": true, "deterministic_flash_attn": false, "embedding_dropout": 0.0,
       "eos_token_id": 50282, "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0,
       "gradient_checkpointing": false, "hidden_activation": "gelu", "hidden_size": 768,
       "initializer_cutoff_factor": 2.0, "initializer_range": 0.02, "intermediate_size": 1152,
       "layer_norm_eps": 1e-05, "local_attention": 128, "local_rope_theta": 10000.0,
       "max_position_embeddings": 8192, "mlp_bias": false, "mlp_dropout": 0.0,
       "model_type": "modernbert", "norm_bias": false, "norm_eps": 1e-05,
       "num_attention_heads": 12, "num_hidden_layers": 22, "pad_token_id": 50283,
       "position_embedding_type": "absolute", "sep_token_id": 50282, "tie_word_embeddings": true,
       "torch_dtype": "float32", "transformers_version": "4.47.0.dev0", "vocab_size": 50368}
      """#)
    let window = AttentionWindow(before: 64, after: 64)
    #expect(
      found.attention.enumerated().allSatisfy { layer, kind in
        kind.window == (layer % 3 == 0 ? nil : window)
          && kind.rotary == RotaryConfiguration(theta: layer % 3 == 0 ? 160_000 : 10_000)
      })
    #expect(found.pooling == .mean)
  }

  @Test("ViT-B/16")
  func vit() throws {
    let found = try parse(
      #"""
      {"_name_or_path": "google/vit-base-patch16-224-in21k", "architectures": ["ViTModel"],
       "attention_probs_dropout_prob": 0.0, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
       "hidden_size": 768, "image_size": 224, "initializer_range": 0.02, "intermediate_size": 3072,
       "layer_norm_eps": 1e-12, "model_type": "vit", "num_attention_heads": 12, "num_channels": 3,
       "num_hidden_layers": 12, "patch_size": 16, "qkv_bias": true,
       "transformers_version": "4.13.0.dev0"}
      """#)
    #expect(found.image == ImageShape(size: 224, patchSize: 16, channels: 3))
    #expect(found.image?.tokenCount == 197 && found.image?.patchValues == 768)
    #expect(found.maximumPositions == 197 && found.headSize == 64 && !found.isCausal)
    let query = "vit.layers.3.attention.q_proj.weight"
    let stored = "encoder.layer.3.attention.attention.query.weight"
    #expect(found.fullName(ofTensor: stored) == query)
    #expect(found.fileName(ofTensor: query) == "vit." + stored)
    for (file, module) in [
      ("attention.output.dense", "attention.o_proj"), ("intermediate.dense", "mlp.fc1"),
      ("output.dense", "mlp.fc2"), ("layernorm_after", "layernorm_after"),
    ] {
      let full = "vit.layers.11.\(module).bias"
      #expect(found.fullName(ofTensor: "vit.encoder.layer.11.\(file).bias") == full)
      #expect(found.fileName(ofTensor: full) == "vit.encoder.layer.11.\(file).bias")
    }
  }

  @Test("images that are not whole patches are refused")
  func brokenImages() {
    // The defaults are 224 and 16.
    for fields in [#""image_size": 30"#, #""patch_size": 0"#, #""num_channels": 0"#] {
      #expect(throws: ModelError.self) {
        try parse(#"{"model_type": "vit", "num_hidden_layers": 1, \#(fields)}"#)
      }
    }
  }

  @Test("Gemma 3, before and since transformers 5")
  func gemma3() throws {
    let common = #"""
      "architectures": ["Gemma3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
      "attn_logit_softcapping": null, "bos_token_id": 2, "cache_implementation": "hybrid",
      "eos_token_id": [1, 106], "final_logit_softcapping": null, "head_dim": 256,
      "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 1152, "initializer_range": 0.02,
      "intermediate_size": 6912, "max_position_embeddings": 32768, "model_type": "gemma3_text",
      "num_attention_heads": 4, "num_hidden_layers": 26, "num_key_value_heads": 1,
      "pad_token_id": 0, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06,
      "sliding_window": 512, "use_cache": true, "vocab_size": 262144
      """#
    let old = try parse(
      "{\(common), \"rope_local_base_freq\": 10000, \"rope_scaling\": null,"
        + " \"rope_theta\": 1000000, \"sliding_window_pattern\": 6}")
    let kinds = (0..<26).map { ($0 + 1) % 6 == 0 ? "full_attention" : "sliding_attention" }
    let new = try parse(
      "{\(common), \"layer_types\": \(kinds), \"rope_parameters\": {\"full_attention\":"
        + " {\"rope_theta\": 1000000.0, \"rope_type\": \"default\"}, \"sliding_attention\":"
        + " {\"rope_theta\": 10000.0, \"rope_type\": \"default\"}}}")
    #expect(old == new)
    #expect(old.attention[5] == AttentionKind(rotary: RotaryConfiguration(theta: 1_000_000)))
    #expect(
      old.attention[4]
        == AttentionKind(
          rotary: RotaryConfiguration(theta: 10000), window: AttentionWindow(before: 511, after: 0))
    )
    #expect(old.tiesWordEmbeddings)
  }

  @Test("Mistral and Phi-3 have one window, whatever layer_types says; DistilBERT")
  func others() throws {
    let mistral = try parse(
      #"""
      {"architectures": ["MistralForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
       "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02,
       "intermediate_size": 14336, "max_position_embeddings": 32768, "model_type": "mistral",
       "num_attention_heads": 32, "num_hidden_layers": 2, "num_key_value_heads": 8,
       "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "sliding_window": 4096,
       "layer_types": ["full_attention", "full_attention"], "tie_word_embeddings": false,
       "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 32000}
      """#)
    #expect(
      mistral.attention.allSatisfy { $0.window == AttentionWindow(before: 4095, after: 0) })
    let distil = try parse(
      #"""
      {"activation": "gelu", "architectures": ["DistilBertForMaskedLM"], "attention_dropout": 0.1,
       "dim": 768, "dropout": 0.1, "hidden_dim": 3072, "initializer_range": 0.02,
       "max_position_embeddings": 512, "model_type": "distilbert", "n_heads": 12, "n_layers": 6,
       "pad_token_id": 0, "qa_dropout": 0.1, "seq_classif_dropout": 0.2,
       "sinusoidal_pos_embds": false, "tie_weights_": true, "vocab_size": 30522}
      """#)
    #expect(distil.layerCount == 6 && distil.intermediateSize == 3072)
    #expect(throws: ModelError.self) {
      try parse(
        #"{"model_type": "distilbert", "dim": 768, "hidden_size": 768, "n_heads": 12}"#)
    }
  }
}
