"""Prompts and answers: rendered as transformers renders them, with marks on the answers' tokens."""

from __future__ import annotations

import json
from pathlib import Path

from prepare.tokens.chat_template import ChatTemplate
from prepare.errors import PrepareError
from prepare.tests.support import HomeTestCase, load, run
from prepare.tokens.tokenizer_directory import TokenizerDirectory

GOLDENS = Path(__file__).with_name("goldens") / "chat_templates.json"
TEMPLATE = (
    "{% for message in messages %}[CLS] {{ message['content'] }} [SEP] {% endfor %}"
    "{% if add_generation_prompt %}[CLS] {% endif %}"
)


class TemplateTests(HomeTestCase):
    """Rendering"""

    def directory(self, template: str | None, tokens: dict) -> TokenizerDirectory:
        """A tokenizer directory with a template."""
        found = TokenizerDirectory("tiny", self.make_tokenizer() / "tokenizer.json", "", None)
        found.config = {"chat_template": template, **tokens}
        return found

    def test_templates_give_the_texts_of_transformers(self) -> None:
        for golden in json.loads(GOLDENS.read_text(encoding="utf-8")):
            with self.subTest(golden["name"]):
                self.doCleanups()
                self.setUp()
                template = ChatTemplate(self.directory(golden["template"], golden["tokens"]), False)
                self.assertEqual(template._render(golden["messages"], False), golden["whole"])
                self.assertEqual(template._render(golden["messages"][:-1], True), golden["prompt"])

    def test_an_answer_ends_with_its_end_token_and_nothing_behind_it(self) -> None:
        goldens = json.loads(GOLDENS.read_text(encoding="utf-8"))
        golden = next(golden for golden in goldens if golden["name"] == "chatml")
        template = ChatTemplate(self.directory(golden["template"], golden["tokens"]), False)
        messages = golden["messages"][:-1]
        messages = [*messages, {"role": "assistant", "content": "4"}]
        expected = [(golden["prompt"], False), ("4<|im_end|>", True)]
        self.assertEqual(template.pieces(messages), expected)

    def test_without_a_template_or_an_end_a_line_says_so(self) -> None:
        with self.assertRaisesRegex(PrepareError, "no chat template"):
            ChatTemplate(self.directory(None, {"eos_token": "[SEP]"}), False)
        self.doCleanups()
        self.setUp()
        with self.assertRaisesRegex(PrepareError, "no eos_token"):
            ChatTemplate(self.directory(TEMPLATE, {}), False)


class ChatCommandTests(HomeTestCase):
    """python -m prepare chat"""

    def setUp(self) -> None:
        super().setUp()
        folder = self.make_tokenizer(special=False, limit=64)
        config = {"chat_template": TEMPLATE, "eos_token": "[SEP]", "cls_token": "[CLS]"}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))

    def rows(self, rows: list[dict]) -> str:
        """A file of rows."""
        path = self.home / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    def made(self, rows: list[dict], *options: str) -> str:
        """What a call prints that has to succeed."""
        words = ["--file", self.rows(rows), "--prompt", "ask", "--answer", "say"]
        done = run("chat", *words, "--tokenizer", "tiny", "--name", "mine", *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def test_marks_are_on_the_tokens_of_answers_alone(self) -> None:
        rows = [
            {"ask": "red", "say": "green blue", "who": f"user{i % 3}", "sys": "one"}
            for i in range(20)
        ]
        self.made(rows, "--client", "who", "--system", "sys", "--length", "32")
        tensors, metadata = load(self.home / "mine" / "train.safetensors")
        first = slice(tensors["offsets"][0], tensors["offsets"][1])
        # [CLS] one [SEP] [CLS] red [SEP] [CLS] green blue [SEP]
        self.assertEqual(tensors["tokens"][first].tolist(), [1, 7, 2, 1, 4, 2, 1, 5, 6, 2])
        self.assertEqual(tensors["loss"][first].tolist(), [0] * 7 + [1] * 3)
        self.assertEqual(json.loads(metadata["client_names"]), ["user0", "user1", "user2"])

    def test_plain_is_the_prompt_and_then_the_answer(self) -> None:
        self.made([{"ask": "red ", "say": "green "}] * 10, "--template", "plain", "--length", "32")
        tensors, _ = load(self.home / "mine" / "test.safetensors")
        self.assertEqual(tensors["tokens"][:3].tolist(), [4, 5, 2])
        self.assertEqual(tensors["loss"][:3].tolist(), [0, 1, 1])

    def test_what_is_too_long_is_left_out_and_counted(self) -> None:
        rows = [{"ask": "red", "say": "green " * (1 if i % 2 else 30)} for i in range(40)]
        said = self.made(rows, "--length", "16")
        self.assertIn("too long dropped", said)
        tensors, _ = load(self.home / "mine" / "train.safetensors")
        self.assertLessEqual(max(tensors["offsets"][1:] - tensors["offsets"][:-1]), 16)
