"""How long a round takes, by a model: no file is read here.

docs/communication-model.md has the formulas.

A rank's work is its clients' tokens. The ranks of a host share its cores. Uploads become sums of
hosts and go along a tree of hosts to rank 0, as in
Sources/Federation/Collectives/UploadCosts.swift. Then the server steps.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

SEGMENT = 1 << 17  # words of a segment of a sum
WORD_BYTES = 4.75  # bytes of one of its words


@dataclass(frozen=True)
class Link:
    """A message of n bytes takes latency + n * seconds_per_byte (LogGP: L + 2 o, and G)."""

    latency: float
    seconds_per_byte: float


@dataclass(frozen=True)
class Machine:
    """What a host can do; all times in seconds.

    together: what all cores of a host get done, over what one gets done alone times their number.
    """

    cores: int
    tokens_per_second: float
    together: float
    client_overhead: float
    link: Link
    coordinate: float = 4e-9  # a kept coordinate decoded and added to the host's sum
    line: float = 25e-9  # a cache line of the sum, where coordinates are far between
    encode: float = 4e-9  # a word of a sum encoded
    add: float = 3e-9  # and added
    sweep: float = 0.6e-9  # a word gone over
    step: float = 5e-9  # the server's step, a coordinate
    fixed: float = 0.0  # what each round has beside


@dataclass(frozen=True)
class Workload:
    """A round: the tokens of each client of the cohort, the trained vector and its densities."""

    tokens: list[float]
    coordinates: int
    download_density: float
    upload_density: float


@dataclass(frozen=True)
class RoundTime:
    """The parts of a round, in seconds."""

    download: float
    train: float
    upload: float
    server: float
    fixed: float
    longest_client: float

    @property
    def total(self) -> float:
        """The whole round without evaluation."""
        return self.download + self.train + self.upload + self.server + self.fixed

    @property
    def bottleneck(self) -> str:
        """The part that takes longest; in training, whether one client alone takes most of it."""
        parts = {"download": self.download, "upload": self.upload, "server": self.server}
        name = max(parts, key=parts.get)
        if parts[name] > self.train:
            return name
        return "the longest client" if self.longest_client > 0.9 * self.train else "training"


def longest_first(costs: list[float], ranks: int) -> list[list[float]]:
    """The costs that each rank gets: the largest first, each to the rank with the least so far."""
    assigned: list[list[float]] = [[] for _ in range(ranks)]
    heap = [(0.0, rank) for rank in range(ranks)]
    for cost in sorted(costs, reverse=True):
        load, rank = heapq.heappop(heap)
        assigned[rank].append(cost)
        heapq.heappush(heap, (load + cost, rank))
    return assigned


def sharing(work: list[float], cores: int, together: float) -> float:
    """When the last of some ranks ends that share a host's cores evenly, none with more than one.

    `work` is each rank's seconds alone. One core alone has speed 1; k busy cores have the speed
    k * (1 - (1 - together) (k - 1) / (cores - 1)).
    """
    left, now, done = sorted(work), 0.0, 0.0
    for index, seconds in enumerate(left):
        active = len(left) - index
        busy = min(active, cores)
        slow = 1.0 if cores == 1 else 1 - (1 - together) * (busy - 1) / (cores - 1)
        now += (seconds - done) / (busy * slow / active)
        done = seconds
    return now


def union(kept: list[float], coordinates: int) -> float:
    """The expected size of the union of independent supports."""
    missing = 1.0
    for k in kept:
        missing *= 1 - k / coordinates
    return coordinates * (1 - missing)


def sum_bytes(count: float, coordinates: int) -> float:
    """The bytes of a sum with so many words that are not zero."""
    if count < 1:
        return 0.0
    gap = coordinates / count
    bits = gap if gap < 2 else math.floor(math.log2(gap)) + 1.9
    return min(count * (WORD_BYTES + bits / 8), coordinates * WORD_BYTES)


def round_time(work: Workload, machine: Machine, ranks: int, ranks_per_host: int) -> RoundTime:
    """The round on `ranks` ranks, `ranks_per_host` on a host, sums along a chain of hosts."""
    n = work.coordinates
    kept = work.upload_density * n
    assigned = longest_first(work.tokens, ranks)
    seconds = [
        sum(tokens / machine.tokens_per_second + machine.client_overhead for tokens in own)
        for own in assigned
    ]
    hosts = [
        list(range(first, min(first + ranks_per_host, ranks)))
        for first in range(0, ranks, ranks_per_host)
    ]
    train = max(
        sharing([seconds[rank] for rank in host], machine.cores, machine.together) for host in hosts
    )
    one = machine.coordinate * kept + machine.line * min(kept, n / 8)
    adding = max(
        sharing([one * len(assigned[rank]) for rank in host], machine.cores, machine.together)
        for host in hosts
    )
    upload = adding
    if len(hosts) > 1:
        sizes = [union([kept] * sum(len(assigned[rank]) for rank in host), n) for host in hosts]
        missing = 1.0
        for size in sizes[1:]:
            missing *= 1 - size / n
        whole = n * (1 - missing)
        segments = max(1, math.ceil(n / SEGMENT))
        wire = machine.link.seconds_per_byte * sum_bytes(whole, n)
        coding = (machine.encode + machine.add) * whole
        upload += machine.encode * max(sizes) + 2 * n * machine.sweep + wire + machine.add * whole
        upload += machine.link.latency + (len(hosts) - 2) * (
            machine.link.latency + (wire + coding) / segments
        )
    message = 4.5 * work.download_density * n
    download = machine.encode * work.download_density * n
    if len(hosts) > 1:
        download += message * machine.link.seconds_per_byte + machine.link.latency * len(hosts)
    longest = max(work.tokens) / machine.tokens_per_second + machine.client_overhead
    return RoundTime(download, train, upload, machine.step * n, machine.fixed, longest)
