"""A Llama-type GGUF file turned into a Hugging Face model directory, without torch.

Weights: dequantized to F32 by the `gguf` library. llama.cpp stores the rows of the query and key
matrices for interleaved rotary pairs (2i, 2i+1) where Hugging Face's layout has halves (i, i +
D/2), so those rows are permuted back. Tokenizer: byte-level BPE from the file's tokens and
merges.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, ReaderTensor, dequantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from . import safetensors_file
from .errors import PrepareError, naming, one_line

CONTROL = 3
"""llama.cpp's token type of a special token."""

TOP_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def convert(gguf: Path, folder: Path) -> dict[str, int]:
    """Writes config, weights and tokenizer of a GGUF file into a folder; returns counts."""
    try:
        return _convert(gguf, folder)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The library has no error of its own: a damaged file is any of these, wherever it is read.
        raise PrepareError(
            f"{gguf.name} is no readable GGUF file: {type(error).__name__}: {one_line(error)}; "
            "download it again"
        ) from error


def _convert(gguf: Path, folder: Path) -> dict[str, int]:
    """`convert`, with the errors of whatever is wrong with the file."""
    with naming(gguf):
        reader = GGUFReader(gguf)
    fields = reader.fields

    def value(name: str, default: Any = None) -> Any:
        return fields[name].contents() if name in fields else default

    architecture = value("general.architecture")
    if architecture != "llama":
        raise PrepareError(f"{gguf.name}: architecture {architecture!r}, expected 'llama'")
    tied = all(tensor.name != "output.weight" for tensor in reader.tensors)
    config = llama_config(value, tied)
    parameters = _write_weights(reader, config, folder)
    _write_json(folder / "config.json", config)
    generation = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    _write_json(folder / "generation_config.json", generation)
    _write_tokenizer(value, config, folder)
    return {"tensors": len(reader.tensors), "parameters": parameters}


def llama_config(value: Any, tied: bool) -> dict[str, Any]:
    """config.json from GGUF metadata; `value(name, default)` reads one entry."""
    heads = value("llama.attention.head_count")
    width = value("llama.embedding_length")
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": value("tokenizer.ggml.bos_token_id"),
        "dtype": "float32",
        "eos_token_id": value("tokenizer.ggml.eos_token_id"),
        "head_dim": value("llama.rope.dimension_count", width // heads),
        "hidden_act": "silu",
        "hidden_size": width,
        "initializer_range": 0.02,
        "intermediate_size": value("llama.feed_forward_length"),
        "max_position_embeddings": value("llama.context_length"),
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": value("llama.block_count"),
        "num_key_value_heads": value("llama.attention.head_count_kv", heads),
        "pad_token_id": value("tokenizer.ggml.padding_token_id"),
        "rms_norm_eps": _shortest(value("llama.attention.layer_norm_rms_epsilon")),
        "rope_scaling": None,
        "rope_theta": _shortest(value("llama.rope.freq_base", 10000.0)),
        "tie_word_embeddings": tied,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": value("llama.vocab_size", len(value("tokenizer.ggml.tokens"))),
    }


def _shortest(number: float) -> float:
    """The shortest decimal that is the same single-precision number: 1e-05, not 9.99999974e-06."""
    return float(str(np.float32(number)))


def hugging_face_name(name: str) -> str:
    """blk.7.attn_q.weight -> model.layers.7.self_attn.q_proj.weight"""
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    parts = name.split(".")
    if len(parts) == 4 and parts[0] == "blk" and parts[2] in BLOCK_NAMES and parts[3] == "weight":
        return f"model.layers.{parts[1]}.{BLOCK_NAMES[parts[2]]}.weight"
    raise PrepareError(f"GGUF tensor {name!r} is not part of a plain Llama model")


def halves_from_interleaved(rows: np.ndarray, heads: int) -> np.ndarray:
    """Undoes llama.cpp's rotary layout: within each head, rows 0 2 4 ... come first, then 1 3 5 ...

    `rows` is (heads * D, C).
    """
    by_pair = rows.reshape(heads, -1, 2, rows.shape[-1])
    return by_pair.swapaxes(1, 2).reshape(rows.shape)


def _values(tensor: ReaderTensor, config: dict[str, Any]) -> np.ndarray:
    """A tensor as F32 in Hugging Face's layout."""
    values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
    if tensor.name.endswith("attn_q.weight"):
        return halves_from_interleaved(values, config["num_attention_heads"])
    if tensor.name.endswith("attn_k.weight"):
        return halves_from_interleaved(values, config["num_key_value_heads"])
    return values


def _write_weights(reader: GGUFReader, config: dict[str, Any], folder: Path) -> int:
    """model.safetensors in F32; returns the number of parameters."""
    tensors = {}
    for tensor in reader.tensors:
        shape = tuple(reversed([int(size) for size in tensor.shape]))
        tensors[hugging_face_name(tensor.name)] = safetensors_file.Tensor(
            "float32", shape, lambda tensor=tensor: _values(tensor, config)
        )
    safetensors_file.write(folder / "model.safetensors", tensors, {"format": "pt"})
    return sum(tensor.bytes // 4 for tensor in tensors.values())


PRE_TOKENIZERS = {
    # Every digit on its own, then GPT-2's pattern: what SmolLM's vocabulary was learned with.
    "smollm": lambda: pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    ),
    "gpt-2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
}


def byte_level_tokenizer(
    tokens: list[str], merges: list[str], special: list[str], kind: str
) -> Tokenizer:
    """A byte-level BPE tokenizer; `kind` is the GGUF file's name for how text is split first."""
    if kind not in PRE_TOKENIZERS:
        known = ", ".join(sorted(PRE_TOKENIZERS))
        raise PrepareError(f"GGUF pre-tokenizer {kind!r} is not known here ({known})")
    vocabulary = {token: index for index, token in enumerate(tokens)}
    pairs = [tuple(merge.split(" ")) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    tokenizer.pre_tokenizer = PRE_TOKENIZERS[kind]()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in special])
    return tokenizer


def _write_tokenizer(value: Any, config: dict[str, Any], folder: Path) -> None:
    """tokenizer.json and the two files that transformers reads beside it."""
    model = value("tokenizer.ggml.model")
    if model != "gpt2":
        raise PrepareError(f"GGUF tokenizer {model!r}: only byte-level BPE ('gpt2') is read")
    tokens = value("tokenizer.ggml.tokens")
    types = value("tokenizer.ggml.token_type", [])
    special = [token for token, kind in zip(tokens, types) if kind == CONTROL]
    tokenizer = byte_level_tokenizer(
        tokens, value("tokenizer.ggml.merges"), special, value("tokenizer.ggml.pre", "gpt-2")
    )
    path = folder / "tokenizer.json"
    with naming(path):
        path.write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    ids = {
        "bos_token": config["bos_token_id"],
        "eos_token": config["eos_token_id"],
        "pad_token": config["pad_token_id"],
        "unk_token": value("tokenizer.ggml.unknown_token_id"),
    }
    named = {name: tokens[index] for name, index in ids.items() if index is not None}
    _write_json(folder / "special_tokens_map.json", named)
    settings: dict[str, Any] = {
        "add_bos_token": bool(value("tokenizer.ggml.add_bos_token", False)),
        "clean_up_tokenization_spaces": False,
        **named,
        "model_max_length": config["max_position_embeddings"],
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    template = value("tokenizer.chat_template")
    if template:
        settings["chat_template"] = template
    _write_json(folder / "tokenizer_config.json", settings)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    """Indented JSON with a final newline."""
    with naming(path):
        path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
