#!/usr/bin/env bash
# Multiple choice against transformers, on 50 questions of sums with SmolLM2-135M: the loss of the right answers, acc and
# acc_norm. REFERENCE_PYTHON as in real-models.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=$(bash Tests/Long/reference-python.bash)
home=$(. scripts/common.bash && echo "$CELLM_HOME")
scripts/assets smollm2-135m > /dev/null 2>&1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 - "$scratch" << 'PY'
import json, random, sys
draw = random.Random(3)
for split, count in (("train", 12), ("test", 50)):
    with open(f"{sys.argv[1]}/{split}.jsonl", "w") as file:
        for number in range(count):
            a, b = draw.randint(2, 20), draw.randint(2, 20)
            answers = [str(a + b), str(a + b + draw.randint(1, 5)), str(a + b - draw.randint(1, 3)),
                       "about a hundred and one"]
            draw.shuffle(answers)
            row = {"q": f"The sum of {a} and {b} is", "c": answers, "a": answers.index(str(a + b))}
            file.write(json.dumps(row) + "\n")
PY
scripts/prepare choices --file "$scratch/train.jsonl" --test-file "$scratch/test.jsonl" --validation 0 --question q \
  --choices c --answer a --tokenizer smollm2-135m --name choices-small --replace > /dev/null
cat > "$scratch/x.yaml" << YAML
model: {path: smollm2-135m}
data: {path: choices-small, max_length: 128}
task: {kind: multiple_choice}
partition: {kind: iid, clients: 2}
adapter: {lora_rank: 1, alpha: 1}
federation: {rounds: 1, cohort_size: 1, server: {optimizer: sgd, learning_rate: 1}}
local: {learning_rate: 1.0e-30}
evaluation: {every: 1, splits: [test]}
YAML
.build/release/cellm-mpi run "$scratch/x.yaml" --output "$scratch/run" > /dev/null
"$python" - "$home/smollm2-135m" "$scratch/test.jsonl" "$scratch/run/evaluation.csv" << 'PY'
import csv
import json
import sys

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
questions = [json.loads(line) for line in open(sys.argv[2])]
found = list(csv.DictReader(open(sys.argv[3])))[-1]
plain, normalized, loss, count = 0, 0, 0.0, 0
with torch.no_grad():
    for question in questions:
        context = tokenizer(question["q"], add_special_tokens=False)["input_ids"]
        likelihoods = []
        for number, choice in enumerate(question["c"]):
            whole = tokenizer(f"{question['q']} {choice}", add_special_tokens=False, return_tensors="pt")["input_ids"]
            answer = whole[0, len(context):]
            logits = model(whole).logits[0, len(context) - 1 : -1].double()
            likelihoods.append(-F.cross_entropy(logits, answer, reduction="sum").item())
            if number == question["a"]:
                loss, count = loss - likelihoods[-1], count + len(answer)
        best = max(range(len(likelihoods)), key=lambda i: likelihoods[i])
        best_norm = max(range(len(likelihoods)), key=lambda i: likelihoods[i] / len(question["c"][i]))
        plain += best == question["a"]
        normalized += best_norm == question["a"]
n = len(questions)
print(f"PyTorch: {n} questions, acc {plain / n:.3f}, acc_norm {normalized / n:.3f}, loss {loss / count:.6f}")
print(f"cellm-mpi: {found['examples']} questions, acc {float(found['acc']):.3f}, "
      f"acc_norm {float(found['acc_norm']):.3f}, loss {float(found['loss']):.6f}")
same = (round(float(found["acc"]) * n), round(float(found["acc_norm"]) * n)) == (plain, normalized)
close = int(found["items"]) == count and abs(float(found["loss"]) - loss / count) < 1e-4 * loss / count
print("1 passed, 0 failed" if same and close else "0 passed, 1 failed")
sys.exit(not (same and close))
PY
