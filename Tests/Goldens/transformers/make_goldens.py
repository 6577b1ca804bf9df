"""Tiny models with LoRA adapters, their logits, losses and gradients, by transformers and PEFT.

One folder a case: `config.json`, `model.safetensors` (or shards with an index), `adapter/` (PEFT),
`golden.safetensors` and `golden.json`. The files on disk are read back before anything is computed,
so the golden is what the files say. Sequences are computed one by one and once more as a padded
batch; both have to agree.

    python make_goldens.py [CASE ...]
"""

import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertLMHeadModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    Gemma3TextForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    MistralConfig,
    MistralForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    Olmo2Config,
    Olmo2ForCausalLM,
    Olmo2ForSequenceClassification,
    Phi3Config,
    Phi3ForCausalLM,
    Phi3ForSequenceClassification,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    SmolLM3Config,
    SmolLM3ForCausalLM,
    SmolLM3ForSequenceClassification,
    ViTConfig,
    ViTForImageClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from reference_model import (  # noqa: E402
    batch_loss,
    check_adapter_names,
    generator,
    in_double_precision,
    largest_relative_error,
    load_base,
    load_with_adapter,
    randomize_adapter,
    randomize_base_weights,
    save_adapter_directory,
    sequence_logits,
    trainable_parameters,
)

LENGTHS = [1, 5, 12, 7, 130]
# The tensors of the targets, as corpora call them.
TARGETS = {"classification": "labels", "multi_label_classification": "label_sets", "regression": "scores"}
LLAMA_LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# Those of the blocks: all-linear would take the head's dense layer too.
ROBERTA_LINEARS = ["query", "key", "value", "attention.output.dense", "intermediate.dense",
                   "output.dense"]
VIT_LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"]


@dataclass
class Case:
    """One model with one adapter."""

    description: str
    model: type
    config: object
    task: str = "classification"
    targets: object = "all-linear"
    lora: dict = field(default_factory=dict)
    lengths: list = field(default_factory=lambda: LENGTHS)
    dtype: torch.dtype = torch.float32
    shard_size: str | None = None
    old_rope_keys: bool = False
    merged: bool = False

    @property
    def pooling(self):
        if self.task == "language_modelling":
            return "none"
        if self.model is BertForSequenceClassification:
            return "pooler"
        if self.model is ModernBertForSequenceClassification:
            return {"cls": "first", "mean": "mean"}[self.config.classifier_pooling]
        is_first = self.targets is ROBERTA_LINEARS or self.model in (
            DistilBertForSequenceClassification, ViTForImageClassification)
        return "first" if is_first else "last"


def vit(**changes):
    values = dict(
        hidden_size=24, intermediate_size=52, num_hidden_layers=2, num_attention_heads=3,
        image_size=12, patch_size=4, num_channels=1,
    )
    return ViTConfig(**{**values, **changes})


def llama(**changes):
    values = dict(
        vocab_size=120,
        hidden_size=32,
        intermediate_size=56,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        rms_norm_eps=1e-5,
        pad_token_id=0,
        num_labels=5,
    )
    return LlamaConfig(**{**values, **changes})


def bert(**changes):
    values = dict(
        vocab_size=110,
        hidden_size=24,
        intermediate_size=52,
        num_hidden_layers=2,
        num_attention_heads=3,
        max_position_embeddings=144,
        type_vocab_size=2,
        layer_norm_eps=1e-12,
        pad_token_id=0,
        num_labels=6,
    )
    return BertConfig(**{**values, **changes})


def roberta(kind, **changes):
    values = dict(
        vocab_size=110,
        hidden_size=24,
        intermediate_size=52,
        num_hidden_layers=2,
        num_attention_heads=3,
        max_position_embeddings=146,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        pad_token_id=1,
        num_labels=6,
    )
    return kind(**{**values, **changes})


def gpt2(**changes):
    values = dict(
        vocab_size=110,
        n_embd=24,
        n_layer=2,
        n_head=3,
        n_positions=144,
        pad_token_id=0,
        num_labels=5,
    )
    return GPT2Config(**{**values, **changes})


def decoder(kind, **changes):
    """A decoder like Llama's: two blocks, 4 heads over 2 key/value heads."""
    values = dict(
        vocab_size=100,
        hidden_size=32,
        intermediate_size=56,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        pad_token_id=0,
        num_labels=5,
    )
    return kind(**{**values, **changes})


PHI3_LONG_ROPE = dict(
    rope_type="longrope",
    rope_theta=10000.0,
    partial_rotary_factor=0.5,
    short_factor=[1.0, 1.5],
    long_factor=[2.0, 7.0],
)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64)
LM_LENGTHS = [2, 5, 12, 7, 130]
LLAMA3_ROPE = dict(
    rope_type="llama3",
    rope_theta=10000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)

CASES = {
    "llama_classification_gqa": Case(
        "Llama, 4 heads over 2 key/value heads, pooled at the last token; merged weights too",
        LlamaForSequenceClassification,
        llama(),
        merged=True,
    ),
    "llama_classification_biases": Case(
        "Llama without grouped heads, biases in attention and MLP, three layers",
        LlamaForSequenceClassification,
        llama(
            num_key_value_heads=4,
            attention_bias=True,
            mlp_bias=True,
            num_hidden_layers=3,
            hidden_size=24,
            intermediate_size=40,
            num_labels=2,
        ),
    ),
    "llama_classification_head_size": Case(
        "Llama whose head size (16) is not channels / heads (8), another rope_theta",
        LlamaForSequenceClassification,
        llama(head_dim=16, rope_parameters=dict(rope_type="default", rope_theta=500.0)),
    ),
    "llama_classification_one_layer_adapted": Case(
        "Llama with LoRA on q_proj and v_proj of the last of three layers only, r=2, alpha=16",
        LlamaForSequenceClassification,
        llama(num_hidden_layers=3, hidden_size=24, intermediate_size=40),
        targets=["q_proj", "v_proj"],
        lora=dict(r=2, lora_alpha=16, layers_to_transform=[2]),
    ),
    "llama_classification_first_layer_adapted": Case(
        "Llama with LoRA on v_proj and down_proj of the first of three layers only, rslora",
        LlamaForSequenceClassification,
        llama(num_hidden_layers=3, hidden_size=24, intermediate_size=40),
        targets=["v_proj", "down_proj"],
        lora=dict(layers_to_transform=[0], use_rslora=True),
    ),
    "llama_classification_bf16": Case(
        "Llama, base weights stored in BF16, adapter in F32",
        LlamaForSequenceClassification,
        llama(),
        dtype=torch.bfloat16,
    ),
    "llama_classification_f16": Case(
        "Llama, base weights stored in F16, adapter in F32",
        LlamaForSequenceClassification,
        llama(),
        dtype=torch.float16,
    ),
    "llama_classification_sharded": Case(
        "Llama in several shards with model.safetensors.index.json",
        LlamaForSequenceClassification,
        llama(),
        shard_size="20KB",
    ),
    "llama_lm_tied": Case(
        "Llama language model, output tied to the embedding, rope_theta at the top of config.json",
        LlamaForCausalLM,
        llama(tie_word_embeddings=True, num_key_value_heads=4, vocab_size=100),
        task="language_modelling",
        lengths=[2, 5, 12, 7, 130],
        old_rope_keys=True,
    ),
    "llama_lm_llama3_rope": Case(
        "Llama language model, own output matrix, grouped heads, llama3 scaled rotary frequencies",
        LlamaForCausalLM,
        llama(rope_parameters=LLAMA3_ROPE, hidden_size=48, num_attention_heads=3,
              num_key_value_heads=1, vocab_size=100),
        task="language_modelling",
        lengths=[2, 5, 12, 7, 130],
    ),
    "llama_lm_llama3_rope_old_keys": Case(
        "As llama_lm_llama3_rope, with rope_theta and rope_scaling as config.json had them before "
        "transformers 5; a sequence of one token, which predicts nothing",
        LlamaForCausalLM,
        llama(rope_parameters=LLAMA3_ROPE, num_attention_heads=2, num_key_value_heads=1,
              vocab_size=100),
        task="language_modelling",
        lengths=[1, 9, 70],
        old_rope_keys=True,
    ),
    "qwen2_classification": Case(
        "Qwen2: biases on q, k and v only, grouped heads",
        Qwen2ForSequenceClassification,
        Qwen2Config(
            vocab_size=120,
            hidden_size=32,
            intermediate_size=56,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            pad_token_id=0,
            num_labels=5,
        ),
    ),
    "bert_classification": Case(
        "BERT, LoRA on every linear layer and the pooler (token types all 0)",
        BertForSequenceClassification,
        bert(),
    ),
    "bert_classification_query_value": Case(
        "BERT, LoRA on query and value only; the frozen pooler lies between them and the head",
        BertForSequenceClassification,
        bert(),
        targets=["query", "value"],
    ),
    "roberta_classification": Case(
        "RoBERTa, positions from pad_token_id + 1 = 2, LoRA on every linear layer of the blocks",
        RobertaForSequenceClassification,
        roberta(RobertaConfig),
        targets=ROBERTA_LINEARS,
        merged=True,
    ),
    "xlm_roberta_classification": Case(
        "XLM-R, positions from pad_token_id + 1 = 1, two token types of which 0 is used",
        XLMRobertaForSequenceClassification,
        roberta(XLMRobertaConfig, pad_token_id=0, type_vocab_size=2, num_labels=3),
        targets=ROBERTA_LINEARS,
    ),
    "gpt2_classification": Case(
        "GPT-2: fused c_attn, Conv1D, learned positions; merged weights too",
        GPT2ForSequenceClassification,
        gpt2(n_embd=32, n_head=4, vocab_size=60),
        merged=True,
    ),
    "gpt2_classification_attention_adapted": Case(
        "GPT-2 with LoRA on c_attn of the second block only, n_inner and another activation",
        GPT2ForSequenceClassification,
        gpt2(n_inner=40, activation_function="relu"),
        targets=["c_attn"],
        lora=dict(layers_to_transform=[1]),
    ),
    "gpt2_lm": Case(
        "GPT-2 language model, output tied to the embedding",
        GPT2LMHeadModel,
        gpt2(),
        task="language_modelling",
        lengths=LM_LENGTHS,
    ),
    "mistral_classification_window": Case(
        "Mistral with a sliding window of 20 tokens",
        MistralForSequenceClassification,
        decoder(MistralConfig, sliding_window=20),
    ),
    "qwen2_classification_window": Case(
        "Qwen2 with a sliding window of 9 tokens in the second and third block",
        Qwen2ForSequenceClassification,
        decoder(Qwen2Config, use_sliding_window=True, sliding_window=9, max_window_layers=1,
                num_hidden_layers=3),
    ),
    "qwen3_classification": Case(
        "Qwen3: norms of queries and keys, head size of its own, yarn; merged weights too",
        Qwen3ForSequenceClassification,
        decoder(Qwen3Config, head_dim=16, rope_parameters=YARN),
        merged=True,
    ),
    "qwen3_lm": Case(
        "Qwen3 language model, tied, biases in attention",
        Qwen3ForCausalLM,
        decoder(Qwen3Config, head_dim=8, attention_bias=True, tie_word_embeddings=True),
        task="language_modelling",
        lengths=LM_LENGTHS,
    ),
    "olmo2_classification": Case(
        "OLMo 2: norms after attention and MLP, norms of all heads' queries and keys",
        Olmo2ForSequenceClassification,
        decoder(Olmo2Config),
    ),
    "olmo2_lm": Case(
        "OLMo 2 language model, own output matrix",
        Olmo2ForCausalLM,
        decoder(Olmo2Config, num_hidden_layers=3),
        task="language_modelling",
        lengths=LM_LENGTHS,
    ),
    "smollm3_classification": Case(
        "SmolLM3: the second of three blocks without rotary positions",
        SmolLM3ForSequenceClassification,
        decoder(SmolLM3Config, num_hidden_layers=3, no_rope_layer_interval=2),
    ),
    "smollm3_lm": Case(
        "SmolLM3 language model, blocks without rotary positions have a window",
        SmolLM3ForCausalLM,
        decoder(SmolLM3Config, num_hidden_layers=3, no_rope_layers=[0, 1, 0],
                use_sliding_window=True, sliding_window=10),
        task="language_modelling",
        lengths=LM_LENGTHS,
    ),
    "gemma3_classification": Case(
        "Gemma 3: pre- and post-norms around one, scaled embeddings, local and global blocks",
        Gemma3TextForSequenceClassification,
        decoder(Gemma3TextConfig, head_dim=12, sliding_window=16, num_hidden_layers=3,
                query_pre_attn_scalar=20,
                layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
    ),
    "gemma3_lm": Case(
        "Gemma 3 language model, tied; linear scaling in the global blocks",
        Gemma3ForCausalLM,
        decoder(Gemma3TextConfig, head_dim=8, sliding_window=9, num_key_value_heads=1,
                layer_types=["sliding_attention", "full_attention"],
                rope_parameters=dict(
                    full_attention=dict(rope_type="linear", rope_theta=1e6, factor=8.0),
                    sliding_attention=dict(rope_type="default", rope_theta=1e4))),
        task="language_modelling",
        lengths=LM_LENGTHS,
    ),
    "phi3_classification": Case(
        "Phi-3: fused qkv and gate_up, a window of 30 tokens; merged weights too",
        Phi3ForSequenceClassification,
        decoder(Phi3Config, sliding_window=30, intermediate_size=64),
        merged=True,
    ),
    "phi3_lm_longrope": Case(
        "Phi-3 language model, LongRoPE over half of the channels: one sequence beyond the original "
        "40 positions",
        Phi3ForCausalLM,
        decoder(Phi3Config, rope_parameters=PHI3_LONG_ROPE, original_max_position_embeddings=40),
        task="language_modelling",
        lengths=LM_LENGTHS,
    ),
    "distilbert_classification": Case(
        "DistilBERT, LoRA on every linear layer of the blocks; the head's dense layer is trained",
        DistilBertForSequenceClassification,
        DistilBertConfig(vocab_size=110, dim=24, hidden_dim=52, n_layers=2, n_heads=3,
                         max_position_embeddings=144, pad_token_id=0, num_labels=6),
        targets=["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"],
        lora=dict(modules_to_save=["pre_classifier", "classifier"]),
        merged=True,
    ),
    "modernbert_classification": Case(
        "ModernBERT: local blocks of 16 tokens, GeGLU, norms without biases, pooled at the first token",
        ModernBertForSequenceClassification,
        ModernBertConfig(vocab_size=110, hidden_size=24, intermediate_size=36, num_hidden_layers=4,
                         num_attention_heads=3, max_position_embeddings=256, local_attention=16,
                         pad_token_id=0, num_labels=6),
        merged=True,
    ),
    "modernbert_classification_mean": Case(
        "ModernBERT pooled over all tokens, LoRA on attention only",
        ModernBertForSequenceClassification,
        ModernBertConfig(vocab_size=110, hidden_size=24, intermediate_size=36, num_hidden_layers=2,
                         num_attention_heads=3, max_position_embeddings=256, local_attention=8,
                         classifier_pooling="mean", pad_token_id=0, num_labels=4),
        targets=["Wqkv", "Wo"],
    ),
    "vit_classification": Case(
        "ViT on grey images of 12 x 12 pixels, LoRA on every linear layer of the blocks",
        ViTForImageClassification,
        vit(num_labels=6),
        targets=VIT_LINEARS,
        lora=dict(modules_to_save=["classifier"]),
        lengths=[10] * 3,
        merged=True,
    ),
    "vit_multi_label": Case(
        "ViT on images of three channels, no biases of query, key and value, LoRA on query and value",
        ViTForImageClassification,
        vit(num_labels=5, num_channels=3, image_size=10, patch_size=5, qkv_bias=False,
            problem_type="multi_label_classification"),
        task="multi_label_classification",
        targets=["q_proj", "v_proj"],
        lora=dict(modules_to_save=["classifier"]),
        lengths=[5] * 3,
    ),
    "bert_multi_label": Case(
        "BERT with the pooler, seven labels of which a sequence may have any",
        BertForSequenceClassification,
        bert(num_labels=7, problem_type="multi_label_classification"),
        task="multi_label_classification",
    ),
    "llama_multi_label": Case(
        "Llama, forty labels, more than the lanes of a sum",
        LlamaForSequenceClassification,
        llama(num_labels=40, problem_type="multi_label_classification"),
        task="multi_label_classification",
    ),
    "modernbert_multi_label": Case(
        "ModernBERT pooled over all tokens, three labels",
        ModernBertForSequenceClassification,
        ModernBertConfig(vocab_size=110, hidden_size=24, intermediate_size=36, num_hidden_layers=2,
                         num_attention_heads=3, max_position_embeddings=256, local_attention=8,
                         classifier_pooling="mean", pad_token_id=0, num_labels=3,
                         problem_type="multi_label_classification"),
        task="multi_label_classification",
    ),
    "gpt2_regression": Case(
        "GPT-2, a score",
        GPT2ForSequenceClassification,
        gpt2(num_labels=1, problem_type="regression"),
        task="regression",
    ),
    "roberta_regression": Case(
        "RoBERTa, a score, the head's dense layer trained",
        RobertaForSequenceClassification,
        roberta(RobertaConfig, num_labels=1, problem_type="regression"),
        task="regression",
        targets=ROBERTA_LINEARS,
    ),
    "bert_lm": Case(
        "BERT as a decoder (causal mask), language model, output tied to the embedding plus bias",
        BertLMHeadModel,
        bert(is_decoder=True, vocab_size=100),
        task="language_modelling",
        targets=["query", "key", "value", "attention.output.dense", "intermediate.dense",
                 "output.dense"],
        lengths=[2, 5, 12, 7, 130],
    ),
}


def save_base(case: Case, directory: Path, rng):
    torch.manual_seed(0)
    model = case.model(case.config)
    randomize_base_weights(model, rng, 0.3 if case.task == "language_modelling" else 1.0)
    options = {} if case.shard_size is None else {"max_shard_size": case.shard_size}
    model.to(case.dtype).save_pretrained(directory, **options)
    (directory / "generation_config.json").unlink(missing_ok=True)
    if case.old_rope_keys:
        path = directory / "config.json"
        config = json.loads(path.read_text())
        rope = config.pop("rope_parameters")
        config["rope_theta"] = rope.pop("rope_theta")
        config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def save_adapter(case: Case, directory: Path, rng):
    task_type = "CAUSAL_LM" if case.task == "language_modelling" else "SEQ_CLS"
    lora = dict(r=4, lora_alpha=6, lora_dropout=0.0, target_modules=case.targets)
    config = LoraConfig(task_type=task_type, **{**lora, **case.lora})
    model = get_peft_model(load_base(directory, case.task), config)
    randomize_adapter(model, rng)
    save_adapter_directory(model, directory / "adapter")


def padded_logits(model, sequences, task):
    """All sequences as one batch, padded on the right with the pad token, which no sequence contains."""
    if sequences[0].dim() == 3:
        return model(pixel_values=torch.stack(sequences).to(model.dtype)).logits
    pad = model.config.pad_token_id
    tokens = torch.nn.utils.rnn.pad_sequence(
        [s.long() for s in sequences], batch_first=True, padding_value=pad
    )
    logits = model(input_ids=tokens, attention_mask=(tokens != pad).long()).logits
    if task != "language_modelling":
        return logits
    return torch.cat([row[: len(s)] for row, s in zip(logits, sequences)])


def logits_loss_gradients(model, sequences, labels, task):
    model.zero_grad()
    logits = sequence_logits(model, sequences, task)
    loss = batch_loss(logits, sequences, labels, task)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in trainable_parameters(model).items()}
    return logits.detach(), loss.detach(), gradients


def inputs(case: Case, rng):
    """Sequences of random tokens, or random images."""
    config = case.config
    if isinstance(config, ViTConfig):
        shape = (config.num_channels, config.image_size, config.image_size)
        return [torch.randn(shape, generator=rng) for _ in case.lengths]
    first = config.pad_token_id + 1
    return [torch.randint(first, config.vocab_size, (n,), generator=rng, dtype=torch.int32)
            for n in case.lengths]


def make(name: str, case: Case):
    directory = HERE / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    rng = generator(name)
    save_base(case, directory, rng)
    save_adapter(case, directory, rng)

    sequences = inputs(case, rng)
    labels = None
    if case.task == "classification":
        labels = torch.randint(0, case.config.num_labels, (len(sequences),), generator=rng,
                               dtype=torch.int32)
    elif case.task == "multi_label_classification":
        labels = torch.randint(0, 2, (len(sequences), case.config.num_labels), generator=rng,
                               dtype=torch.uint8)
    elif case.task == "regression":
        labels = torch.randn(len(sequences), generator=rng)

    model = load_with_adapter(directory, directory / "adapter", case.task)
    check_adapter_names(model, directory / "adapter")
    single = logits_loss_gradients(model, sequences, labels, case.task)
    model = in_double_precision(load_with_adapter(directory, directory / "adapter", case.task))
    logits, loss, gradients = logits_loss_gradients(model, sequences, labels, case.task)
    with torch.no_grad():
        padded = largest_relative_error(padded_logits(model, sequences, case.task), logits)
    # With LongRoPE the longest sequence of a padded batch decides for all; here each by itself does.
    rope = getattr(case.config, "rope_parameters", None) or {}
    is_same_padded = rope.get("rope_type") != "longrope"
    assert logits.dtype == torch.float64, (name, logits.dtype)
    assert not is_same_padded or padded < 1e-12, (name, padded)
    zero = [n for n, g in gradients.items() if g.abs().max() == 0]
    assert not zero, (name, zero)

    tensors = {
        **(
            {"pixel_values": torch.stack(sequences)}
            if sequences[0].dim() == 3
            else {"tokens": torch.cat(sequences),
                  "offsets": torch.tensor([0, *case.lengths]).cumsum(0)}
        ),
        "logits": logits.float(),
        "loss": loss.float().reshape(1),
        **{f"gradient.{n}": g.float().contiguous() for n, g in gradients.items()},
    }
    if labels is not None:
        tensors[TARGETS[case.task]] = labels
    with torch.no_grad():
        merged_model = model.merge_and_unload()
        merged = sequence_logits(merged_model, sequences, case.task)
        assert largest_relative_error(merged, logits) < 1e-6, name
    if case.merged:
        tensors["merged_logits"] = merged.float()
        merged_weights = {n: p.float().contiguous() for n, p in merged_model.state_dict().items()}
        save_file(merged_weights, directory / "merged.safetensors")
    save_file(tensors, directory / "golden.safetensors")

    record = {
        "description": case.description,
        "task": case.task,
        "pooling": case.pooling,
        "sequence_lengths": case.lengths,
        "trainable_parameters": sum(g.numel() for g in gradients.values()),
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "torch": torch.__version__,
        "float32_error": {
            "note": "what PyTorch in float32 deviates from this float64 golden, relative to the "
            "largest magnitude of the tensor (for gradients: the worst tensor)",
            "logits": largest_relative_error(single[0], logits),
            "loss": largest_relative_error(single[1], loss),
            "gradients": max(largest_relative_error(single[2][n], g) for n, g in gradients.items()),
        },
    }
    (directory / "golden.json").write_text(json.dumps(record, indent=2) + "\n")
    size = sum(f.stat().st_size for f in directory.rglob("*") if f.is_file())
    print(f"{name}: {size / 1e3:.0f} KB, loss {loss.item():.4f}, padded {padded:.1e}, "
          f"float32 logits {record['float32_error']['logits']:.1e} "
          f"gradients {record['float32_error']['gradients']:.1e}")
    if size > 400e3:
        raise SystemExit(f"{name} is {size} bytes, more than 400 000")
    # Everything written can be read again.
    load_file(directory / "golden.safetensors")


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        make(name, CASES[name])
