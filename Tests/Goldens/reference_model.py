"""Hugging Face models as a reference in float64: loading, exactness, random weights, PEFT names.

`model.double()` alone is not float64: the RMS norms and the rotary tables of transformers round to
float32 inside. `in_double_precision` replaces those two, so that a golden is exact to about 1e-15
before it is rounded to the F32 it is stored as. The rotary frequencies stay the float32 values that
transformers computes, since they belong to the definition of the model.
"""

import json
import math
import types
import zlib
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from peft import PeftModel
from safetensors.torch import load_file
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    BertLMHeadModel,
)

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()


def generator(name: str) -> torch.Generator:
    """A random stream that depends on the name of the case only."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def randomize_base_weights(model, rng, embedding_scale=1.0):
    """Every weight random and of a size that keeps attention and activations far from trivial."""
    with torch.no_grad():
        seen = set()
        for name, parameter in model.named_parameters():
            if parameter.data_ptr() in seen:
                continue
            seen.add(parameter.data_ptr())
            noise = torch.randn(parameter.shape, generator=rng)
            if ("norm" in name.lower() or ".ln_" in name) and name.endswith("weight"):
                parameter.copy_(1 + 0.2 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(0.2 * noise)
            elif "embed" in name:
                parameter.copy_(embedding_scale * noise)
            else:
                parameter.copy_(noise / math.sqrt(parameter.shape[1]))


def randomize_adapter(model, rng, b_scale=0.3):
    """LoRA A, LoRA B and the head random and non-zero, so that every gradient is non-zero."""
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if not parameter.requires_grad:
                continue
            noise = torch.randn(parameter.shape, generator=rng)
            if "lora_B" in name:
                parameter.copy_(b_scale * noise)
            elif parameter.dim() == 1:
                parameter.copy_(0.2 * noise)
            else:
                parameter.copy_(noise / math.sqrt(parameter.shape[1]))


def load_base(directory, task: str, label_count: int | None = None):
    """The base model of a directory in float32, as PEFT wants it below an adapter."""
    directory = Path(directory)
    options = {"dtype": torch.float32, "attn_implementation": "sdpa"}
    kind = json.loads((directory / "config.json").read_text())["model_type"]
    if kind == "vit":
        return AutoModelForImageClassification.from_pretrained(directory, **options).eval()
    if task != "language_modelling":
        if label_count is not None:
            options.update(num_labels=label_count, ignore_mismatched_sizes=True)
        model = AutoModelForSequenceClassification.from_pretrained(directory, **options)
        if model.config.pad_token_id is None:
            model.config.pad_token_id = 0
    elif kind == "bert":
        model = BertLMHeadModel.from_pretrained(directory, **options)
    else:
        model = AutoModelForCausalLM.from_pretrained(directory, **options)
    return model.eval()


def load_with_adapter(directory, adapter_directory, task: str, label_count: int | None = None):
    """Base model and PEFT adapter, trainable, in eval mode (no dropout anywhere)."""
    base = load_base(directory, task, label_count)
    return PeftModel.from_pretrained(base, adapter_directory, is_trainable=True).eval()


def save_adapter_directory(model, directory):
    """PEFT's own files, without the model card, the base model's path and the random set order."""
    directory = Path(directory)
    model.save_pretrained(directory)
    (directory / "README.md").unlink(missing_ok=True)
    path = directory / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = ""
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def peft_tensor_name(parameter_name: str) -> str:
    """A live parameter's name -> its name in adapter_model.safetensors."""
    return parameter_name.replace(".modules_to_save.default", "").replace(".default", "")


def trainable_parameters(model) -> dict[str, torch.nn.Parameter]:
    """Trainable parameters by their names in adapter_model.safetensors."""
    return {
        peft_tensor_name(name): parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def check_adapter_names(model, adapter_directory):
    """What is trained is what PEFT saved, name by name."""
    saved = set(load_file(Path(adapter_directory) / "adapter_model.safetensors"))
    live = set(trainable_parameters(model))
    if saved != live:
        raise SystemExit(f"{adapter_directory}: saved and trained tensors differ: {saved ^ live}")


def golden_inputs(golden):
    """The sequences of a golden, each a vector of tokens or an image (channels, rows, columns)."""
    if "pixel_values" in golden:
        return list(golden["pixel_values"])
    offsets = golden["offsets"].tolist()
    return [golden["tokens"][a:b] for a, b in zip(offsets, offsets[1:])]


def model_inputs(model, s):
    """One sequence or image as the model takes it."""
    if s.dim() == 3:
        return {"pixel_values": s[None].to(model.dtype)}
    return {
        "input_ids": s[None].long(),
        "attention_mask": torch.ones(1, len(s), dtype=torch.long),
    }


def sequence_logits(model, sequences, task):
    """Each sequence by itself, nothing padded; (sequences, labels) or (tokens, vocabulary)."""
    logits = [model(**model_inputs(model, s)).logits[0] for s in sequences]
    return torch.cat(logits) if task == "language_modelling" else torch.stack(logits)


def batch_loss(logits, sequences, labels, task):
    """Mean over sequences (and labels, where there are several); for language models mean over all predicted tokens of the batch."""
    if task == "classification":
        return F.cross_entropy(logits, labels.long())
    if task == "multi_label_classification":
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
    if task == "regression":
        return F.mse_loss(logits.squeeze(-1), labels.to(logits.dtype))
    rows, targets, start = [], [], 0
    for s in sequences:
        rows.append(logits[start : start + len(s) - 1])
        targets.append(s[1:].long())
        start += len(s)
    return F.cross_entropy(torch.cat(rows), torch.cat(targets))


def in_double_precision(model):
    """The model in float64, its RMS norms and rotary tables included."""

    def rms_norm(self, hidden):
        variance = hidden.pow(2).mean(-1, keepdim=True)
        return self.weight * (hidden * torch.rsqrt(variance + self.variance_epsilon))

    def rms_norm_around_one(self, hidden):
        variance = hidden.pow(2).mean(-1, keepdim=True)
        return (1 + self.weight) * (hidden * torch.rsqrt(variance + self.eps))

    def rotary(self, x, position_ids, layer_type=None):
        prefix = "" if layer_type is None else layer_type + "_"
        frequencies = getattr(self, prefix + "inv_freq")
        if layer_type is None and self.rope_type == "longrope":
            # Chosen by the length of the sequence, as dynamic_rope_update does.
            frequencies, _ = ROPE_INIT_FUNCTIONS["longrope"](
                self.config, seq_len=int(position_ids.max()) + 1)
        scaling = getattr(self, prefix + "attention_scaling")
        angles = position_ids[..., None].to(x.dtype) * frequencies.to(x.dtype)
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos() * scaling, angles.sin() * scaling

    model = model.double()
    for module in model.modules():
        kind = type(module).__name__
        if kind.startswith("Gemma") and kind.endswith("RMSNorm"):
            module.forward = types.MethodType(rms_norm_around_one, module)
        elif kind.endswith("RMSNorm"):
            module.forward = types.MethodType(rms_norm, module)
        elif kind.endswith("RotaryEmbedding"):
            module.forward = types.MethodType(rotary, module)
    return model


def largest_relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """max |found - expected| / max |expected|."""
    scale = expected.double().abs().max().item()
    return (found.double() - expected.double()).abs().max().item() / max(scale, 1e-300)
