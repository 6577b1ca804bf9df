"""Logits, loss and gradients of a real model with a random adapter, for tests too large to commit.

    python make_real.py MODEL_DIRECTORY OUTPUT_DIRECTORY [--task language_modelling] [--labels 20]

writes `adapter/` (PEFT, r=16, all linear layers, head of `--labels` outputs), `golden.safetensors`
(`tokens`, `offsets`, `labels`, `logits`, `loss`; `gradient.NAME` for the first and last adapted
layer, the pooler and the head; `gradient_norm.NAME` F32 [1] for every trained tensor) and
`golden.json`. Computed in float64, each sequence by itself. For a language model the logits are
those of the last token of each sequence.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from reference_model import (  # noqa: E402
    batch_loss,
    check_adapter_names,
    generator,
    in_double_precision,
    load_base,
    load_with_adapter,
    randomize_adapter,
    save_adapter_directory,
    sequence_logits,
    trainable_parameters,
)

LENGTHS = [2, 3, 8, 17, 33, 64, 5, 20]


def save_adapter(arguments, rng):
    base = load_base(arguments.model, arguments.task, arguments.labels)
    classification = arguments.task == "classification"
    targets = "all-linear"
    if base.config.model_type == "bert" and not classification:
        targets = ["query", "key", "value", "attention.output.dense", "intermediate.dense",
                   "output.dense"]
    model = get_peft_model(base, LoraConfig(
        task_type="SEQ_CLS" if classification else "CAUSAL_LM",
        r=16, lora_alpha=16, lora_dropout=0.0, target_modules=targets))
    randomize_adapter(model, rng, b_scale=0.02)
    save_adapter_directory(model, arguments.output / "adapter")
    return base.config.vocab_size, base.config.pad_token_id


def draw_sequences(vocabulary, pad_token, rng):
    """Random tokens, never the padding token, which would end a sequence for transformers."""
    sequences = []
    for length in LENGTHS:
        tokens = torch.randint(3, vocabulary - 1, (length,), generator=rng, dtype=torch.int32)
        if pad_token is not None:
            tokens[tokens == pad_token] = vocabulary - 1 if pad_token != vocabulary - 1 else 3
        sequences.append(tokens)
    return sequences


def wanted_in_full(names):
    layer = {n: re.search(r"\.layers?\.(\d+)\.", n) for n in names}
    last = max((int(m[1]) for m in layer.values() if m), default=0)
    return [n for n, m in layer.items() if m is None or int(m[1]) in (0, last)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--task", default="classification",
                        choices=["classification", "language_modelling"])
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    task = arguments.task
    rng = generator(f"real {arguments.seed}")

    sequences = draw_sequences(*save_adapter(arguments, rng), rng)
    labels = torch.randint(0, arguments.labels, (len(sequences),), generator=rng,
                           dtype=torch.int32)
    adapter = arguments.output / "adapter"
    model = load_with_adapter(arguments.model, adapter, task, arguments.labels)
    check_adapter_names(model, adapter)
    model = in_double_precision(model)
    logits = sequence_logits(model, sequences, task)
    loss = batch_loss(logits, sequences, labels, task)
    loss.backward()

    gradients = {n: p.grad for n, p in trainable_parameters(model).items()}
    offsets = torch.tensor([0, *LENGTHS]).cumsum(0)
    logits = logits.detach()
    if task != "classification":
        logits = logits[offsets[1:] - 1].contiguous()
    tensors = {
        "tokens": torch.cat(sequences),
        "offsets": offsets,
        "logits": logits.float(),
        "loss": loss.detach().float().reshape(1),
        **{f"gradient_norm.{n}": g.norm().float().reshape(1) for n, g in gradients.items()},
        **{f"gradient.{n}": gradients[n].float().contiguous() for n in wanted_in_full(gradients)},
    }
    if task == "classification":
        tensors["labels"] = labels
    save_file(tensors, arguments.output / "golden.safetensors")
    record = {
        "task": task,
        "model": arguments.model.name,
        "seed": arguments.seed,
        "trainable_parameters": sum(g.numel() for g in gradients.values()),
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "torch": torch.__version__,
    }
    (arguments.output / "golden.json").write_text(json.dumps(record, indent=2) + "\n")
    print(f"{arguments.output}: {record['trainable_parameters']} trainable parameters, "
          f"loss {loss.item():.6f}")


if __name__ == "__main__":
    main()
