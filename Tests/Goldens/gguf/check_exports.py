"""Do PyPI's `gguf` and transformers read the GGUF files that the program writes?

    python check_exports.py DIRECTORY

DIRECTORY has a folder for each golden case, as `CELLM_EXPORTS=DIRECTORY swift test --filter GGUFExportTests` writes
them: `adapter.gguf`, `model.gguf` (with the adapter merged), `base.gguf` (without) and `model` (the Hugging Face
directory). Every tensor of an adapter has to be PEFT's, bit by bit. For language models that transformers
reads from GGUF, the logits of `model.gguf` have to be those of PEFT within 1e-5 (in single precision; the largest
difference, divided by the largest logit). PEFT's logits stay in `logits.npy` and the tokens in `tokens.json`, for
llama_cpp_logits.py.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from make_exports import Names, permuted  # noqa: E402
from reference_model import largest_relative_error, load_with_adapter, sequence_logits  # noqa: E402


def is_read_by_transformers(config):
    """transformers does not read query_pre_attn_scalar of Gemma 3, the number of positions of GPT-2, and scaled
    rotary positions from GGUF; the goldens of other families are of this kind."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return config["model_type"] == "llama" and rope.get("rope_type", "default") == "default"


def check_adapter(case, exported):
    """The number of tensors; all are PEFT's."""
    config = json.loads((case / "config.json").read_text())
    names = Names(config)
    found = {tensor.name: tensor for tensor in GGUFReader(exported / "adapter.gguf").tensors}
    factors = load_file(case / "adapter" / "adapter_model.safetensors")
    count = 0
    for name, tensor in factors.items():
        if ".lora_" not in name:
            continue
        base, factor = name.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".lora_", 1)
        target = names(base + ".weight")
        if target is None:
            continue
        if factor == "B":
            tensor = permuted(tensor, target, config)
        read = found.pop(f"{target}.lora_{factor.lower()}")
        # GGUF has the fastest dimension first.
        assert list(reversed(read.shape)) == list(tensor.shape), name
        assert np.array_equal(read.data, tensor.float().numpy()), name
        count += 1
    assert not found, list(found)
    return count


def check_logits(case, exported):
    """Writes PEFT's logits; returns the error of transformers on model.gguf, or None."""
    golden = load_file(case / "golden.safetensors")
    offsets = golden["offsets"].tolist()
    sequences = [golden["tokens"][a:b] for a, b in zip(offsets, offsets[1:])]
    config = json.loads((case / "config.json").read_text())
    if (config.get("rope_parameters") or {}).get("rope_type") == "longrope":
        # llama.cpp takes the table of long sequences whenever the context is long.
        sequences = [s for s in sequences if len(s) > config["original_max_position_embeddings"]]
    model = load_with_adapter(exported / "model", case / "adapter", "language_modelling")
    with torch.no_grad():
        expected = sequence_logits(model, sequences, "language_modelling")
        np.save(exported / "logits.npy", expected.numpy())
        (exported / "tokens.json").write_text(json.dumps([s.tolist() for s in sequences]))
        if not is_read_by_transformers(config):
            return None
        read = AutoModelForCausalLM.from_pretrained(exported, gguf_file="model.gguf", dtype=torch.float32)
        found = sequence_logits(read.eval(), sequences, "language_modelling")
    return largest_relative_error(found, expected)


def main():
    failed = 0
    for exported in sorted(Path(sys.argv[1]).iterdir()):
        case = HERE.parent / "transformers" / exported.name
        line = f"{exported.name}: {check_adapter(case, exported)} tensors"
        task = json.loads((case / "golden.json").read_text())["task"]
        if task == "language_modelling" and (exported / "model.gguf").exists():
            error = check_logits(case, exported)
            if error is not None:
                line += f", transformers {error:.1e}"
                failed += error > 1e-5
        print(line, flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
