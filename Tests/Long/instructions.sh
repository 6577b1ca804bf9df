#!/usr/bin/env bash
# Instruction tuning against transformers, on 54 questions of school mathematics with SmolLM2-135M: the loss of the
# answers, the tokens that are predicted right, and the exact matches of greedy decoding.
# MODEL=directory takes another model of the same tokenizer. REFERENCE_PYTHON as in real-models.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=$(bash Tests/Long/reference-python.bash)
home=$(. scripts/common.bash && echo "$CELLM_HOME")
scripts/assets smollm2-135m > /dev/null 2>&1
model=${MODEL:-$home/smollm2-135m}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
scripts/prepare mathematics --tokenizer smollm2-135m --train 1 --validation 1 --test 2 --name mathematics-small > /dev/null
cat > "$scratch/x.yaml" << YAML
model: {path: $model}
data: {path: mathematics-small, max_length: 128}
task: {kind: instruction_tuning}
partition: {kind: natural}
adapter: {lora_rank: 1, alpha: 1}
federation: {rounds: 1, cohort_size: 2, server: {optimizer: sgd, learning_rate: 1}}
local: {learning_rate: 1.0e-30}
evaluation: {every: 1, splits: [test]}
YAML
.build/release/cellm-mpi run "$scratch/x.yaml" --output "$scratch/run" > /dev/null
"$python" - "$model" "$home/mathematics-small/test.safetensors" "$scratch/run/evaluation.csv" << 'PY'
import csv
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
data = load_file(sys.argv[2])
row = list(csv.DictReader(open(sys.argv[3])))[-1]
offsets = data["offsets"].tolist()
loss, count, correct, exact = 0.0, 0, 0, 0
with torch.no_grad():
    for start, end in zip(offsets, offsets[1:]):
        tokens, marks = data["tokens"][start:end].long(), data["loss"][start:end]
        prompt = int((marks == 0).sum())
        logits = model(tokens[None]).logits[0, prompt - 1 : -1].double()
        answer = tokens[prompt:]
        loss += F.cross_entropy(logits, answer, reduction="sum").item()
        correct += int((logits.argmax(-1) == answer).sum())
        count += len(answer)
        given = model.generate(tokens[None, :prompt], attention_mask=torch.ones(1, prompt), do_sample=False,
                               max_new_tokens=len(answer) + 4, eos_token_id=tokenizer.eos_token_id,
                               pad_token_id=tokenizer.eos_token_id)[0, prompt:]
        exact += given.tolist() == answer.tolist()
examples = len(offsets) - 1
print(f"PyTorch: {examples} examples, {count} tokens of answers, {correct} right, loss {loss / count:.6f}, "
      f"{exact} exact answers of generate()")
print(f"cellm-mpi: {row['examples']} examples, {row['items']} tokens of answers, {row['correct']} right, "
      f"loss {float(row['loss']):.6f}, {round(float(row['exact_match']) * examples)} exact answers")
same = (count, correct, exact) == (int(row["items"]), int(row["correct"]), round(float(row["exact_match"]) * examples))
close = abs(float(row["loss"]) - loss / count) < 1e-4 * loss / count
print("1 passed, 0 failed" if same and close else "0 passed, 1 failed")
sys.exit(not (same and close))
PY
