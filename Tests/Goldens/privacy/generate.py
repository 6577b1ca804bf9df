"""Makes accountant.json and rounds.json: what privacy costs, and what it does to a federation.

accountant.json
  epsilons     Google's dp-accounting, RdpAccountant with its default orders, over a grid
  divergences  its RDP of one round at some orders, and where the moment
               A = E ((1-q) + q exp((2x-1) / (2 z^2)))^alpha, x ~ N(0, z^2), was integrated with
               mpmath (arXiv 1908.10530, equation 2), log A / (alpha - 1)
  multipliers  dp-accounting's calibration of the noise multiplier to an epsilon

rounds.json
  DP-FedAvg with fixed and with adaptive clipping on quadratics, written out in float64 with an own
  Philox4x32-10 and Box-Muller: clips and server vectors round by round.

Run from the repository root, in an environment of requirements.txt beside this file:
  python Tests/Goldens/privacy/generate.py
"""

import json
import math
import pathlib
import random

import dp_accounting
import mpmath
from dp_accounting import rdp

HERE = pathlib.Path(__file__).parent


def event(rate, multiplier, rounds):
    gaussian = dp_accounting.GaussianDpEvent(multiplier)
    return dp_accounting.SelfComposedDpEvent(
        dp_accounting.PoissonSampledDpEvent(rate, gaussian), rounds
    )


def epsilon(rate, multiplier, rounds, delta):
    accountant = rdp.RdpAccountant()
    accountant.compose(event(rate, multiplier, rounds))
    return accountant.get_epsilon_and_optimal_order(delta)


def divergence(rate, multiplier, order):
    accountant = rdp.RdpAccountant(orders=[order])
    accountant.compose(event(rate, multiplier, 1))
    return float(accountant.rdp[0])


def exact_divergence(rate, multiplier, order):
    mpmath.mp.dps = 40
    q, z, alpha = map(mpmath.mpf, (rate, multiplier, order))

    def integrand(x):
        ratio = (1 - q) + q * mpmath.exp((2 * x - 1) / (2 * z * z))
        return mpmath.npdf(x, 0, z) * ratio**alpha

    # The mass lies around 0 and around alpha.
    points = [i * z for i in range(-12, 13)] + [alpha + i * z for i in range(-12, 13)]
    points = sorted(set(points))
    moment = mpmath.quad(integrand, [-mpmath.inf, *points, mpmath.inf])
    return float(mpmath.log(moment) / (alpha - 1))


epsilons = []
for rate in [0.0001, 0.001, 0.01, 10 / 350, 0.1, 0.5, 1.0]:
    for multiplier in [0.3, 0.5, 0.8, 1.0, 1.5, 4.0, 20.0]:
        for rounds in [1, 40, 200, 10_000]:
            for delta in [1e-3, 1e-5, 1e-9]:
                found, order = epsilon(rate, multiplier, rounds, delta)
                epsilons.append([rate, multiplier, rounds, delta, float(found), float(order)])

divergences = []
for rate, multiplier in [(0.01, 1.0), (0.1, 0.7), (0.5, 2.0), (10 / 350, 1.3), (0.001, 4.0)]:
    for order in [1.5, 2.0, 2.5, 4.3, 8.7, 16.0, 63.0]:
        google = divergence(rate, multiplier, order)
        exact = exact_divergence(rate, multiplier, order)
        divergences.append([rate, multiplier, order, google if math.isfinite(google) else -1, exact])

multipliers = []
for target, delta, rate, rounds in [
    (2.0, 1e-5, 10 / 350, 200),
    (8.0, 1e-5, 0.1, 40),
    (0.5, 1e-6, 0.01, 1000),
    (30.0, 1e-3, 0.5, 100),
]:
    found = dp_accounting.calibrate_dp_mechanism(
        rdp.RdpAccountant, lambda z: event(rate, z, rounds), target, delta, tol=1e-8
    )
    multipliers.append([target, delta, rate, rounds, float(found)])

path = HERE / "accountant.json"
golden = {"epsilons": epsilons, "divergences": divergences, "multipliers": multipliers}
path.write_text(json.dumps(golden).replace("], [", "],\n [") + "\n")
print(f"{path}: {len(epsilons)} epsilons, {len(divergences)} divergences, {len(multipliers)} multipliers")


# rounds.json

MASK = 0xFFFFFFFF


def philox(counter, key):
    """Philox4x32-10 (Salmon et al. 2011), words least significant first."""
    c, (k0, k1) = list(counter), key
    for turn in range(10):
        if turn:
            k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
        first, second = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(second >> 32) ^ c[1] ^ k0, second & MASK, (first >> 32) ^ c[3] ^ k1, first & MASK]
    return c


class Stream:
    """The program's stream of (seed, purpose, round, client, step): two 64-bit numbers a block."""

    NOISE = 9

    def __init__(self, seed, round, step, client=0):
        self.key = (seed & MASK, seed >> 32)
        self.tail = (self.NOISE | step << 8, round, client)
        self.block, self.ready = 0, []

    def uniform(self):
        if not self.ready:
            w = philox((self.block, *self.tail), self.key)
            self.block += 1
            self.ready = [w[1] << 32 | w[0], w[3] << 32 | w[2]]
        return (self.ready.pop(0) >> 11) * 2.0**-53

    def normal(self):
        radius = math.sqrt(-2 * math.log(1 - self.uniform()))
        return radius * math.cos(2 * math.pi * self.uniform())


random.seed(20180214)
N, CLIENTS, ROUNDS, SEED, LOCAL_RATE = 5, 7, 8, 77, 0.5
# Multiples of 1/64, exact in float32.
scales = [random.randint(8, 64) / 64 for _ in range(N)]
centers = [[random.randint(-128, 128) / 64 for _ in range(N)] for _ in range(CLIENTS)]
start = [random.randint(-64, 64) / 64 for _ in range(N)]
cohorts = [sorted(random.sample(range(CLIENTS), 4)) for _ in range(ROUNDS)]


def play(clip, multiplier, adaptive=None, noise_cohort=None):
    """adaptive: (quantile, rate, count deviation or None)."""
    x, clips, vectors, shares = list(start), [], [], []
    for t, cohort in enumerate(cohorts):
        m = len(cohort)
        simulated = noise_cohort or m
        clips.append(clip)
        total, within = [0.0] * N, 0
        for c in cohort:
            delta = [LOCAL_RATE * s * (p - center) for s, p, center in zip(scales, x, centers[c])]
            norm = math.sqrt(sum(d * d for d in delta))
            within += norm <= clip
            total = [a + d * min(1.0, clip / norm) for a, d in zip(total, delta)]
        shares.append(1 - within / m)
        vector_multiplier = multiplier
        if adaptive:
            quantile, rate, deviation = adaptive
            deviation = simulated / 20 if deviation is None else deviation
            if multiplier > 0:
                vector_multiplier = (multiplier**-2 - (2 * deviation) ** -2) ** -0.5
        noise = Stream(SEED, t, 0)
        scale = vector_multiplier * clip * m / simulated
        if scale > 0:
            total = [a + scale * noise.normal() for a in total]
        x = [p - a / m for p, a in zip(x, total)]
        vectors.append(x)
        if adaptive:
            count = within + deviation * m / simulated * Stream(SEED, t, 1).normal()
            clip *= math.exp(-rate * (count / m - quantile))
    return {"clips": clips, "clipped_shares": shares, "vectors": vectors}


cases = []
for clip, multiplier, adaptive, noise_cohort in [
    (0.75, 0.0, None, None),
    (0.75, 0.5, None, None),
    (0.75, 2.0, None, 64),
    (3.0, 0.0, (0.5, 0.5, 0.0), None),
    (0.05, 0.25, (0.7, 1.5, None), None),
    (0.25, 1.0, (0.5, 0.2, None), 400),
]:
    found = play(clip, multiplier, adaptive, noise_cohort)
    cases.append(
        {
            "clip": clip,
            "noise_multiplier": multiplier,
            "adaptive": [] if adaptive is None else [-1 if v is None else v for v in adaptive],
            "noise_cohort_size": noise_cohort or 0,
            **found,
        }
    )
path = HERE / "rounds.json"
golden = {"scales": scales, "centers": centers, "start": start, "cohorts": cohorts, "seed": SEED}
golden |= {"local_learning_rate": LOCAL_RATE, "cases": cases}
path.write_text(json.dumps(golden, indent=1) + "\n")
print(f"{path}: {len(cases)} cases of {ROUNDS} rounds")
