"""The one exception that reaches a person: a single line that says what, where and what to do."""

from __future__ import annotations


class PrepareError(Exception):
    """A cause outside this program (network, disk, a file's content), told in one line."""
