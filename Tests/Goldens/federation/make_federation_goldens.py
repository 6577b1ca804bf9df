"""Tiny federations for reference_run.py: model, corpus, partition, cohorts, initial adapter, plan.

A case is made with seed 0, 1, 2, ... until no selection of any round is close: every relative gap
between the smallest kept and the largest dropped magnitude exceeds `MARGIN`, float32 PyTorch keeps
the same coordinates and drifts less than `DRIFT`, and no two logits that decide a prediction are
closer than `LEAD`. The seed found is kept in plan.json as `case_seed`.

    python make_federation_goldens.py [CASE ...]
"""

import json
import math
import shutil
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
)

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from reference_model import (  # noqa: E402
    generator,
    load_base,
    randomize_base_weights,
    save_adapter_directory,
)
from reference_run import make_golden  # noqa: E402

MARGIN = 1e-4
LEAD = 1e-4
DRIFT = 1e-5
VOCABULARY = 60
LABELS = ["atheism", "graphics", "hockey", "space", "politics"]
CLIENT_SIZES = [5, 12, 1, 8, 14, 3, 10, 7]
ADAM_W = dict(optimizer="adam_w", learning_rate=0.005, beta1=0.9, beta2=0.999, epsilon=1e-8,
              weight_decay=0.01)
FED_ADAM = dict(optimizer="fed_adam", learning_rate=0.02, beta1=0.9, beta2=0.99, tau=1e-3)
FED_ADAM_SLOW = {**FED_ADAM, "learning_rate": 0.005}
SGD = dict(optimizer="sgd", learning_rate=1.0)


def top(density):
    return {"select": "top_magnitude", "density": density}


def plan(description, **changes):
    values = dict(
        description=description,
        task="classification",
        label_count=len(LABELS),
        max_length=16,
        rounds=4,
        weighting="uniform",
        method=dict(download=top(0.25), upload=top(0.25)),
        server=ADAM_W,
        local=dict(epochs=1, batch_size=4, learning_rate=0.2, momentum=0.9, shuffle=False),
    )
    return {**values, **changes}


def local(**changes):
    return {**plan("")["local"], **changes}


def method(download, upload, **more):
    return dict(download=download, upload=upload, **more)


ALL = {"select": "all"}
RECEIVED = {"select": "downloaded"}
PRUNED = dict(persistence="nested", trainable="downloaded")
HALVES = [dict(lora_rank=1), dict()]

CASES = {
    "llama_adam_w": ("llama", plan(
        "FLASC, a quarter both ways, AdamW server; the base model has no head of its own")),
    "llama_fed_adam": ("llama", plan(
        "FLASC, a quarter down and an eighth up, two local epochs, Reddi et al.'s FedAdam",
        method=dict(download=top(0.25), upload=top(0.125)),
        server=FED_ADAM, local=local(epochs=2))),
    "llama_schedule": ("llama", plan(
        "Densities that halve: 1/2 every round down, 1/4 every second round up; SGD server, "
        "clients weighted by their examples",
        method=dict(download=top(dict(initial=0.5, factor=0.5, period=1)),
                    upload=top(dict(initial=0.25, factor=0.5, period=2))),
        server=SGD, weighting="examples")),
    "llama_dense": ("llama", plan(
        "Dense LoRA: everything travels, plain averaging at the server, two local epochs",
        method=dict(download={"select": "all"}, upload={"select": "all"}), server=SGD,
        local=local(epochs=2))),
    "llama_lm": ("llama", plan(
        "Language modelling, no head trained, loss per predicted token, FLASC with a quarter",
        task="language_modelling", label_count=None, server=FED_ADAM, rounds=3)),
    "bert_adam_w": ("bert", plan(
        "BERT with adapted pooler, a quarter down and an eighth up, two epochs, AdamW server, "
        "examples cut to 8 tokens",
        method=dict(download=top(0.25), upload=top(0.125)), max_length=8,
        server={**ADAM_W, "learning_rate": 0.02}, local=local(epochs=2))),
    "sparse_adapter": ("llama", plan(
        "SparseAdapter: a dense round, then a quarter chosen once; only that is trained and sent",
        method=method(top(dict(initial=1, factor=0.25, period=1, minimum=0.25)), RECEIVED,
                      **PRUNED), server=SGD)),
    "adapter_lth": ("llama", plan(
        "Adapter-LTH: three quarters of the support are left after each round",
        method=method(top(dict(initial=1, factor=0.75, period=1)), RECEIVED, **PRUNED),
        server=FED_ADAM)),
    "federated_select": ("llama", plan(
        "Federated select: a third, chosen anew in each round, is trained and sent",
        method=method(top(1 / 3), RECEIVED, trainable="downloaded"), server=FED_ADAM)),
    "ffa_lora": ("bert", plan(
        "FFA-LoRA: every A is frozen and neither trained nor sent; half of the deltas' rest travels",
        method=method(ALL, top(0.5), frozen="lora_a"), server=SGD)),
    "head_only": ("llama", plan(
        "The classification head alone",
        method=method(ALL, ALL, frozen="both"), server=SGD)),
    "rank_tiers": ("llama", plan(
        "HetLoRA: half of the clients have the first of two ranks; weighted by the norm of B A",
        method=method(ALL, ALL, tiers=HALVES, aggregation="norm_weighted"), server=SGD)),
    "density_tiers": ("llama", plan(
        "FLASC in three tiers of density",
        method=method(top(1.0), top(1.0), tiers=[
            dict(download_density=d, upload_density=d) for d in [1 / 16, 1 / 4, 1.0]]))),
    "flex_lora": ("llama", plan(
        "FlexLoRA: the mean of B A, its factors by singular values; half of the clients have rank 1",
        method=method(ALL, ALL, tiers=HALVES, aggregation="product_mean"), server=SGD)),
    "full_dense": ("bert", plan(
        "Full fine-tuning: all weights, everything travels, two local epochs",
        method=method(ALL, ALL, adapter="full"), server=FED_ADAM_SLOW, rounds=3,
        local=local(epochs=2, learning_rate=0.02))),
    "full_flasc": ("llama", plan(
        "Full fine-tuning, a quarter of the weights' difference from the pretrained ones each way",
        method=method(top(0.25), top(0.25), adapter="full"), server=SGD, rounds=3,
        local=local(learning_rate=0.05))),
    "flora": ("llama", plan(
        "FLoRA: clients of ranks 1, 3 and 4, weighted by examples; their stack joins the base weights",
        method=method(ALL, ALL, tiers=[dict(lora_rank=1), dict(lora_rank=3), dict()],
                      aggregation="stacked"),
        server=dict(optimizer="sgd", learning_rate=0.75), weighting="examples", rounds=3,
        lora_rank=4)),
    "flora_lm": ("llama", plan(
        "FLoRA without a head: language modelling, all clients of rank 2",
        method=method(ALL, ALL, aggregation="stacked"), server=SGD,
        local=local(learning_rate=0.02), task="language_modelling", label_count=None, rounds=3)),
    "flora_bert": ("bert", plan(
        "FLoRA on BERT, whose pooler is merged too; half of the clients have the first of two ranks",
        method=method(ALL, ALL, tiers=HALVES, aggregation="stacked"), server=SGD, rounds=3,
        max_length=8)),
    "rank_pruning": ("llama", plan(
        "HetLoRA in full: tiers of rank 2 and 4, weighted by the norm of B A, clients prune to 0.7 of "
        "their ranks",
        method=method(ALL, ALL, tiers=[dict(lora_rank=2), dict()], aggregation="norm_weighted",
                      rank_pruning=dict(factor=0.7, penalty=6.0)),
        server=SGD, rounds=5, lora_rank=4)),
    "error_feedback": ("llama", plan(
        "An eighth up, and what is not sent is added to the client's next delta",
        method=method(ALL, top(0.125), residual="kept"), server=SGD)),
}


def save_base(family, directory, rng):
    """Bases as they are published, without a head (and BERT without the prefix `bert.`)."""
    torch.manual_seed(0)
    if family == "llama":
        model = LlamaForCausalLM(LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=32,
            tie_word_embeddings=True, pad_token_id=0))
    else:
        model = BertModel(BertConfig(
            vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=32, pad_token_id=0))
    randomize_base_weights(model, rng, 0.5)
    model.save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)


def save_split(path, count, task, rng):
    """Sequences whose tokens come more often from their label's own range of the vocabulary."""
    lengths = torch.randint(3, 13, (count,), generator=rng)
    labels = torch.randint(0, len(LABELS), (count,), generator=rng, dtype=torch.int32)
    pieces = []
    for length, label in zip(lengths.tolist(), labels.tolist()):
        anywhere = torch.randint(1, VOCABULARY, (length,), generator=rng)
        width = (VOCABULARY - 1) // len(LABELS)
        typical = 1 + label * width + torch.randint(0, width, (length,), generator=rng)
        own = torch.rand(length, generator=rng) < 0.6
        pieces.append(torch.where(own, typical, anywhere))
    tensors = {
        "tokens": torch.cat(pieces).to(torch.uint16),
        "offsets": torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]),
    }
    metadata = {}  # one key at most: safetensors writes several in random order
    if task == "classification":
        tensors["labels"] = labels
        metadata["label_names"] = json.dumps(LABELS)
    save_file(tensors, path, metadata=metadata or None)


def save_initial_adapter(task, label_count, case, rng, rank=2):
    """As a fresh adapter, B zero, A and head random; so small that B soon is among the largest."""
    model = get_peft_model(load_base(case / "model", task, label_count), LoraConfig(
        task_type="SEQ_CLS" if task == "classification" else "CAUSAL_LM",
        r=rank, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear"))
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            if p.requires_grad and "lora_B" not in name:
                p.copy_(0.01 * torch.randn(p.shape, generator=rng))
    save_adapter_directory(model, case / "initial_adapter")


def save_initial_head(task, label_count, case, rng):
    """A small random head under the names of the full model."""
    model = load_base(case / "model", task, label_count)
    save_file({name: 0.01 * torch.randn(p.shape, generator=rng)
               for name, p in sorted(model.named_parameters())
               if name.startswith(("score.", "classifier."))}, case / "initial_head.safetensors")


def write_rows(path, rows):
    path.write_text("[\n" + ",\n".join("  " + json.dumps(row) for row in rows) + "\n]\n")


def make_case(name, seed):
    family, values = CASES[name]
    case = HERE / name
    shutil.rmtree(case, ignore_errors=True)
    (case / "corpus").mkdir(parents=True)
    rng = generator(f"{name} {seed}")
    save_base(family, case / "model", rng)
    for split, count in [("train", sum(CLIENT_SIZES)), ("validation", 15), ("test", 25)]:
        save_split(case / "corpus" / f"{split}.safetensors", count, values["task"], rng)
    if values["method"].get("adapter") == "full":
        save_initial_head(values["task"], values["label_count"], case, rng)
    else:
        save_initial_adapter(values["task"], values["label_count"], case, rng,
                             values.get("lora_rank", 2))
    shuffled = torch.randperm(sum(CLIENT_SIZES), generator=rng)
    write_rows(case / "partition.json",
               [sorted(part.tolist()) for part in shuffled.split(CLIENT_SIZES)])
    write_rows(case / "cohorts.json",
               [sorted(torch.randperm(len(CLIENT_SIZES), generator=rng)[:4].tolist())
                for _ in range(values["rounds"])])
    written = {key: value for key, value in values.items() if value is not None}
    (case / "plan.json").write_text(json.dumps({**written, "case_seed": seed}, indent=2) + "\n")
    return make_golden(case)


def is_robust(record):
    margin = record["smallest_margin"]
    return (
        (margin is None or margin > MARGIN)
        and record["smallest_logit_lead"] > LEAD
        and record["float32"]["same_indices_and_counts"]
        and max(record["float32"]["vector"].values()) < DRIFT
    )


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        for seed in range(60):
            record = make_case(name, seed)
            if is_robust(record):
                break
        else:
            raise SystemExit(f"{name}: no seed below 60 keeps every selection clear of ties")
        worst = max(record["float32"]["vector"].values())
        margin = record["smallest_margin"] or math.inf
        print(f"{name}: seed {seed}, {record['parameter_count']} parameters, margin {margin:.1e} "
              f"({record['smallest_margin_at']}), float32 vector {worst:.1e} "
              f"loss {record['float32']['loss']:.1e}", flush=True)
