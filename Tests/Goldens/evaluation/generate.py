"""Makes evaluation.json: what scikit-learn and NumPy say of labels, predictions and clients.

  classifiers  labels and predictions of examples, with f1_score (macro, micro, weighted) and accuracy
  clients      (right, examples) of clients, with the accuracies' mean, numpy.percentile 10 to 90 and
               the mean of the worst tenth
  partition    the label of each example and the examples of each client, with the total variation
               distance and the entropy (scipy, in bits) of each client's labels

Run from the repository root, with NumPy, SciPy and scikit-learn installed:
  python Tests/Goldens/evaluation/generate.py
"""

import json
import math
import pathlib
import random

import numpy as np
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, f1_score

random.seed(20240607)


def classifier(labels, count, right, used):
    """`used` of the labels occur; others are known to the task and never seen."""
    truth = [random.choice(used) for _ in range(count)]
    said = [t if random.random() < right else random.choice(used) for t in truth]
    averages = {
        name: f1_score(truth, said, average=name, zero_division=0)
        for name in ("macro", "micro", "weighted")
    }
    return dict(
        label_count=labels, labels=truth, predictions=said, accuracy=accuracy_score(truth, said),
        **averages,
    )


def never_right():
    truth, said = [0, 0, 1, 1], [1, 2, 0, 2]
    return dict(
        label_count=4, labels=truth, predictions=said, accuracy=0.0,
        **{n: f1_score(truth, said, average=n, zero_division=0) for n in ("macro", "micro", "weighted")},
    )


def clients(count):
    sizes = [random.randint(1, 40) for _ in range(count)]
    right = [random.randint(0, n) for n in sizes]
    accuracy = np.array(right) / np.array(sizes)
    worst = np.sort(accuracy)[: math.ceil(count / 10)]
    return dict(
        examples=sizes, right=right, mean=float(accuracy.mean()),
        deciles=[float(x) for x in np.percentile(accuracy, range(10, 100, 10))],
        worst_tenth=float(worst.mean()),
    )


def partition():
    labels = [min(random.randrange(7), random.randrange(7)) for _ in range(300)]
    owner = [random.randrange(9) for _ in range(300)]
    owned = [[e for e in range(300) if owner[e] == c] for c in range(9)]
    whole = np.bincount(labels, minlength=7) / 300
    shares = [np.bincount([labels[e] for e in own], minlength=7) / len(own) for own in owned]
    return dict(
        labels=labels, clients=owned,
        distance=[float(np.abs(q - whole).sum() / 2) for q in shares],
        entropy=[float(entropy(q, base=2)) for q in shares],
        corpus_entropy=float(entropy(whole, base=2)),
    )


golden = dict(
    classifiers=[
        classifier(5, 203, 0.7, [0, 1, 2, 3, 4]),
        classifier(20, 61, 0.3, [0, 3, 4, 7, 11, 19]),
        classifier(2, 17, 0.9, [1]),
        never_right(),
    ],
    clients=[clients(n) for n in (1, 2, 7, 10, 11, 35)],
    partition=partition(),
)
path = pathlib.Path(__file__).with_name("evaluation.json")
path.write_text(json.dumps(golden) + "\n")
