"""The table of docs/models.md: the largest errors of each family's goldens.

    swift test -c release --filter "ParityTests|FullFineTuningTests" | python parity_table.py

Reads the lines `parity: CASE, QUANTITY, ERROR` of the tests and prints rows of Markdown, one for each family and task.
"""

import re
import sys

FAMILIES = {
    "bert": "BERT, MiniLM", "distilbert": "DistilBERT", "gemma3": "Gemma 3 (text)", "gpt2": "GPT-2",
    "llama": "Llama, SmolLM2", "mistral": "Mistral", "modernbert": "ModernBERT", "olmo2": "OLMo 2",
    "phi3": "Phi-3, Phi-4-mini", "qwen2": "Qwen 2", "qwen3": "Qwen 3", "roberta": "RoBERTa",
    "smollm3": "SmolLM3", "vit": "ViT", "xlm_roberta": "XLM-R",
}
COLUMNS = ["logits", "loss", "gradients", "all gradients"]


def main():
    worst = {}
    for line in sys.stdin:
        found = re.search(r"parity: (\w+), ([\w ]+), ([\d.e+-]+)$", line.strip())
        if not found:
            continue
        case, quantity, error = found.groups()
        family, task = re.match(r"(\w+?)_(classification|lm|multi_label|regression)", case).groups()
        row = worst.setdefault((family, task), {})
        row[quantity] = max(row.get(quantity, 0.0), float(error))
    print("| family | task | logits | loss | gradients of LoRA and head | gradients of all weights |")
    print("|---|---|---|---|---|---|")
    for (family, task), row in sorted(worst.items()):
        errors = [f"{row[c]:.1e}" if c in row else "-" for c in COLUMNS]
        task = {"lm": "language modelling", "multi_label": "multi-label classification"}.get(task, task)
        print("| " + " | ".join([FAMILIES[family], task, *errors]) + " |")


if __name__ == "__main__":
    main()
