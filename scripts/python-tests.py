"""python scripts/python-tests.py FOLDER: runs its checks and ends with the line that scripts/test adds up."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path


def main() -> int:
    """Exit code 0 where nothing failed and something ran."""
    folder = Path(sys.argv[1]).resolve()
    suite = unittest.defaultTestLoader.discover(str(folder), top_level_dir=str(folder.parents[1]))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len({case.id() for case, _ in result.failures + result.errors})
    skipped = len(result.skipped)
    passed = result.testsRun - failed - skipped
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
