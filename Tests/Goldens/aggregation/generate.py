"""Makes coordinate_wise.json: one round of clients on quadratics, aggregated by NumPy.

Client k moves the server's vector P to its center c_k in one step, so that its delta is P - c_k. It
sends the coordinates of largest |delta|. The server takes, coordinate by coordinate, the median or the
trimmed mean (Yin et al., arXiv 1803.01498) of what was sent, where a coordinate that was not sent is
zero or left out, and steps by it: P - g in float32. All deltas are multiples of 2^-10, so that they are
exact.

Run from the repository root, with NumPy:
  python Tests/Goldens/aggregation/generate.py
"""

import json
import pathlib

import numpy

HERE = pathlib.Path(__file__).parent


def sent(delta, count):
    """The coordinates of largest magnitude, NaN elsewhere."""
    order = numpy.argsort(-numpy.abs(delta), kind="stable")
    upload = numpy.full(delta.shape, numpy.nan)
    upload[order[:count]] = delta[order[:count]]
    return upload


def trimmed_mean(values, trim):
    values = numpy.sort(values)
    cut = int(trim * len(values))
    return numpy.mean(values[cut : len(values) - cut])


def aggregate(uploads, rule):
    result = numpy.zeros(uploads.shape[1])
    for coordinate, column in enumerate(uploads.T):
        left = ~numpy.isnan(column)
        values = column[left] if rule["absent"] == "left_out" else numpy.where(left, column, 0)
        if len(values):
            median = rule["name"] == "coordinate_median"
            result[coordinate] = (
                numpy.median(values) if median else trimmed_mean(values, rule["trim"])
            )
    return result.astype(numpy.float32)


def main():
    random = numpy.random.default_rng(11)
    cases = []
    for clients, length, density in [(5, 12, 1.0), (6, 16, 0.5), (7, 24, 0.25), (1, 8, 0.5)]:
        # Different magnitudes, so that no selection has ties.
        start = random.integers(-1024, 1024, length) / 1024
        deltas = numpy.stack(
            [
                random.permutation(numpy.arange(1, length + 1)) * random.choice([-1, 1], length)
                + random.integers(-256, 256, length) / 1024
                for _ in range(clients)
            ]
        )
        uploads = numpy.stack([sent(delta, int(length * density)) for delta in deltas])
        for absent in ["zero", "left_out"]:
            rules = [{"name": "coordinate_median", "absent": absent}]
            rules += [
                {"name": "trimmed_mean", "trim": trim, "absent": absent} for trim in [0, 0.2, 0.45]
            ]
            for rule in rules:
                vector = start.astype(numpy.float32) - aggregate(uploads, rule)
                cases.append(
                    {
                        "rule": rule,
                        "density": density,
                        "start": start.tolist(),
                        "centers": (start - deltas).tolist(),
                        "vector": vector.astype(float).tolist(),
                    }
                )
    (HERE / "coordinate_wise.json").write_text(json.dumps(cases) + "\n")


main()
