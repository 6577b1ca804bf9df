"""Does llama.cpp compute PEFT's logits from the GGUF files that the program writes?

    python llama_cpp_logits.py DIRECTORY

Needs PyPI's `llama-cpp-python`. DIRECTORY is the one of check_exports.py, which has to run before. Two kinds of
logits are compared with PEFT's: those of `model.gguf`, and those of `base.gguf` with `adapter.gguf` as LoRA. The bound
is 1e-2 of the largest logit: llama.cpp rounds keys and values to half precision.
"""

import json
import sys
from pathlib import Path

import llama_cpp
import numpy as np

BOUND = 1e-2


def logits(sequences, **options):
    """(tokens, vocabulary) of each sequence by itself."""
    model = llama_cpp.Llama(n_ctx=256, logits_all=True, verbose=False, n_threads=1, **options)
    rows = []
    for tokens in sequences:
        model.reset()
        model.eval(tokens)
        rows.append(model.scores[: len(tokens)].copy())
    return np.concatenate(rows)


def main():
    failed = 0
    for exported in sorted(Path(sys.argv[1]).iterdir()):
        if not (exported / "logits.npy").exists():
            continue
        expected = np.load(exported / "logits.npy")
        sequences = json.loads((exported / "tokens.json").read_text())
        files = {name: str(exported / f"{name}.gguf") for name in ("model", "base", "adapter")}
        errors = {}
        for kind, options in (
            ("merged", {"model_path": files["model"]}),
            ("lora", {"model_path": files["base"], "lora_path": files["adapter"]}),
            ("without adapter", {"model_path": files["base"]}),
        ):
            found = logits(sequences, **options)
            errors[kind] = float(np.abs(found - expected).max() / np.abs(expected).max())
        # The adapter has to matter.
        failed += max(errors["merged"], errors["lora"]) > BOUND or errors["without adapter"] < 10 * BOUND
        print(exported.name + "".join(f", {kind} {error:.1e}" for kind, error in errors.items()), flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
