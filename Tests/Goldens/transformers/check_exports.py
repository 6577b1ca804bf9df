"""Do transformers and PEFT load what the program exports, and give the goldens' logits?

    python check_exports.py DIRECTORY

DIRECTORY has a folder for each golden case, with `adapter` (a PEFT directory) and `merged` (a model directory), as
`CELLM_EXPORTS=DIRECTORY swift test --filter ExportTests` writes them. Prints the largest relative errors in double
precision, and exits with 1 where one is above 1e-6.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from reference_model import (  # noqa: E402
    golden_inputs,
    in_double_precision,
    largest_relative_error,
    load_base,
    load_with_adapter,
    sequence_logits,
)


def main():
    worst = 0.0
    for exported in sorted(Path(sys.argv[1]).iterdir()):
        case = HERE / exported.name
        golden = load_file(case / "golden.safetensors")
        task = json.loads((case / "golden.json").read_text())["task"]
        sequences = golden_inputs(golden)
        errors = {}
        with torch.no_grad():
            for kind, model in (
                ("adapter", load_with_adapter(case, exported / "adapter", task)),
                ("merged", load_base(exported / "merged", task)),
            ):
                logits = sequence_logits(in_double_precision(model), sequences, task)
                errors[kind] = largest_relative_error(logits, golden["logits"])
        worst = max(worst, *errors.values())
        print(exported.name + "".join(f", {kind} {error:.1e}" for kind, error in errors.items()), flush=True)
    print(f"largest relative error {worst:.1e}")
    sys.exit(worst > 1e-6)


if __name__ == "__main__":
    main()
