"""The federated round of FLASC (arXiv 2406.05233), in plain PyTorch and PEFT.

Written to check the Swift program against, from the method's description; they share no code.
Gradients come from autograd, the client is torch.optim.SGD, AdamW is torch.optim.AdamW.
Everything runs in float64, so that the kept coordinates do not hang on rounding; the relative gap
between the smallest kept and the largest dropped magnitude is recorded for every selection, and the
run is repeated in float32 to see that it keeps the same coordinates.
With the method's adapter "full" all weights are trained, and the vector is their difference from the
pretrained ones; of the head, which is not pretrained, its values.

    python reference_run.py CASE_DIRECTORY

reads from the case directory
    plan.json         task, rounds, method, server, local, weighting, max_length
    model/            base model; initial_adapter/ PEFT directory the run starts from, or with the
                      method's adapter "full" initial_head.safetensors
    corpus/           train.safetensors, test.safetensors
    partition.json    [[example, ...] per client]; cohorts.json [[client, ...] per round]
and writes
    layout.json           the trainable vector: tensors in order, each with name, shape, offset
    golden.safetensors    initial_vector F32; round{t}.vector F32, after the server step;
                          round{t}.download_indices, round{t}.upload_indices.{cohort position} I64;
                          round{t}.client_loss F32 (cohort); round{t}.train_loss, .test_loss,
                          .test_accuracy F32 [1]; .test_correct, .test_count I64 [1]; where factors
                          are stacked round{t}.base.{adapted layer} F32, the merged weight; where
                          clients prune ranks round{t}.client_ranks I64 (cohort), those they sent
    golden.json           margins and versions
"""

import json
import math
import re
import sys
from pathlib import Path

import peft
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from reference_model import (  # noqa: E402
    in_double_precision,
    largest_relative_error,
    load_base,
    load_with_adapter,
    trainable_parameters,
)

GROUPS = {
    "llama": [["q_proj", "k_proj", "v_proj"], ["o_proj"], ["gate_proj", "up_proj"], ["down_proj"]],
    "bert": [
        ["attention.self.query", "attention.self.key", "attention.self.value"],
        ["attention.output.dense"],
        ["intermediate.dense"],
        ["output.dense"],
    ],
}
GROUPS["qwen2"] = GROUPS["llama"]


def canonical_order(names, family):
    """Layers ascending, in each group by group, A's before B's; then the pooler, then the head."""
    layer_pattern = re.compile(r"\.layers?\.(\d+)\.(.+)\.lora_([AB])\.weight$")

    def key(name):
        match = layer_pattern.search(name)
        if match:
            matrix = match[2]
            for g, group in enumerate(GROUPS[family]):
                for m, target in enumerate(group):
                    exact = matrix == target if family == "bert" else matrix.endswith("." + target)
                    if exact:
                        return (0, int(match[1]), g, match[3], m)
            raise SystemExit(f"{name}: no group of {family} has this matrix")
        if ".pooler." in name:
            return (1, 0, 0, "A" if "lora_A" in name else "B", 0)
        return (2, 0, 0, name.rsplit(".", 1)[1] == "bias", 0)

    return sorted(names, key=key)


def layout_of(model, family, frozen="none"):
    """With frozen lora_a (FFA-LoRA) or both (head only) those tensors are not in the vector."""
    parameters = trainable_parameters(model)
    kinds = {"none": [], "lora_a": [".lora_A."], "both": [".lora_A.", ".lora_B."]}[frozen]
    for name in [n for n in parameters if any(kind in n for kind in kinds)]:
        parameters.pop(name).requires_grad_(False)
    layout, offset = [], 0
    for name in canonical_order(parameters, family):
        shape = list(parameters[name].shape)
        layout.append({"name": name, "shape": shape, "offset": offset})
        offset += math.prod(shape)
    return layout, [parameters[entry["name"]] for entry in layout]


EMBEDDINGS = ["embed_tokens.", "word_embeddings.", "position_embeddings.", "token_type_embeddings.",
              "embeddings.LayerNorm."]
NORMS = ["input_layernorm.", "attention.output.LayerNorm.", "post_attention_layernorm.",
         "output.LayerNorm."]


def full_order(names, family):
    """Embeddings, layers ascending with their linear layers before their norms, the rest, the head."""

    def key(name):
        bias = name.endswith(".bias")
        for place, part in enumerate(EMBEDDINGS):
            if part in name:
                return (0, place, bias)
        match = re.search(r"\.layers?\.(\d+)\.(.+)\.(weight|bias)$", name)
        if not match:
            return (3 if "classifier" in name or "score" in name else 2, 0, bias)
        for place, part in enumerate(NORMS):
            if part in match[2] + ".":
                return (1, int(match[1]), 1, place, bias)
        for place, target in enumerate(sum(GROUPS[family], [])):
            if match[2] == target or (family != "bert" and match[2].endswith("." + target)):
                return (1, int(match[1]), 0, place, bias)
        raise SystemExit(f"{name}: unknown")

    return sorted(names, key=key)


def full_layout_of(model, family):
    parameters = dict(model.named_parameters())
    layout, offset = [], 0
    for name in full_order(parameters, family):
        shape = list(parameters[name].shape)
        layout.append({"name": name, "shape": shape, "offset": offset})
        offset += math.prod(shape)
    return layout, [parameters[entry["name"]].requires_grad_(True) for entry in layout]


class Vector:
    """What travels: the difference of the parameters from an origin."""

    def __init__(self, parameters, origin=None):
        self.parameters = parameters
        self.origin = torch.zeros(()) if origin is None else origin

    def read(self):
        return read_vector(self.parameters) - self.origin

    def write(self, vector):
        write_vector(vector + self.origin, self.parameters)


def read_vector(parameters):
    return torch.cat([p.detach().reshape(-1) for p in parameters]).clone()


def write_vector(vector, parameters):
    start = 0
    with torch.no_grad():
        for p in parameters:
            p.copy_(vector[start : start + p.numel()].reshape(p.shape))
            start += p.numel()


class Examples:
    """One split of a token data set."""

    def __init__(self, path, maximum_length):
        tensors = load_file(path)
        tokens, offsets = tensors["tokens"].long(), tensors["offsets"].tolist()
        self.sequences = [tokens[a:b][:maximum_length] for a, b in zip(offsets, offsets[1:])]
        self.labels = tensors["labels"].long() if "labels" in tensors else None

    def __len__(self):
        return len(self.sequences)


def item_logits(model, examples, indices, task):
    """Logits and targets of every counted item: an example, or a token with a predecessor."""
    sequences = [examples.sequences[i] for i in indices]
    tokens = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True)  # no sequence has token 0
    logits = model(input_ids=tokens, attention_mask=(tokens != 0).long()).logits
    if task == "classification":
        return logits, examples.labels[indices]
    predicted = (tokens != 0)[:, 1:]
    return logits[:, :-1][predicted], tokens[:, 1:][predicted]


def density(specification, round_number):
    value = specification.get("density", 1.0)
    if isinstance(value, dict):
        falling = value["initial"] * value["factor"] ** (round_number // value["period"])
        return max(falling, value.get("minimum", 0.0))
    return value


def largest_magnitudes(vector, fraction, among=None, limit=None):
    """Ascending indices of the floor(n * fraction) largest |x|; the relative gap to the next.

    `among` (boolean): only these, n being their number; `limit`: the part of them that is allowed.
    """
    magnitudes = vector.abs()
    allowed = among if limit is None else limit
    count = math.floor((len(vector) if among is None else among.sum().item()) * fraction)
    if allowed is not None:
        magnitudes = torch.where(allowed, magnitudes, -1.0)
        count = min(count, allowed.sum().item())
    # A stable sort leaves equal magnitudes in ascending order of their indices.
    order = torch.sort(magnitudes, descending=True, stable=True).indices
    margin = math.inf
    if 0 < count < len(vector):
        last, following = magnitudes[order[count - 1]].item(), magnitudes[order[count]].item()
        margin = (last - max(following, 0)) / last if last > 0 else 0.0
        if last == 0 and following == 0:  # exact zeros are zeros in any precision
            margin = math.inf
        if following < 0:  # everything that is allowed is kept
            margin = math.inf
    return torch.sort(order[:count]).values, margin


def masked(vector, indices):
    result = torch.zeros_like(vector)
    result[indices] = vector[indices]
    return result


class ServerSGD:
    def __init__(self, vector, learning_rate):
        self.learning_rate = learning_rate

    def step(self, vector, pseudo_gradient):
        return vector - self.learning_rate * pseudo_gradient


class ServerFedAdam:
    """Reddi et al. 2021, Algorithm 2: v starts at tau^2, no bias correction."""

    def __init__(self, vector, learning_rate, beta1, beta2, tau):
        self.learning_rate, self.beta1, self.beta2, self.tau = learning_rate, beta1, beta2, tau
        self.m, self.v = torch.zeros_like(vector), torch.full_like(vector, tau**2)

    def step(self, vector, pseudo_gradient):
        delta = -pseudo_gradient
        self.m = self.beta1 * self.m + (1 - self.beta1) * delta
        self.v = self.beta2 * self.v + (1 - self.beta2) * delta**2
        return vector + self.learning_rate * self.m / (self.v.sqrt() + self.tau)


class ServerAdamW:
    """torch.optim.AdamW with the pseudo-gradient as its gradient."""

    def __init__(self, vector, learning_rate, beta1, beta2, epsilon, weight_decay):
        self.parameter = torch.nn.Parameter(vector.clone())
        self.optimizer = torch.optim.AdamW(
            [self.parameter], learning_rate, (beta1, beta2), epsilon, weight_decay
        )

    def step(self, vector, pseudo_gradient):
        assert torch.equal(vector, self.parameter.detach())
        self.parameter.grad = pseudo_gradient.clone()
        self.optimizer.step()
        return self.parameter.detach().clone()


SERVERS = {"sgd": ServerSGD, "fed_adam": ServerFedAdam, "adam_w": ServerAdamW}


def as_mask(indices, length):
    mask = torch.zeros(length, dtype=torch.bool)
    mask[indices] = True
    return mask


def lora_pairs(layout):
    """(entry of A, entry of B) of every adapted layer."""
    by_name = {entry["name"]: entry for entry in layout}
    for name, entry in by_name.items():
        if ".lora_A." in name:
            yield entry, by_name[name.replace(".lora_A.", ".lora_B.")]


def tensor_of(vector, entry):
    size = math.prod(entry["shape"])
    return vector[entry["offset"] : entry["offset"] + size].view(entry["shape"])


def rank_structure(layout, length, rank):
    """What an adapter of the first ranks has: the first rows of A, the first columns of B."""
    kept = torch.ones(length)
    for a, b in lora_pairs(layout):
        tensor_of(kept, a)[rank:, :] = 0
        tensor_of(kept, b)[:, rank:] = 0
    return kept.bool()


def product_norm(vector, layout):
    """The Frobenius norm of all B A together."""
    return math.sqrt(sum(
        (tensor_of(vector, b) @ tensor_of(vector, a)).square().sum().item()
        for a, b in lora_pairs(layout)))


def product_mean(vectors, weights, layout, target):
    """Factors of the mean of B A by singular values (FlexLoRA), written into `target`."""
    for a, b in lora_pairs(layout):
        mean = sum(w * tensor_of(v, b) @ tensor_of(v, a) for v, w in zip(vectors, weights))
        u, s, vh = torch.linalg.svd(mean / sum(weights), full_matrices=False)
        rank = a["shape"][0]
        signs = torch.sign(vh[:rank].gather(1, vh[:rank].abs().argmax(1, keepdim=True)))
        tensor_of(target, b)[:] = u[:, :rank] * s[:rank] * signs.T
        tensor_of(target, a)[:] = vh[:rank] * signs


def philox_numbers(seed, purpose, round_number, client, step):
    """The program's uniform numbers: Philox4x32-10 (Salmon et al., SC 2011), 53 bits each.

    Key: the seed. Counter: block, purpose + 256 step, round, client.
    """
    low = 0xFFFFFFFF
    block = 0
    while True:
        c = [block, purpose | step << 8, round_number, client]
        k = [seed & low, seed >> 32]
        for _ in range(10):
            p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [q >> 32 ^ c[1] ^ k[0], q & low, p >> 32 ^ c[3] ^ k[1], p & low]
            k = [k[0] + 0x9E3779B9 & low, k[1] + 0xBB67AE85 & low]
        for word in (c[1] << 32 | c[0], c[3] << 32 | c[2]):
            yield (word >> 11) * 2.0**-53
        block += 1


ADAPTER_INITIALIZATION = 4


def new_factors(start, layout, rank, round_number, client):
    """FLoRA: each client's own A, Kaiming uniform with a = sqrt(5), its first rows; B zero."""
    start = start.clone()
    for index, (a, b) in enumerate(lora_pairs(layout)):
        numbers = philox_numbers(0, ADAPTER_INITIALIZATION, round_number + 1, client, index)
        bound = 1 / math.sqrt(a["shape"][1])
        rows = [[(2 * next(numbers) - 1) * bound for _ in range(a["shape"][1])]
                for _ in range(rank)]
        tensor_of(start, a)[:] = 0
        tensor_of(start, a)[:rank] = torch.tensor(rows, dtype=torch.float32).to(start.dtype)
        tensor_of(start, b)[:] = 0
    return start


def merge_products(model, vectors, weights, rate, layout):
    """FLoRA: the weighted mean of B A, summed client by client, joins each base weight."""
    merged = []
    with torch.no_grad():
        for a, b in lora_pairs(layout):
            layer = model.get_submodule(a["name"].removesuffix(".lora_A.weight"))
            for vector, weight in zip(vectors, weights):
                share = rate * weight / sum(weights)
                layer.base_layer.weight += (
                    layer.scaling["default"] * share * tensor_of(vector, b) @ tensor_of(vector, a)
                )
            merged.append(layer.base_layer.weight.detach().clone())
    return merged


def last_ranks_norm(tensors, layout, first):
    """HetLoRA: the sum over layers of |B[:, first:]| |A[first:, :]| (Frobenius)."""
    return sum(
        tensors[b["name"]][:, first:].norm() * tensors[a["name"]][first:].norm()
        for a, b in lora_pairs(layout)
    )


def named(vector, layout):
    return {entry["name"]: tensor_of(vector, entry) for entry in layout}


def train_client(model, values, start, examples, indices, plan, trained=None, penalty=None):
    """SGD on the client's examples in ascending order; its trained vector and mean loss.

    `penalty` is a term of the loss as a function of the parameters; the mean loss is without it.
    """
    local, parameters = plan["local"], values.parameters
    values.write(start)
    optimizer = torch.optim.SGD(parameters, local["learning_rate"], local["momentum"])
    loss_sum, items = 0.0, 0
    for _ in range(local["epochs"]):
        for first in range(0, len(indices), local["batch_size"]):
            batch = indices[first : first + local["batch_size"]]
            optimizer.zero_grad()
            logits, targets = item_logits(model, examples, batch, plan["task"])
            loss = F.cross_entropy(logits, targets)
            (loss if penalty is None else loss + penalty(parameters)).backward()
            if trained is not None:
                place = 0
                for p in parameters:
                    p.grad *= trained[place : place + p.numel()].view(p.shape)
                    place += p.numel()
            optimizer.step()
            loss_sum += loss.item() * len(targets)
            items += len(targets)
    return values.read(), loss_sum / items


def evaluate(model, values, vector, examples, task):
    """Loss sum, correct and counted items, and the smallest lead of a first over a second logit."""
    values.write(vector)
    loss, correct, count, lead = 0.0, 0, 0, math.inf
    with torch.no_grad():
        for first in range(0, len(examples), 8):
            batch = list(range(first, min(first + 8, len(examples))))
            logits, targets = item_logits(model, examples, batch, task)
            loss += F.cross_entropy(logits, targets, reduction="sum").item()
            correct += (logits.argmax(-1) == targets).sum().item()
            count += len(targets)
            best = logits.topk(2, dim=-1).values
            lead = min(lead, (best[:, 0] - best[:, 1]).min().item())
    return loss, correct, count, lead


def start_full(model, layout, parameters, case):
    """Sets the head; the origin: pretrained weights, and zeros for the head."""
    head = load_file(case / "initial_head.safetensors")
    origin = []
    with torch.no_grad():
        for entry, parameter in zip(layout, parameters):
            if entry["name"] in head:
                parameter.copy_(head[entry["name"]])
                origin.append(torch.zeros_like(parameter).reshape(-1))
            else:
                origin.append(parameter.detach().clone().reshape(-1))
    return torch.cat(origin)


def federated_run(case, precision):
    case = Path(case)
    read = lambda name: json.loads((case / name).read_text())  # noqa: E731
    plan, partition, cohorts = read("plan.json"), read("partition.json"), read("cohorts.json")
    method = plan["method"]
    if method.get("adapter") == "full":
        model = load_base(case / "model", plan["task"], plan.get("label_count"))
    else:
        model = load_with_adapter(
            case / "model", case / "initial_adapter", plan["task"], plan.get("label_count")
        )
    family = model.config.model_type
    if precision == torch.float64:
        model = in_double_precision(model)
    if method.get("adapter") == "full":
        layout, parameters = full_layout_of(model, family)
        values = Vector(parameters, start_full(model, layout, parameters, case))
    else:
        layout, parameters = layout_of(model, family, method.get("frozen", "none"))
        values = Vector(parameters)
    train = Examples(case / "corpus" / "train.safetensors", plan["max_length"])
    test = Examples(case / "corpus" / "test.safetensors", plan["max_length"])

    vector = values.read()
    options = dict(plan["server"])
    server = SERVERS[options.pop("optimizer")](vector, **options)
    tensors, margins, leads = {"initial_vector": vector.clone()}, {}, {}
    tiers = method.get("tiers", [{}])
    aggregation = method.get("aggregation", "mean")
    structures = [
        rank_structure(layout, len(vector), tier["lora_rank"]) if "lora_rank" in tier else None
        for tier in tiers
    ]
    support, residuals = None, {}
    pruning, client_ranks = method.get("rank_pruning"), {}
    full_rank = next((a["shape"][0] for a, _ in lora_pairs(layout)), 0)
    for t, cohort in enumerate(cohorts[: plan["rounds"]]):
        total, weight_sum, losses, sent, ranks = torch.zeros_like(vector), 0, [], [], []
        for position, client in enumerate(cohort):
            tier, structure = tiers[client % len(tiers)], structures[client % len(tiers)]
            rank = client_ranks.get(client, tier.get("lora_rank", full_rank))
            if pruning:
                structure = rank_structure(layout, len(vector), rank)
            down = tier.get("download_density", density(method["download"], t))
            download, margins[f"round{t}.download.{position}"] = largest_magnitudes(
                vector, down, structure, support
            )
            start = masked(vector, download)
            if aggregation == "stacked":
                start = new_factors(start, layout, rank, t, client)
            trains = structure
            if method.get("trainable") == "downloaded":
                trains = as_mask(download, len(vector))
            indices = sorted(partition[client])
            penalty = None
            left = max(1, math.floor(pruning["factor"] * rank)) if pruning else rank
            if left < rank:
                names = [entry["name"] for entry in layout]
                penalty = lambda ps, left=left: pruning["penalty"] * last_ranks_norm(  # noqa: E731
                    dict(zip(names, ps)), layout, left)
            trained, loss = train_client(
                model, values, start, train, indices, plan, trains, penalty)
            if left < rank:
                before, after = (
                    last_ranks_norm(named(v, layout), layout, left).item() for v in (start, trained)
                )
                if before > 0:
                    margins[f"round{t}.pruning.{position}"] = abs(after - before) / before
                if after < before:
                    rank = client_ranks[client] = left
                    structure = rank_structure(layout, len(vector), rank)
                    trained, start = trained * structure, start * structure
            ranks.append(rank)
            delta = start - trained
            if method.get("residual") == "kept":
                delta = delta + residuals.get(client, 0)
            if method["upload"]["select"] == "downloaded":
                upload = download
            else:
                up = tier.get("upload_density", density(method["upload"], t))
                upload, margins[f"round{t}.upload.{position}"] = largest_magnitudes(
                    delta, up, structure, trains
                )
            residuals[client] = delta - masked(delta, upload)
            weight = len(indices) if plan["weighting"] == "examples" else 1
            if aggregation == "norm_weighted":
                weight *= product_norm(trained, layout)
            total += weight * masked(delta, upload)
            weight_sum += weight
            losses.append(loss)
            sent.append((start - masked(delta, upload), weight))
            tensors[f"round{t}.upload_indices.{position}"] = upload.clone()
        pseudo_gradient = total / weight_sum
        if pruning:
            tensors[f"round{t}.client_ranks"] = torch.tensor(ranks)
        if aggregation == "stacked":
            merged = merge_products(model, *zip(*sent), options["learning_rate"], layout)
            for index, weight in enumerate(merged):
                tensors[f"round{t}.base.{index}"] = weight
            for a, b in lora_pairs(layout):
                tensor_of(pseudo_gradient, a)[:] = 0
                tensor_of(pseudo_gradient, b)[:] = 0
        if aggregation == "product_mean":
            target = vector - pseudo_gradient
            product_mean(*zip(*sent), layout, target)
            pseudo_gradient = vector - target
        vector = server.step(vector, pseudo_gradient)
        if method.get("persistence") == "nested":
            support = as_mask(download, len(vector))
            vector = masked(vector, download)
        if len(tiers) > 1 or pruning:
            download = torch.arange(len(vector))  # evaluated as a whole
        loss, correct, count, leads[f"round{t}"] = evaluate(
            model, values, masked(vector, download), test, plan["task"]
        )
        tensors[f"round{t}.download_indices"] = download
        tensors[f"round{t}.vector"] = vector.clone()
        tensors[f"round{t}.client_loss"] = torch.tensor(losses, dtype=torch.float64)
        tensors[f"round{t}.train_loss"] = torch.tensor([sum(losses) / len(losses)]).double()
        tensors[f"round{t}.test_loss"] = torch.tensor([loss / count], dtype=torch.float64)
        tensors[f"round{t}.test_accuracy"] = torch.tensor([correct / count], dtype=torch.float64)
        tensors[f"round{t}.test_correct"] = torch.tensor([correct])
        tensors[f"round{t}.test_count"] = torch.tensor([count])
    return layout, tensors, margins, leads


def float32_comparison(double, single):
    """Same kept coordinates in float32?  And how far do vectors and losses drift?"""
    integers = [n for n in double if not double[n].is_floating_point()]
    same = all(torch.equal(double[n], single[n]) for n in integers)
    return {
        "same_indices_and_counts": same,
        "vector": {
            n: largest_relative_error(single[n], double[n])
            for n in double
            if n.endswith(".vector") or ".base." in n
        },
        "loss": max(
            largest_relative_error(single[n], double[n]) for n in double if n.endswith("_loss")
        ),
    }


def make_golden(case):
    """Writes layout.json, golden.safetensors and golden.json; returns the record."""
    case = Path(case)
    layout, tensors, margins, leads = federated_run(case, torch.float64)
    single = federated_run(case, torch.float32)[1]
    record = {
        "description": json.loads((case / "plan.json").read_text())["description"],
        "parameter_count": len(tensors["initial_vector"]),
        "smallest_margin": min(margins.values()),
        "smallest_margin_at": min(margins, key=margins.get),
        "smallest_logit_lead": min(leads.values()),
        "float32": float32_comparison(tensors, single),
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "torch": torch.__version__,
    }
    if math.isinf(record["smallest_margin"]):
        record["smallest_margin"], record["smallest_margin_at"] = None, "every coordinate is kept"
    stored = {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
    save_file(stored, case / "golden.safetensors")
    (case / "layout.json").write_text(
        "[\n" + ",\n".join("  " + json.dumps(entry) for entry in layout) + "\n]\n"
    )
    (case / "golden.json").write_text(json.dumps(record, indent=2) + "\n")
    return record


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print(json.dumps(make_golden(sys.argv[1]), indent=2))
