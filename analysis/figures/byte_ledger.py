"""What sparse messages really cost: the ratio that density promises, and the one of the bytes.

From the messages of real runs: `claimed` is length / nonzeros, as papers count; `measured` is the
dense fp32 message's bytes over the encoded one's; `bound` is what these values with a support of
log2 C(n, k) bits would give.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import measures
from ..figure import Figure
from ..grouping import CURVES, METHODS
from ..load import Runs
from ..measures import VALUE_BYTES
from ..style import Context, legend_below, logarithmic, panels

COMPARES = (*METHODS, *CURVES)
SHOWS: tuple[str, ...] = ()
HAS_LINES = True
HEADER_BYTES = 16
DIRECTIONS = ("download", "upload")


def why_not(data: Runs) -> str | None:
    """Needs messages that are shorter than the dense one."""
    return "no run sends anything sparse" if ledger(data).empty else None


def ledger(data: Runs) -> pd.DataFrame:
    """A row for each label, direction and round with messages of some values, not of all.

    Runs whose clients have parts of the adapter (tiers in rank) are left out: the length of a
    tier's vector is not in the tables.
    """
    whole = ~data.settings("method.tiers", "[]").astype(str).str.contains("lora_rank")
    runs = data.runs[whole][["run", "label", "parameters"]]
    rows = []
    clients = data.clients.merge(runs, on="run")
    for direction in DIRECTIONS:
        dense = VALUE_BYTES * clients["parameters"] + HEADER_BYTES
        sent = clients[f"{direction}_payload_bytes"]
        # A client that was lost sent nothing, which is no message.
        # Short values alone (int8) make no message sparse.
        some = clients[f"{direction}_nonzeros"] < clients["parameters"]
        kept = clients[(sent > 0) & (sent < dense) & some]
        for (label, number), group in kept.groupby(["label", "round"], sort=False):
            n = int(group["parameters"].iloc[0])
            nonzeros = group[f"{direction}_nonzeros"].mean()
            payload = group[f"{direction}_payload_bytes"].mean()
            values = group[f"{direction}_values_bytes"].mean()
            bound = measures.support_bound_bytes(n, round(nonzeros))
            rows.append(
                {
                    "label": label,
                    "direction": direction,
                    "round": number,
                    "messages": len(group),
                    "length": n,
                    "density": nonzeros / n,
                    "value_bytes": values,
                    "index_bytes": group[f"{direction}_indices_bytes"].mean(),
                    "header_bytes": group[f"{direction}_header_bytes"].mean(),
                    "payload_bytes": payload,
                    "support_bound_bytes": bound,
                    "claimed_ratio": n / nonzeros,
                    "measured_ratio": (VALUE_BYTES * n + HEADER_BYTES) / payload,
                    "bound_ratio": VALUE_BYTES * n / (values + bound),
                }
            )
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Means over rounds, a row for each label and direction; ratios from the summed bytes."""
    rows = []
    for (label, direction), group in table.groupby(["label", "direction"], sort=False):
        n, weight = group["length"], group["messages"]
        nonzeros, dense = (group["density"] * n * weight).sum(), (n * weight).sum()
        bound = ((group["value_bytes"] + group["support_bound_bytes"]) * weight).sum()
        rows.append(
            {
                "label": label,
                "direction": direction,
                "messages": weight.sum(),
                "density": nonzeros / dense,
                "claimed_ratio": dense / nonzeros,
                "measured_ratio": (
                    ((VALUE_BYTES * n + HEADER_BYTES) * weight).sum()
                    / (group["payload_bytes"] * weight).sum()
                ),
                "bound_ratio": VALUE_BYTES * dense / bound,
                "index_bits_per_value": 8 * (group["index_bytes"] * weight).sum() / nonzeros,
            }
        )
    return pd.DataFrame(rows)


def draw(data: Runs, context: Context) -> Figure:
    """The share of the promised ratio that is left, over density, with that of other codes."""
    table = ledger(data)
    n = int(table["length"].max())
    canvas, (axes,) = panels(context, 1, height=2.4)
    densities = np.geomspace(min(table["density"].min(), 1 / 64) / 1.5, 1, 200)
    values = VALUE_BYTES * n * densities
    bound = [measures.support_bound_bytes(n, density * n) for density in densities]
    axes.plot(
        densities,
        values / (values + bound),
        color="black",
        linewidth=0.8,
        label="fp32 and the bound",
    )
    axes.plot(
        densities, values / (values + n / 8), color="0.5", linestyle=":", label="fp32 and bitmap"
    )
    axes.axhline(0.5, color="0.5", linestyle="--", linewidth=0.8, label="fp32 and 32-bit indices")
    style = context.looks()
    for label in context.order:
        own = table[table["label"] == label]
        directions = [way for way in DIRECTIONS if way in set(own["direction"])]
        for direction in directions:
            group = own[own["direction"] == direction]
            colour = style[label]["color"]
            axes.scatter(
                group["density"],
                group["measured_ratio"] / group["claimed_ratio"],
                s=12,
                marker=style[label]["marker"],
                edgecolors=colour,
                linewidths=0.7,
                label=label if direction == directions[-1] else None,
                facecolors=colour if direction == "upload" else "none",
            )
    logarithmic(axes.xaxis, "density of the message")
    axes.set(ylabel="measured / claimed ratio", ylim=(0.4, None))
    legend_below(canvas, [axes])
    means = summary(table)
    return Figure(
        canvas,
        "The share of the ratio that density promises (1 / density) that is left when messages are "
        "encoded, over their density. A point is the mean of a round's messages: open for "
        "downloads, filled for uploads.",
        {"": table, "summary": means},
        list(data.runs["run"]),
        [
            "The bound takes every support as equally likely. Real supports crowd in some layers, "
            "so a message can be shorter than the bound. A message whose receiver knows the "
            "support has no indices.",
            "A download is encoded once and sent to each client; each client's is counted.",
        ],
        {"": means},
    )
