// All fields of adapter_config.json that PEFT 0.21 writes for LoRA, and the meaning of each. Which
// layers are adapted is what the tensors beside it say, so that fields that chose them are without
// effect.

internal import Safetensors

/// The list of fields of adapter_config.json.
enum AdapterFields {
  private static let falseOnly = FieldMeaning.only([.bool(false)])
  private static let emptyOnly = FieldMeaning.only([.object([:]), .array([])])

  static let meanings: [String: FieldMeaning] = [
    // PeftConfig.
    "peft_type": .only([.string("LORA")]), "task_type": .computed, "auto_mapping": .withoutEffect,
    "peft_version": .withoutEffect, "base_model_name_or_path": .computed,
    "revision": .withoutEffect, "inference_mode": .withoutEffect,
    // LoraConfig.
    "r": .computed, "lora_alpha": .computed, "lora_dropout": .computed, "use_rslora": .computed,
    "target_modules": .computed, "layers_to_transform": .computed, "modules_to_save": .computed,
    "init_lora_weights": .computed,
    "exclude_modules": .withoutEffect, "layers_pattern": .withoutEffect,
    "ensure_weight_tying": .withoutEffect, "runtime_config": .withoutEffect,
    // PEFT sets it by the kind of the module, whatever the file says.
    "fan_in_fan_out": .withoutEffect,
    "megatron_core": .withoutEffect, "qalora_group_size": .withoutEffect,
    // Parameters of ways to begin, which init_lora_weights names.
    "loftq_config": .withoutEffect, "eva_config": .withoutEffect, "corda_config": .withoutEffect,
    "lora_ga_config": .withoutEffect,
    // Other computations than W x + scale * B A x.
    "bias": .only([.string("none")]), "lora_bias": falseOnly, "use_dora": falseOnly,
    "use_qalora": falseOnly, "use_bdlora": falseOnly,
    "rank_pattern": emptyOnly, "alpha_pattern": emptyOnly, "layer_replication": emptyOnly,
    "target_parameters": emptyOnly, "trainable_token_indices": emptyOnly,
    "alora_invocation_tokens": .only([]), "megatron_config": .only([]),
    "velora_config": .only([]), "monteclora_config": .only([]), "arrow_config": .only([]),
    "kasa_config": .only([]),
    // Older versions.
    "enable_lora": .only([]), "merge_weights": .withoutEffect,
  ]

  /// Ways to begin that leave the base weights as they are.
  static let plainInitializations = ["gaussian", "orthogonal", "eva", "mica"]
  /// Ways to begin that change the base weights; `pissa_niter_16` is one too.
  static let changingInitializations = ["pissa", "olora", "loftq", "corda", "lora_ga"]
}
