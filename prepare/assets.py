"""Models and corpora by name, as `make assets` asks for them: MODEL, CORPUS.MODEL, or IMAGES."""

from __future__ import annotations

from . import models
from .pictures import fashion_mnist, image_preparation
from .public_corpora import corpora, mathematics
from .errors import USAGE, PrepareError, nearest, shown
from .home import home, say
from .publishing import read_manifest
from .tokens.tokenizer_directory import TokenizerDirectory, in_home

CORPORA = (*corpora.CLASSIFIED, "friends", "mathematics")
IMAGES = "fashion-mnist"
"""A corpus of images, which needs no tokenizer."""
COMMANDS = ("text", "chat", "choices", "images", "arrays", "hub", "show", "assets")


def known() -> list[str]:
    """All names that can be made."""
    names = (f"{corpus}.{model}" for corpus in CORPORA for model in models.MODELS)
    # An encoder gives no answers.
    return [*models.MODELS, IMAGES, *(name for name in names if name != "mathematics.minilm-l6")]


def prepare(names: list[str]) -> None:
    """Makes what is not there yet; a corpus's model is made before it.

    Raises PrepareError for a name that is neither there nor can be made, before anything is done.
    """
    for name in names:
        if name not in known() and name not in in_home():
            raise PrepareError(unknown(name, "asset"), USAGE)
    for name in names:
        if name not in known():
            _say_what_is_there(name)
            continue
        if name == IMAGES:
            grey = image_preparation.of_options(None, 1, None, None, None, False)
            fashion_mnist.prepare(grey, 0.1, name=IMAGES, seed=0, replace=False)
            continue
        corpus, _, model = name.rpartition(".")
        models.MODELS[model]()
        if corpus:
            tokenizer = TokenizerDirectory.find(model)
            if corpus in corpora.CLASSIFIED:
                corpora.prepare_classified(corpus, tokenizer, 128, None, 0.2, 0, False)
            elif corpus == "friends":
                corpora.prepare_friends(tokenizer, 128, None, 20, False)
            else:
                sizes = {"train": 100, "validation": 20, "test": 20}
                mathematics.prepare(tokenizer, 128, None, None, sizes, "easy", 0, False, False)


def _say_what_is_there(name: str) -> None:
    """A folder that is there and that `make assets` could not make."""
    command = read_manifest(home() / name).get("command")
    made = f"made by {' '.join(map(str, command))}" if command else "not made by prepare"
    say(f"{name}: already in {shown(home() / name)}, {made}")


def unknown(name: str, what: str) -> str:
    """What to type where a name can't be made."""
    there = in_home()
    if what == "WHAT":
        options = [*models.MODELS, *CORPORA, IMAGES, *COMMANDS]
        if name in known() and name not in options:
            return f"there is no WHAT {name}; type scripts/prepare assets {name}"
    else:
        options = known()
    near = nearest(name, [*options, *there])
    if near:
        return f"there is no {what} {name}{near}"
    listed = f"; already in {shown(home())}: {', '.join(there)}" if there else ""
    return (
        f"there is no {what} {name}; scripts/prepare can make {', '.join(options)}{listed}; a model"
        " of the Hugging Face Hub is fetched by scripts/prepare hub OWNER/NAME, or used by the path"
        " of its directory; a corpus of your own is made by scripts/prepare text --file FILE --text"
        " COLUMN --tokenizer MODEL --name NAME"
    )
