"""Makes optimizers.json: trajectories of the server and client optimizers on fixed gradients.

  adamw     torch.optim.AdamW in float32, one step a gradient
  fed_adam  Reddi et al. 2021, Algorithm 2, written out in float64 with Python's own numbers
  sgd       torch.optim.SGD with momentum in float32

The gradients are the pseudo-gradient of each server step (of each local step for sgd).
Run from the repository root, with PyTorch installed:
  python Tests/Goldens/federation-optimizers/generate.py
"""

import json
import math
import pathlib
import random

import torch

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


def with_torch(make, **values):
    p = torch.nn.Parameter(torch.tensor(start, dtype=torch.float32))
    optimizer = make([p], **values)
    vectors = []
    for gradient in gradients:
        p.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
        vectors.append(p.detach().tolist())
    return vectors


def fed_adam(lr, beta1, beta2, tau):
    """Algorithm 2 with Delta_t = -(pseudo-gradient), m_{-1} = 0, v_{-1} = tau^2."""
    x, m, v = list(start), [0.0] * N, [tau * tau] * N
    vectors = []
    for gradient in gradients:
        for i, g in enumerate(gradient):
            delta = -g
            m[i] = beta1 * m[i] + (1 - beta1) * delta
            v[i] = beta2 * v[i] + (1 - beta2) * delta * delta
            x[i] = x[i] + lr * m[i] / (math.sqrt(v[i]) + tau)
        vectors.append(list(x))
    return vectors


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
