"""Does an exported adapter, loaded by PEFT, give the logits that the program computed?

    python check_export.py --model MODEL_DIR --adapter ADAPTER_DIR --data SPLIT.safetensors \\
        --logits LOGITS.{safetensors,csv} [--max-length 128] [--tolerance 1e-4]

Without --adapter: does an exported model (full fine-tuning, or --merge), loaded by transformers?

Classification or language modelling is read from `task_type` in adapter_config.json. The logits
file holds `logits` F32: (examples, labels), or (tokens of all cut examples end to end, vocabulary).
A CSV has one such row a line; with a header line, the columns whose names begin with `logit`.
It may hold fewer rows than the split: then the first ones are compared. The error is
max |program - PEFT| / max |PEFT|. Exit code 0 within the tolerance, 1 beyond it, 2 for files that
cannot be compared.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from reference_model import (  # noqa: E402
    in_double_precision,
    largest_relative_error,
    load_base,
    load_with_adapter,
    sequence_logits,
)


def fail(message):
    print(f"check_export: {message}", file=sys.stderr)
    raise SystemExit(2)


def program_logits(path):
    if path.suffix == ".safetensors":
        tensors = load_file(path)
        if "logits" not in tensors:
            fail(f"{path}: no tensor `logits`, only {sorted(tensors)}")
        return tensors["logits"].double()
    with open(path, newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    columns = range(len(rows[0]))
    if any(cell.lower().startswith("logit") for cell in rows[0]):
        columns = [i for i in columns if rows[0][i].lower().startswith("logit")]
        rows = rows[1:]
    return torch.tensor([[float(row[i]) for i in columns] for row in rows], dtype=torch.float64)


def head_size(adapter):
    """Number of labels, from the head among the adapter's tensors."""
    for name, tensor in load_file(adapter / "adapter_model.safetensors").items():
        if name.endswith(("score.weight", "classifier.weight")):
            return tensor.shape[0]
    fail(f"{adapter}: no score.weight or classifier.weight in adapter_model.safetensors")


def read_sequences(path, maximum_length):
    tensors = load_file(path)
    tokens, offsets = tensors["tokens"].long(), tensors["offsets"].tolist()
    return [tokens[a:b][:maximum_length] for a, b in zip(offsets, offsets[1:])]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model", "data", "logits"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--float32", action="store_true", help="PEFT in float32, not float64")
    arguments = parser.parse_args()

    if arguments.adapter is None:
        kinds = json.loads((arguments.model / "config.json").read_text())["architectures"]
        classifies = kinds[0].endswith("ForSequenceClassification")
        task = "classification" if classifies else "language_modelling"
    else:
        kind = json.loads((arguments.adapter / "adapter_config.json").read_text()).get("task_type")
        if kind not in ("SEQ_CLS", "CAUSAL_LM"):
            fail(f"{arguments.adapter}: task_type {kind!r}, expected SEQ_CLS or CAUSAL_LM")
        task = "classification" if kind == "SEQ_CLS" else "language_modelling"
        labels = head_size(arguments.adapter) if task == "classification" else None
    found = program_logits(arguments.logits)
    sequences = read_sequences(arguments.data, arguments.max_length)

    kept, rows = [], 0
    for sequence in sequences:
        if rows >= len(found):
            break
        kept.append(sequence)
        rows += 1 if task == "classification" else len(sequence)
    if rows != len(found):
        fail(f"{arguments.logits}: {len(found)} rows; {len(kept)} examples make {rows}")

    if arguments.adapter is None:
        model = load_base(arguments.model, task)
    else:
        model = load_with_adapter(arguments.model, arguments.adapter, task, labels)
    if not arguments.float32:
        model = in_double_precision(model)
    with torch.no_grad():
        expected = sequence_logits(model, kept, task)
    if expected.shape != found.shape:
        fail(f"logits are {tuple(found.shape)}, the reference's are {tuple(expected.shape)}")
    error = largest_relative_error(found, expected)
    agreement = (found.argmax(-1) == expected.argmax(-1)).double().mean().item()
    print(f"{len(kept)} examples, max relative error {error:.3e} (tolerance "
          f"{arguments.tolerance:g}), same prediction in {100 * agreement:.2f} %")
    # `not <=`, so that a NaN fails too.
    raise SystemExit(int(not error <= arguments.tolerance))


if __name__ == "__main__":
    main()
