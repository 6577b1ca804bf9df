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
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
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
LLAMA_LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# Those of the blocks: all-linear would take the head's dense layer too.
ROBERTA_LINEARS = ["query", "key", "value", "attention.output.dense", "intermediate.dense",
                   "output.dense"]


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
        if self.task != "classification":
            return "none"
        if self.model is BertForSequenceClassification:
            return "pooler"
        return "first" if self.targets is ROBERTA_LINEARS else "last"


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
    task_type = "SEQ_CLS" if case.task == "classification" else "CAUSAL_LM"
    lora = dict(r=4, lora_alpha=6, lora_dropout=0.0, target_modules=case.targets)
    config = LoraConfig(task_type=task_type, **{**lora, **case.lora})
    model = get_peft_model(load_base(directory, case.task), config)
    randomize_adapter(model, rng)
    save_adapter_directory(model, directory / "adapter")


def padded_logits(model, sequences, task):
    """All sequences as one batch, padded on the right with the pad token, which no sequence contains."""
    pad = model.config.pad_token_id
    tokens = torch.nn.utils.rnn.pad_sequence(
        [s.long() for s in sequences], batch_first=True, padding_value=pad
    )
    logits = model(input_ids=tokens, attention_mask=(tokens != pad).long()).logits
    if task == "classification":
        return logits
    return torch.cat([row[: len(s)] for row, s in zip(logits, sequences)])


def logits_loss_gradients(model, sequences, labels, task):
    model.zero_grad()
    logits = sequence_logits(model, sequences, task)
    loss = batch_loss(logits, sequences, labels, task)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in trainable_parameters(model).items()}
    return logits.detach(), loss.detach(), gradients


def make(name: str, case: Case):
    directory = HERE / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    rng = generator(name)
    save_base(case, directory, rng)
    save_adapter(case, directory, rng)

    vocabulary = case.config.vocab_size
    first = case.config.pad_token_id + 1
    sequences = [torch.randint(first, vocabulary, (n,), generator=rng, dtype=torch.int32)
                 for n in case.lengths]
    labels = None
    if case.task == "classification":
        labels = torch.randint(0, case.config.num_labels, (len(sequences),), generator=rng,
                               dtype=torch.int32)

    model = load_with_adapter(directory, directory / "adapter", case.task)
    check_adapter_names(model, directory / "adapter")
    single = logits_loss_gradients(model, sequences, labels, case.task)
    model = in_double_precision(load_with_adapter(directory, directory / "adapter", case.task))
    logits, loss, gradients = logits_loss_gradients(model, sequences, labels, case.task)
    with torch.no_grad():
        padded = largest_relative_error(padded_logits(model, sequences, case.task), logits)
    assert logits.dtype == torch.float64 and padded < 1e-12, (name, logits.dtype, padded)
    zero = [n for n, g in gradients.items() if g.abs().max() == 0]
    assert not zero, (name, zero)

    tensors = {
        "tokens": torch.cat(sequences),
        "offsets": torch.tensor([0, *case.lengths]).cumsum(0),
        "logits": logits.float(),
        "loss": loss.float().reshape(1),
        **{f"gradient.{n}": g.float().contiguous() for n, g in gradients.items()},
    }
    if labels is not None:
        tensors["labels"] = labels
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
