"""A corpus has the tokens of transformers.AutoTokenizer, or what stands in the way is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from prepare.errors import PrepareError
from prepare.tests.support import HomeTestCase, load, run
from prepare.tokens.tokenizer_directory import TokenizerDirectory
from prepare.tokens.tokenizer_settings import FIELDS

GOLDEN = Path(__file__).parent / "goldens" / "tokenizers.json"
MAKE = "make it anew: prepare/tests/goldens/make_tokenizers.py"


class TokenizerTests(HomeTestCase):
    """TokenizerDirectory against what transformers wrote"""

    def setUp(self) -> None:
        super().setUp()
        self.golden = json.loads(GOLDEN.read_text())

    def directory(self, files: dict[str, Any], name: str = "model") -> Path:
        """A model directory of JSON files."""
        folder = self.home / name
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        for file, content in files.items():
            (folder / f"{file}.json").write_text(json.dumps(content))
        return folder

    def test_tokens_and_chunks_are_those_of_transformers(self) -> None:
        for name, case in self.golden["cases"].items():
            self.directory(case["files"])
            engine = TokenizerDirectory.find("model").load(self.golden["length"])
            for text, cut, chunks in zip(self.golden["texts"], case["cut"], case["chunks"]):
                encoding = engine.encode(text)
                self.assertEqual(encoding.ids, cut, f"{name}: {text!r}; {MAKE}")
                pieces = [piece.ids for piece in (encoding, *encoding.overflowing)]
                wanted = chunks if isinstance(chunks[0], list) else [chunks]
                self.assertEqual(pieces, wanted, f"{name}: {text!r}; {MAKE}")

    def test_every_field_that_transformers_writes_is_known(self) -> None:
        self.assertGreater(len(self.golden["fields"]), 20)
        self.assertEqual(set(self.golden["fields"]) - set(FIELDS), set())

    def refusal(self, case: str, config: dict | None = None, **tokenizer: Any) -> str:
        """The line for a case of the golden whose files were changed."""
        files = copy.deepcopy(self.golden["cases"][case]["files"])
        files["tokenizer"].update(tokenizer)
        if config:
            files["tokenizer_config"] = {**files.get("tokenizer_config", {}), **config}
        self.directory(files)
        with self.assertRaises(PrepareError) as raised:
            TokenizerDirectory.find("model").load(8)
        return str(raised.exception)

    def test_what_is_not_computed_is_refused_by_its_field(self) -> None:
        listed = {"1": {"content": "[UNK]", "special": True, "normalized": True}}
        for field, value in (
            ("auto_map", {"AutoTokenizer": ["a.B", None]}),
            ("fix_mistral_regex", True),
            ("init_inputs", [1]),
            ("sp_model_kwargs", {"enable_sampling": True}),
            ("added_tokens_decoder", listed),
            ("do_lower_case", "yes"),
            ("tokenizer_class", "T5Tokenizer"),
        ):
            self.assertIn(
                f"model/tokenizer_config.json: {field}: ",
                self.refusal("bert, do_lower_case", {field: value}),
            )
        for setting in ("add_bos_token", "add_eos_token"):
            wanted = {setting: setting == "add_eos_token", "eos_token": "</s>", "bos_token": "<s>"}
            self.assertIn(f"tokenizer_config.json: {setting}: ", self.refusal("llama", wanted))
        self.assertIn("add_prefix_space: True", self.refusal("gpt2", {"add_prefix_space": True}))
        level = {"type": "ByteLevel", "add_prefix_space": False}
        alone = {"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": True}
        self.assertIn("add_prefix_space: True", self.refusal("gpt2", alone, pre_tokenizer=level))

    def test_parts_that_a_class_would_replace_are_refused(self) -> None:
        gpt2 = {"tokenizer_class": "GPT2Tokenizer"}
        digits = self.refusal("digits, tokenizer.json alone", gpt2)
        self.assertIn("tokenizer_class: 'GPT2Tokenizer'", digits)
        self.assertIn("['Digits', 'ByteLevel']", digits)
        self.assertIn('"PreTrainedTokenizerFast"', digits)
        for part, other in (
            ("normalizer", {"type": "Lowercase"}),
            ("pre_tokenizer", {"type": "Whitespace"}),
            ("post_processor", None),
        ):
            self.assertIn(
                f"a {part} of its own", self.refusal("bert, do_lower_case", **{part: other})
            )
        self.assertIn("normalizer", self.refusal("qwen2", normalizer=None))

    def test_tokens_drawn_by_chance_are_refused(self) -> None:
        model = {**self.golden["cases"]["gpt2"]["files"]["tokenizer"]["model"], "dropout": 0.1}
        self.assertIn("model.dropout: 0.1", self.refusal("gpt2", model=model))

    def test_the_files_of_a_corpus_say_what_was_changed(self) -> None:
        for case in (
            "bert, do_lower_case",
            "bert, lowercase by default",
            "bert without tokenizer_config",
        ):
            files = self.golden["cases"][case]["files"]
            if "tokenizer_config" in files:
                files["tokenizer_config"]["some_field"] = 1
            self.directory(files)
            path = self.home / "rows.jsonl"
            path.write_text('{"t": "RED Red"}\n' * 10)
            call = ["--tokenizer", "model", "--length", "8", "--name", case.replace(" ", "")]
            done = run("text", "--file", str(path), "--text", "t", *call)
            self.assertEqual(done.returncode, 0, done.stderr)
            tensors, metadata = load(self.home / case.replace(" ", "") / "train.safetensors")
            upper = case == "bert, do_lower_case"
            self.assertEqual(
                tensors["tokens"][:4].tolist(), [2, 1, 8, 3] if upper else [2, 5, 5, 3]
            )
            changed = case != "bert without tokenizer_config"
            self.assertEqual("not known and not used: some_field" in done.stdout, changed)
            self.assertEqual("tokenizer_settings" in metadata, changed)
            self.assertEqual("tokenizer_config.json changes normalizer" in done.stdout, changed)

    def test_files_that_are_no_tokenizers_are_one_line(self) -> None:
        folder = self.directory(self.golden["cases"]["bert, do_lower_case"]["files"])
        pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
        for name, content, cause in (
            ("tokenizer.json", pointer, "tokenizer.json: a pointer of git-lfs"),
            ("tokenizer.json", "[" * 100_000, "tokenizer.json: no valid JSON: nested too deeply"),
            ("tokenizer.json", "{}", "tokenizer.json: not a readable tokenizer"),
            ("tokenizer.json", '{"model": {}}', "has a normalizer of its own"),
            ("config.json", "[]", "config.json: no JSON object"),
            ("config.json", "\ud800", "config.json: no valid JSON"),
            ("tokenizer_config.json", '{"added_tokens_decoder": [1]}', "is malformed"),
            ("tokenizer_config.json", "{", "tokenizer_config.json: no valid JSON"),
            (
                "added_tokens.json",
                '{"<new>": 99}',
                "added_tokens.json: '<new>' is not in tokenizer.json",
            ),
        ):
            before = (folder / name).read_bytes() if (folder / name).exists() else None
            (folder / name).write_bytes(content.encode("utf-8", "surrogatepass"))
            with self.assertRaisesRegex(PrepareError, cause):
                TokenizerDirectory.find("model").load(8)
            (folder / name).unlink()
            if before is not None:
                (folder / name).write_bytes(before)

    def test_what_the_library_panics_at_is_one_line(self) -> None:
        files = copy.deepcopy(self.golden["cases"]["gpt2"]["files"])
        llama = self.golden["cases"]["llama"]["files"]["tokenizer"]
        broken = copy.deepcopy(llama["post_processor"])
        broken["special_tokens"] = {}
        files["tokenizer"]["post_processor"] = broken
        self.directory(files)
        self.rows('{"t": "red"}\n' * 10)
        done = run("text", "--file", str(self.home / "rows.jsonl"), *self.call)
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("model/tokenizer.json: not a readable tokenizer", done.stderr)

    def test_a_text_that_the_tokenizer_cannot_take_is_one_line(self) -> None:
        files = copy.deepcopy(self.golden["cases"]["bert, tokenizer.json alone"]["files"])
        del files["tokenizer"]["model"]["vocab"]["[UNK]"]
        files["tokenizer"]["added_tokens"] = []
        files["tokenizer_config"]["tokenizer_class"] = "PreTrainedTokenizerFast"
        files["tokenizer"]["model"]["vocab"]["a"] = 99
        self.directory(files)
        self.rows('{"t": "red zzz"}\n' * 10)
        done = run("text", "--file", str(self.home / "rows.jsonl"), *self.call)
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("Missing [UNK] token", done.stderr)

    def rows(self, text: str) -> None:
        """Writes the table of a call."""
        (self.home / "rows.jsonl").write_text(text)
        self.call = ["--text", "t", "--tokenizer", "model", "--length", "8", "--name", "mine"]

    def test_a_tokenizer_that_is_not_there_is_answered_with_those_that_are(self) -> None:
        self.directory(self.golden["cases"]["bert, nothing said"]["files"], "bert-tiny")
        for name, *parts in (
            ("bert-tinny", "(there: bert-tiny)", "did you mean bert-tiny?"),
            ("gpt2", "there: bert-tiny", "scripts/prepare makes smollm2-135m and minilm-l6"),
            ("minilm-l6", "type scripts/prepare minilm-l6"),
            ("HuggingFaceTB/SmolLM2-135M", "no such directory", "hub HuggingFaceTB/SmolLM2-135M"),
            (str(self.home) + "/", "has no tokenizer.json"),
        ):
            with self.assertRaises(PrepareError) as raised:
                TokenizerDirectory.find(name)
            for part in parts:
                self.assertIn(part, str(raised.exception))
