"""Conversations of several turns: lists of {role, content}, or of {from, value} (ShareGPT)."""

from __future__ import annotations

import json
from typing import Any

from ..errors import one_line

DEFAULT = "messages"
OTHER = "conversations"
"""The column of conversations, and its name in files that follow ShareGPT."""
ROLES = {"human": "user", "gpt": "assistant"}
"""Roles of ShareGPT that have other names in chat templates."""
SHAREGPT = ("system", "user", "assistant", *ROLES)

Conversation = list[dict[str, str]]


class Refusal(Exception):
    """Why a cell is no conversation."""


def wanted(columns: dict[str, str]) -> tuple[str, ...]:
    """Further columns of a file to look at."""
    return (OTHER,) if columns.get("messages") == DEFAULT else ()


def column(name: str, row: dict[str, Any]) -> str:
    """The column of conversations in a file with such a first row."""
    return OTHER if name == DEFAULT and name not in row and OTHER in row else name


def read(value: Any) -> Conversation:
    """The messages of a cell up to the last one of the assistant. Raises Refusal.

    What follows the last answer predicts nothing that is counted.
    """
    if isinstance(value, str):  # a cell of a .csv or .tsv
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Refusal(f"{one_line(repr(value), 60)} is not a list of messages") from None
    if not isinstance(value, list):
        raise Refusal(f"{one_line(repr(value), 60)} is not a list of messages")
    messages = [_message(number, entry) for number, entry in enumerate(value, start=1)]
    answers = [place for place, message in enumerate(messages) if is_answer(message)]
    if not answers:
        raise Refusal("no message of an assistant; leave the row out")
    return messages[: answers[-1] + 1]


def is_answer(message: dict[str, str]) -> bool:
    """True for what the assistant says."""
    return message["role"] == "assistant"


def _message(number: int, entry: Any) -> dict[str, str]:
    """One message with role and content."""
    if not isinstance(entry, dict):
        raise Refusal(f"message {number} is {one_line(repr(entry), 60)}, not an object")
    if entry.get("role") is None and isinstance(entry.get("from"), str):
        role, content = entry["from"], entry.get("value")
        if role not in SHAREGPT:
            raise Refusal(f"message {number}: unknown speaker {role!r}; leave the row out")
    else:
        role, content = entry.get("role"), entry.get("content")
    if entry.get("tool_calls"):
        raise Refusal(f"message {number} calls tools, which is not supported; leave the row out")
    if not isinstance(role, str) or not role:
        raise Refusal(f"message {number} has no role and content, and no from and value")
    if not isinstance(content, str):
        what = one_line(repr(content), 60)
        raise Refusal(f"message {number}: its content is {what}, not a text; leave the row out")
    return {"role": ROLES.get(role, role), "content": content}
