// All fields of config.json that transformers 5.24 writes for every model, and those that older
// versions wrote, with the meaning of each. A family's own fields are in its file (Families/). Fields
// that transformers itself does not read in a family are without effect there.

internal import Safetensors

/// The lists of fields of config.json.
enum ModelFields {
  /// The fields of every model, with `own` ones of a family and its spelling.
  static func all(
    with own: [String: FieldMeaning], of family: ModelFamily
  ) -> [String: FieldMeaning] {
    var all = common.merging(own) { $1 }
    for (name, found) in family.spelling {
      all[found] = .computed
      // Where transformers takes both spellings, their order decides which of the two wins.
      all[name] = family.otherSpellings.contains(name) ? .only([]) : .withoutEffect
    }
    for name in withoutEffect + generation where own[name] == nil { all[name] = .withoutEffect }
    return all
  }

  static let falseOnly = FieldMeaning.only([.bool(false)])
  private static let emptyOnly = FieldMeaning.only([.object([:]), .array([])])

  /// Fields of every model (`PreTrainedConfig`).
  private static let common: [String: FieldMeaning] = [
    "model_type": .computed, "vocab_size": .computed, "hidden_size": .computed,
    "num_hidden_layers": .computed, "num_attention_heads": .computed,
    "intermediate_size": .computed, "hidden_act": .computed,
    "max_position_embeddings": .computed, "initializer_range": .computed,
    "tie_word_embeddings": .computed, "id2label": .computed,
    "quantization_config": .only([]),
    "is_encoder_decoder": falseOnly, "tie_encoder_decoder": falseOnly,
    "add_cross_attention": falseOnly, "cross_attention_hidden_size": .only([]),
    "pruned_heads": emptyOnly, "per_layer_config": emptyOnly,
    "is_causal": .only([.bool(true)]),
    // The experiment's task decides about the loss.
    "problem_type": .withoutEffect,
  ]

  /// Fields of the families with rotary positions.
  static let rotary: [String: FieldMeaning] = [
    "num_key_value_heads": .computed, "head_dim": .computed, "rms_norm_eps": .computed,
    "rope_theta": .computed, "rope_scaling": .computed, "rope_parameters": .computed,
    "original_max_position_embeddings": .computed, "partial_rotary_factor": .computed,
    "layer_types": .computed, "attention_dropout": .withoutEffect, "is_decoder": .withoutEffect,
  ]

  /// Fields of `PreTrainedConfig`, now or earlier, that change no result here.
  private static let withoutEffect = [
    "_attn_implementation", "_attn_implementation_autoset", "_attn_implementation_internal",
    "_commit_hash", "_experts_implementation_internal", "_flash_attn_2_enabled", "_name_or_path",
    "_num_labels", "architectures", "attn_implementation", "bos_token_id",
    "chunk_size_feed_forward", "cls_token_id", "decoder_start_token_id", "dtype", "eos_token_id",
    "experts_implementation", "finetuning_task", "gradient_checkpointing", "label2id", "language",
    "name_or_path", "num_labels", "output_attentions", "output_hidden_states", "output_past",
    "pad_token_id", "prefix", "return_dict", "sep_token_id", "task_specific_params",
    "tie_last_hidden_states", "tokenizer_class", "torch_dtype", "torchscript",
    "transformers.js_config", "transformers_version", "unk_token_id", "unsloth_fixed",
    "unsloth_version", "use_bfloat16", "use_cache", "use_return_dict",
  ]

  /// Fields of `GenerationConfig`, which older versions wrote into config.json.
  private static let generation = [
    "assistant_confidence_threshold", "assistant_lookbehind", "bad_words_ids",
    "begin_suppress_tokens", "diversity_penalty", "do_sample", "early_stopping",
    "encoder_no_repeat_ngram_size", "encoder_repetition_penalty", "epsilon_cutoff", "eta_cutoff",
    "exponential_decay_length_penalty", "forced_bos_token_id", "forced_eos_token_id",
    "length_penalty", "max_length", "max_new_tokens", "min_length", "min_new_tokens",
    "no_repeat_ngram_size", "num_assistant_tokens", "num_assistant_tokens_schedule",
    "num_beam_groups", "num_beams", "num_return_sequences", "output_logits", "output_scores",
    "remove_invalid_values", "renormalize_logits", "repetition_penalty",
    "return_dict_in_generate", "suppress_tokens", "target_lookbehind", "temperature", "top_k",
    "top_p", "typical_p",
  ]

  /// The fields of `rope_parameters` and `rope_scaling`.
  static let rope: [String: FieldMeaning] = [
    "rope_type": .computed, "type": .computed, "rope_theta": .computed, "factor": .computed,
    "low_freq_factor": .computed, "high_freq_factor": .computed,
    "original_max_position_embeddings": .computed, "partial_rotary_factor": .computed,
    "attention_factor": .computed, "beta_fast": .computed, "beta_slow": .computed,
    "mscale": .computed, "mscale_all_dim": .computed, "truncate": .computed,
    "short_factor": .computed, "long_factor": .computed,
  ]
}
