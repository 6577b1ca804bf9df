"""Makes optimizers.json and schedules.json: what optimizers and learning-rate schedules do.

  adamw           torch.optim.AdamW in float32, one step a gradient
  sgd             torch.optim.SGD with momentum in float32; with one gradient a round, FedAvgM
  adagrad         torch.optim.Adagrad in float32: FedAdagrad without momentum, tau in both places
  fed_adagrad, fed_yogi, fed_adam
                  Reddi et al. 2021, Algorithm 2, written out in float64 with Python's own numbers
  adamw_proximal, sgd_proximal
                  the same optimizers with mu (x - start) added to each gradient (FedProx)

The gradients are the pseudo-gradient of each server step (of each local step for a client).
The schedules are the learning rates that torch.optim.lr_scheduler gives to a rate of 1.
Run from the repository root, with PyTorch installed:
  python Tests/Goldens/federation-optimizers/generate.py
"""

import json
import math
import pathlib
import random

import torch
from torch.optim import lr_scheduler

N, STEPS = 23, 6
random.seed(20240607)


def single(x):
    """The nearest float32, as a Python float: what the Swift test reads back exactly."""
    return torch.tensor(x, dtype=torch.float32).item()


start = [single(random.gauss(0, 1)) for _ in range(N)]
# Magnitudes over many powers of ten, zeros, and a coordinate that never moves.
gradients = [
    [
        0.0 if i == 3 or (i + t) % 7 == 0 else single(random.gauss(0, 1) * 10 ** (i % 9 - 6))
        for i in range(N)
    ]
    for t in range(STEPS)
]


def with_torch(make, proximal=0.0, **values):
    p = torch.nn.Parameter(torch.tensor(start, dtype=torch.float32))
    begin = p.detach().clone()
    optimizer = make([p], **values)
    vectors = []
    for gradient in gradients:
        p.grad = torch.tensor(gradient, dtype=torch.float32) + proximal * (p.detach() - begin)
        optimizer.step()
        vectors.append(p.detach().tolist())
    return vectors


def adaptive(second, lr, beta1, tau):
    """Algorithm 2 with Delta_t = -(pseudo-gradient), m_{-1} = 0, v_{-1} = tau^2."""
    x, m, v = list(start), [0.0] * N, [tau * tau] * N
    vectors = []
    for gradient in gradients:
        for i, g in enumerate(gradient):
            delta = -g
            m[i] = beta1 * m[i] + (1 - beta1) * delta
            v[i] = second(v[i], delta * delta)
            x[i] = x[i] + lr * m[i] / (math.sqrt(v[i]) + tau)
        vectors.append(list(x))
    return vectors


def fed_adagrad(lr, beta1, tau):
    return adaptive(lambda v, square: v + square, lr, beta1, tau)


def fed_yogi(lr, beta1, beta2, tau):
    def second(v, square):
        sign = (v > square) - (v < square)
        return v - (1 - beta2) * square * sign

    return adaptive(second, lr, beta1, tau)


def fed_adam(lr, beta1, beta2, tau):
    return adaptive(lambda v, square: beta2 * v + (1 - beta2) * square, lr, beta1, tau)


cases = []
for lr, betas, eps, decay in [
    (0.005, (0.9, 0.999), 1e-8, 0.01),
    (0.1, (0.5, 0.9), 1e-3, 0.0),
    (0.02, (0.0, 0.99), 1e-6, 0.5),
]:
    values = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": decay}
    cases.append(
        {
            "kind": "adamw",
            "values": [lr, *betas, eps, decay],
            "vectors": with_torch(torch.optim.AdamW, **values),
        }
    )
for values in [(0.01, 0.9, 0.99, 1e-3), (0.3, 0.0, 0.9, 0.1)]:
    cases.append({"kind": "fed_adam", "values": list(values), "vectors": fed_adam(*values)})
    cases.append({"kind": "fed_yogi", "values": list(values), "vectors": fed_yogi(*values)})
for values in [(0.1, 0.0, 1e-3), (0.02, 0.9, 0.1)]:
    cases.append({"kind": "fed_adagrad", "values": list(values), "vectors": fed_adagrad(*values)})
for lr, tau in [(0.1, 2.0**-10), (0.02, 0.125)]:
    vectors = with_torch(torch.optim.Adagrad, lr=lr, initial_accumulator_value=tau**2, eps=tau)
    cases.append({"kind": "adagrad", "values": [lr, tau], "vectors": vectors})
for lr, momentum, mu in [(0.05, 0.9, 0.5), (0.5, 0.0, 0.125)]:
    vectors = with_torch(torch.optim.SGD, proximal=mu, lr=lr, momentum=momentum)
    cases.append({"kind": "sgd_proximal", "values": [lr, momentum, mu], "vectors": vectors})
for lr, betas, eps, decay, mu in [(0.005, (0.9, 0.999), 1e-8, 0.01, 0.25)]:
    values = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": decay}
    vectors = with_torch(torch.optim.AdamW, proximal=mu, **values)
    cases.append(
        {"kind": "adamw_proximal", "values": [lr, *betas, eps, decay, mu], "vectors": vectors}
    )
for lr, momentum in [(0.05, 0.9), (0.5, 0.0)]:
    cases.append(
        {
            "kind": "sgd",
            "values": [lr, momentum],
            "vectors": with_torch(torch.optim.SGD, lr=lr, momentum=momentum),
        }
    )
golden = {"start": start, "gradients": gradients, "cases": cases, "torch": torch.__version__}
path = pathlib.Path(__file__).with_name("optimizers.json")
path.write_text(json.dumps(golden, indent=1) + "\n")
print(f"{path}: {len(cases)} cases of {STEPS} steps, {path.stat().st_size} bytes")


def rates(rounds, warmup, make):
    """The rate of each round under a scheduler made for the rounds after the warm-up."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    main = make(optimizer, rounds - warmup)
    scheduler = main
    if warmup > 0:
        rise = lr_scheduler.LinearLR(
            optimizer, start_factor=1 / (warmup + 1), total_iters=warmup
        )
        scheduler = lr_scheduler.SequentialLR(optimizer, [rise, main], milestones=[warmup])
    found = []
    for _ in range(rounds):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


schedules = []
for rounds, warmup in [(1, 0), (7, 0), (40, 5), (200, 1)]:
    for kind, values, make in [
        ("constant", [], lambda o, n: lr_scheduler.LambdaLR(o, lambda t: 1.0)),
        (
            "linear",
            [0.1],
            lambda o, n: lr_scheduler.LinearLR(o, start_factor=1, end_factor=0.1, total_iters=n),
        ),
        (
            "linear",
            [0.0],
            lambda o, n: lr_scheduler.LinearLR(o, start_factor=1, end_factor=0.0, total_iters=n),
        ),
        ("cosine", [0.0], lambda o, n: lr_scheduler.CosineAnnealingLR(o, T_max=n)),
        ("cosine", [0.2], lambda o, n: lr_scheduler.CosineAnnealingLR(o, T_max=n, eta_min=0.2)),
        ("exponential", [0.5, 3], lambda o, n: lr_scheduler.StepLR(o, step_size=3, gamma=0.5)),
        ("exponential", [0.9, 1], lambda o, n: lr_scheduler.StepLR(o, step_size=1, gamma=0.9)),
    ]:
        schedules.append(
            {
                "kind": kind,
                "values": values,
                "rounds": rounds,
                "warmup": warmup,
                "factors": rates(rounds, warmup, make),
            }
        )
path = pathlib.Path(__file__).with_name("schedules.json")
path.write_text(json.dumps({"cases": schedules, "torch": torch.__version__}, indent=1) + "\n")
print(f"{path}: {len(schedules)} schedules, {path.stat().st_size} bytes")
