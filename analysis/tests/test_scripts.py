"""scripts/scaling with an mpirun that is a script: which run fails decides how it ends."""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MPIRUN = """#!/bin/bash
case "$*" in
  *"/$FAILING "*) echo "no memory"; exit 1 ;;
esac
echo "digest 0"
echo "done"
"""


class ScalingTests(unittest.TestCase):
    """Exit codes"""

    def scaling(self, failing: str) -> subprocess.CompletedProcess:
        """A call in which one run fails."""
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "mpirun"
            program.write_text(MPIRUN)
            program.chmod(0o755)
            environment = {
                **os.environ,
                "PATH": f"{folder}:{os.environ['PATH']}",
                "PROGRAM": "cellm-mpi",
                "RUNS": folder,
                "RANKS": "1",
                "FAILING": failing,
            }
            return subprocess.run(
                ["bash", str(ROOT / "scripts" / "scaling")],
                capture_output=True,
                text=True,
                env=environment,
            )

    def test_a_run_that_fails_is_not_forgotten(self) -> None:
        for name in ("strong-1", "weak-1", "pair-a", "pair-b"):
            done = self.scaling(name)
            self.assertEqual(done.returncode, 1, name)
            self.assertEqual(done.stderr, f"scaling: {name}: no memory\n")

    def test_runs_that_end_well_end_well(self) -> None:
        done = self.scaling("none")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len(done.stdout.splitlines()), 4)


if __name__ == "__main__":
    unittest.main()
