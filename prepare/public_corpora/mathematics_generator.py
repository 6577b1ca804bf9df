"""Questions and answers of the package mathematics-dataset, as JSON lines on standard output.

    python mathematics_generator.py SETTINGS

SETTINGS is a JSON object: `seed`, `level` and `levels` (of difficulty), `modules` and `count`
(different questions of each module). It runs in a process of its own, with PYTHONHASHSEED=0 (sympy
orders symbols by their hashes) and with the packages on PYTHONPATH. Without `modules` it prints the
names of all.
"""

import hashlib
import json
import random
import sys
import warnings

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
from mathematics_dataset.modules import modules  # noqa: E402


def flattened(tree, path=()):
    """Modules by their names, such as arithmetic__mul."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flattened(value, (*path, name))
        else:
            yield "__".join((*path, name)), value


def main():
    settings = json.loads(sys.argv[1])
    level, levels = settings["level"], settings["levels"]

    def part(bounds):
        """The part of a range of entropies that belongs to the level."""
        width = (bounds[1] - bounds[0]) / levels
        return bounds[0] + level * width, bounds[0] + (level + 1) * width

    known = dict(flattened(modules.train(part)))
    if "modules" not in settings:
        print(json.dumps(sorted(known)))
        return
    for name in settings["modules"]:
        digest = hashlib.sha256(f"{settings['seed']}/{name}".encode()).digest()
        random.seed(digest)
        np.random.seed(int.from_bytes(digest[:4], "big"))
        seen = set()
        for _ in range(50 * settings["count"]):
            if len(seen) == settings["count"]:
                break
            problem = known[name]()
            question = str(problem.question)
            if question not in seen:
                seen.add(question)
                print(json.dumps([name, question, str(problem.answer)]))


if __name__ == "__main__":
    main()
