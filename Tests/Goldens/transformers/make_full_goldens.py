"""Gradients of every weight of the tiny models (full fine-tuning), by transformers and autograd.

For each case that make_goldens.py made: its model without any adapter, on the sequences and labels of
its golden.safetensors, in float64. Writes full.safetensors into the case's folder: `logits`, `loss` and
`gradient.NAME` F32, NAME as in model.safetensors; a weight that is used twice once, with the sum.

    python make_full_goldens.py [CASE ...]
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from reference_model import (  # noqa: E402
    batch_loss,
    golden_inputs,
    in_double_precision,
    load_base,
    sequence_logits,
)

CASES = [
    "bert_classification",
    "bert_lm",
    "bert_multi_label",
    "distilbert_classification",
    "gemma3_classification",
    "gemma3_lm",
    "gpt2_classification",
    "gpt2_lm",
    "gpt2_regression",
    "llama_classification_bf16",
    "llama_classification_biases",
    "llama_classification_gqa",
    "llama_lm_llama3_rope",
    "llama_lm_tied",
    "modernbert_classification",
    "olmo2_classification",
    "phi3_classification",
    "phi3_lm_longrope",
    "qwen2_classification",
    "qwen3_classification",
    "qwen3_lm",
    "roberta_classification",
    "smollm3_lm",
    "vit_classification",
]
# transformers ties the two; the file has the first.
ALIASES = {"cls.predictions.decoder.bias": "cls.predictions.bias"}


def make(name):
    directory = HERE / name
    golden = load_file(directory / "golden.safetensors")
    task = json.loads((directory / "golden.json").read_text())["task"]
    sequences = golden_inputs(golden)
    model = in_double_precision(load_base(directory, task))
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    logits = sequence_logits(model, sequences, task)
    loss = batch_loss(logits, sequences, next((golden[name] for name in ("labels", "label_sets", "scores") if name in golden), None), task)
    loss.backward()
    gradients = {ALIASES.get(n, n): p.grad for n, p in model.named_parameters()}
    missing = [n for n, g in gradients.items() if g is None]
    assert logits.dtype == torch.float64 and not missing, (name, missing)
    save_file(
        {
            "logits": logits.detach().float(),
            "loss": loss.detach().float().reshape(1),
            **{f"gradient.{n}": g.float().contiguous() for n, g in gradients.items()},
        },
        directory / "full.safetensors",
    )
    vanishing = [n for n, g in gradients.items() if g.abs().max() < 1e-12]
    print(f"{name}: {sum(g.numel() for g in gradients.values())} weights in {len(gradients)} "
          f"tensors, loss {loss.item():.4f}, zero by symmetry: {vanishing}")


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        make(name)
