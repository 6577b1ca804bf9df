"""Conversations of several turns: the loss counts what transformers counts as the assistant's."""

from __future__ import annotations

import json
from pathlib import Path

from prepare.tests.support import HomeTestCase, load, run

GOLDENS = json.loads(
    Path(__file__).with_name("goldens").joinpath("conversations.json").read_text(encoding="utf-8")
)
PAIR = [{"role": "user", "content": "red"}, {"role": "assistant", "content": "green"}]
NO_THOUGHTS = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' and not loop.last %}{{ message['content'].split()[-1] }}"
    "{% else %}{{ message['content'] }}{% endif %}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


class ConversationTests(HomeTestCase):
    """python -m prepare chat --messages"""

    def model(self, template: str) -> None:
        """A model directory with the tokenizer of the goldens and a template."""
        folder = self.home / "tiny"
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer.json").write_text(json.dumps(GOLDENS["tokenizer"]))
        (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 64}))
        config = {**GOLDENS["special"], "chat_template": template}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))

    def rows(self, rows: list[dict], name: str = "rows.jsonl") -> str:
        """A file of rows."""
        path = self.home / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    def chat(self, *files: str, name: str = "mine", code: int = 0) -> str:
        """What a call prints: its last line on standard error where it fails."""
        options = ["--tokenizer", "tiny", "--length", "64", "--name", name]
        done = run("chat", "--file", *files, *options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), int(code != 0), done.stderr)
        return done.stderr if code else done.stdout

    def examples(self, name: str = "mine", split: str = "train") -> list[tuple[list, list]]:
        """Tokens and marks of the examples of a split."""
        tensors, _ = load(self.home / name / f"{split}.safetensors")
        ends = list(zip(tensors["offsets"], tensors["offsets"][1:]))
        return [
            (tensors["tokens"][first:last].tolist(), tensors["loss"][first:last].tolist())
            for first, last in ends
        ]

    def test_every_turn_of_the_assistant_is_counted_as_transformers_counts_it(self) -> None:
        for number, golden in enumerate(GOLDENS["conversations"]):
            with self.subTest(golden["name"], number=number):
                self.model(golden["template"])
                rows = [{"messages": golden["messages"]}] * 5
                self.chat(self.rows(rows), name=f"c{number}")
                last = len(golden["mask"]) - golden["mask"][::-1].index(1)
                expected = (golden["tokens"][:last], golden["mask"][:last])
                self.assertEqual(set(map(str, self.examples(f"c{number}"))), {str(expected)})

    def test_sharegpt_has_the_same_tokens(self) -> None:
        golden = GOLDENS["conversations"][1]
        self.model(golden["template"])
        names = {"user": "human", "assistant": "gpt", "system": "system"}
        turns = [
            {"from": names[message["role"]], "value": message["content"]}
            for message in golden["messages"]
        ]
        turns.append({"from": "human", "value": "nobody answers"})
        self.chat(self.rows([{"conversations": turns, "id": i} for i in range(5)]))
        ids = golden["tokens"]
        last = len(ids) - golden["mask"][::-1].index(1)
        self.assertEqual(self.examples()[0], (ids[:last], golden["mask"][:last]))

    def test_plain_ends_every_answer(self) -> None:
        self.model("")
        messages = [*PAIR, {"role": "user", "content": " one "}, PAIR[1]]
        options = ["--tokenizer", "tiny", "--length", "9", "--name", "mine", "--template", "plain"]
        done = run("chat", "--file", self.rows([{"messages": messages}] * 5), *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        # red green </s> one green </s>
        self.assertEqual(self.examples()[0], ([6, 7, 2, 9, 7, 2], [0, 1, 1, 0, 1, 1]))

    def test_a_template_that_changes_earlier_turns_is_refused(self) -> None:
        self.model(NO_THOUGHTS)
        longer = [{"role": "user", "content": "red"}, {"role": "assistant", "content": "one green"}]
        self.chat(self.rows([{"messages": longer}] * 5), name="one-turn")
        line = self.chat(self.rows([{"messages": [*longer, *PAIR]}] * 5), code=65)
        self.assertIn("example 1 of train", line)
        self.assertIn("in another way once a message follows it", line)

    def test_every_mistake_is_one_line_that_names_the_place(self) -> None:
        self.model(GOLDENS["conversations"][0]["template"])
        mistakes = {
            "no message of an assistant": [PAIR[0]],
            "'red' is not a list of messages": "red",
            "message 2 is 'x', not an object": [PAIR[0], "x"],
            "message 1 has no role and content": [{"content": "red"}, PAIR[1]],
            "message 1: its content is None, not a text": [{"role": "user"}, PAIR[1]],
            "message 1: unknown speaker 'tool'": [{"from": "tool", "value": "x"}, PAIR[1]],
            "message 2 calls tools": [PAIR[0], {**PAIR[1], "tool_calls": [1]}],
        }
        for cause, cell in mistakes.items():
            rows = [{"messages": PAIR}, {"messages": cell}]
            with self.subTest(cause):
                self.assertIn(
                    f"rows.jsonl:2: 'messages': {cause}", self.chat(self.rows(rows), code=65)
                )
        line = self.chat(self.rows([{"message": PAIR}]), code=65)
        self.assertIn("no column 'messages'; there are: message; did you mean message?", line)
        line = self.chat(self.rows([{"ask": "red", "say": "blue"}]), code=65)
        self.assertIn("there are: ask, say; name columns by --messages, or by --prompt", line)

    def test_pairs_and_conversations_exclude_each_other(self) -> None:
        self.model("")
        for extra in (["--prompt", "a"], ["--prompt", "a", "--answer", "b", "--messages", "c"]):
            done = run("chat", "--file", "x.jsonl", "--tokenizer", "tiny", *extra)
            self.assertEqual(done.returncode, 64)
            self.assertIn("give --prompt and --answer, or --messages", done.stderr)
