"""The tensors of GGUF files of the golden models and adapters, as llama.cpp's converters write them.

    python make_exports.py

Writes `exports.json`: for each case of Tests/Goldens/transformers the name of llama.cpp's architecture, and
of each tensor of the adapter's file and of the model's file one line: name, shape, number format and the
beginning of the SHA-256 of its bytes. Names are from PyPI's `gguf` (its table for llama.cpp's converters), changes of values are
written here again, from llama.cpp's conversion/*.py. The model is the pretrained one, without an adapter:
then no sum is rounded.

Differences from llama.cpp's converter of adapters, which is wrong there: it exchanges A and B of GPT-2,
and writes lora_alpha where LoRA is scaled by alpha / sqrt(r), although llama.cpp divides by r.
"""

import hashlib
import json
import math
from pathlib import Path

import gguf
import torch
from safetensors.torch import load_file

HERE = Path(__file__).resolve().parent
CASES = HERE.parent / "transformers"
ARCHITECTURES = {
    "bert": gguf.MODEL_ARCH.BERT,
    "distilbert": gguf.MODEL_ARCH.BERT,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "modernbert": gguf.MODEL_ARCH.MODERN_BERT,
    "olmo2": gguf.MODEL_ARCH.OLMO2,
    "phi3": gguf.MODEL_ARCH.PHI3,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "roberta": gguf.MODEL_ARCH.BERT,
    "smollm3": gguf.MODEL_ARCH.SMOLLM3,
    "xlm-roberta": gguf.MODEL_ARCH.BERT,
}
# LlamaModel.undo_permute.
PERMUTED = {"llama", "mistral", "smollm3"}
# What llama.cpp's converters take off the names of these.
PREFIXES = {"bert": "bert.", "distilbert": "distilbert.", "modernbert": "model.", "roberta": "roberta.",
            "xlm-roberta": "roberta."}
# Values that llama.cpp computes as transformers does, for goldens with others.
CHANGES = {
    "gemma3_lm": {"layer_types": ["sliding_attention"] * 2, "query_pre_attn_scalar": 8},
    "qwen3_classification": {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}},
    "smollm3_lm": {"no_rope_layers": [1, 1, 1], "use_sliding_window": False, "layer_types": None},
}
TYPES = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}


def is_outside(name):
    """Heads and poolers, which no converter here writes; a language head of a decoder is written."""
    return name.startswith(("classifier", "score", "pooler", "pre_classifier", "cls.", "vocab_", "head.",
                            "decoder.", "bert.pooler", "lm_head.dense", "lm_head.layer_norm",
                            "lm_head.bias", "lm_head.decoder"))


class Names:
    """llama.cpp's names of one model's tensors."""

    def __init__(self, config):
        self.type = config["model_type"]
        layers = next(config[key] for key in ("num_hidden_layers", "n_layer", "n_layers") if key in config)
        self.map = gguf.get_tensor_name_map(ARCHITECTURES[self.type], layers)

    def __call__(self, name):
        """nil if llama.cpp has no such tensor."""
        name = name.removeprefix(PREFIXES.get(self.type, ""))
        if is_outside(name):
            return None
        found = self.map.get_name(name, try_suffixes=(".weight", ".bias"))
        assert found is not None, name
        return found


def permute(rows, heads):
    """LlamaModel.permute."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def permuted(rows, name, config):
    if config["model_type"] not in PERMUTED:
        return rows
    if ".attn_q." in name:
        return permute(rows, config["num_attention_heads"])
    if ".attn_k." in name:
        return permute(rows, config["num_key_value_heads"])
    return rows


def described(name, tensor):
    data = tensor.contiguous().view(torch.uint8).numpy().tobytes()
    shape = "x".join(str(size) for size in tensor.shape)
    return f"{name} {shape} {TYPES[tensor.dtype]} {hashlib.sha256(data).hexdigest()[:16]}"


def adapter(case, config, names):
    factors = load_file(case / "adapter" / "adapter_model.safetensors")
    lora = json.loads((case / "adapter" / "adapter_config.json").read_text())
    tensors, left_out = [], []
    for name, tensor in factors.items():
        base = name.removeprefix("base_model.model.")
        if ".lora_A." not in base:
            if ".lora_B." not in base:
                left_out.append(base.rsplit(".", 1)[0])
            continue
        module = base.removesuffix(".lora_A.weight")
        target = names(module + ".weight")
        if target is None:
            left_out.append(module)
            continue
        b = factors[name.replace(".lora_A.", ".lora_B.")]
        tensors.append(described(target + ".lora_a", tensor))
        tensors.append(described(target + ".lora_b", permuted(b, target, config)))
    rank = lora["r"]
    alpha = lora["lora_alpha"] * (math.sqrt(rank) if lora["use_rslora"] else 1)
    return {"alpha": alpha, "tensors": tensors, "left_out": sorted(set(left_out))}


def model(case, config, names):
    weights = {}
    for file in sorted(case.glob("model*.safetensors")):
        weights |= load_file(file)
    tensors = []
    for name, tensor in weights.items():
        target = names(name)
        if target is None:
            continue
        if target == "output.weight" and config.get("tie_word_embeddings"):
            continue
        if config["model_type"] == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            tensor = tensor.T
        tensor = permuted(tensor, target, config)
        if target == "position_embd.weight" and config["model_type"] in ("roberta", "xlm-roberta"):
            tensor = tensor[config["pad_token_id"] + 1:]
        if tensor.dim() == 1 or target in ("position_embd.weight", "token_types.weight"):
            tensor = tensor.float()
        if config["model_type"] == "gemma3_text" and name.endswith("norm.weight"):
            tensor = tensor + 1
        tensors.append(described(target, tensor))
    return tensors


def main():
    found = {}
    for case in sorted(CASES.iterdir()):
        if not (case / "golden.safetensors").exists():
            continue
        config = json.loads((case / "config.json").read_text())
        names = Names(config)
        found[case.name] = {
            "architecture": gguf.MODEL_ARCH_NAMES[ARCHITECTURES[config["model_type"]]],
            "changes": CHANGES.get(case.name, {}),
            "adapter": adapter(case, config, names),
            "model": model(case, config, names),
        }
    text = json.dumps(found, indent=0, sort_keys=True)
    (HERE / "exports.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
