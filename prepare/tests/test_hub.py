"""The hub, as a server on this machine: what is fetched, at which commit, and without network."""

from __future__ import annotations

import json
import subprocess

from prepare.publishing import read_manifest
from prepare.tests.hub_server import COMMIT, OTHER, FakeHub
from prepare.tests.support import HomeTestCase, load, run

WEIGHTS = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "chat_template.jinja": b"x",
    "README.md": b"---\nlicense: apache-2.0\n---\n",
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"pickle",
    "onnx/model.onnx": b"graph",
    "onnx/config.json": b"{}",
    "flax_model.msgpack": b"flax",
    "training_args.bin": b"x",
}


def lines(count: int, **more: str) -> bytes:
    """A table as JSON lines."""
    rows = [
        {"text": "red" if i % 2 else "blue", "label": "ab"[i % 2], **more} for i in range(count)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


class HubTestCase(HomeTestCase):
    """A check with a hub and a cache of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.hub = FakeHub()
        self.addCleanup(self.hub.close)
        self.make_tokenizer()

    def prepare(self, *words: str, **environment: str) -> subprocess.CompletedProcess:
        """python -m prepare hub WORDS"""
        chosen = {
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.home / "hf"),
            "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": "",
            "no_proxy": "127.0.0.1",
            **environment,
        }
        return run("hub", *words, **chosen)

    def made(self, *words: str, **environment: str) -> str:
        """What a call prints that has to succeed."""
        done = self.prepare(*words, **environment)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def error(self, *words: str, code: int, **environment: str) -> str:
        """The single line of a call that fails."""
        done = self.prepare(*words, **environment)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stderr


class ModelTests(HubTestCase):
    """Models"""

    def test_a_model_has_its_safetensors_and_tokenizer_and_a_pinned_commit(self) -> None:
        self.hub.add("model", "owner/tiny-llama", WEIGHTS)
        self.made("owner/tiny-llama")
        folder = self.home / "tiny-llama"
        expected = {
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "chat_template.jinja",
            "README.md",
            "model.safetensors",
        }
        there = {path.name for path in folder.iterdir()} - {"manifest.json"}
        self.assertEqual(there, expected)
        self.assertEqual((folder / "model.safetensors").read_bytes(), b"weights")
        manifest = read_manifest(folder)
        self.assertEqual(manifest["request"]["revision"], COMMIT)
        source = manifest["sources"][0]
        self.assertEqual((source["repository"], source["revision"]), ("owner/tiny-llama", COMMIT))
        self.assertEqual(source["licence"], "apache-2.0")
        fetched = [line for line in self.hub.requests if "pytorch" in line or "onnx" in line]
        self.assertEqual(fetched, [])

    def test_what_is_prepared_stays_at_its_commit_without_asking(self) -> None:
        self.hub.add("model", "owner/tiny-llama", WEIGHTS)
        self.made("owner/tiny-llama")
        self.hub.repositories.clear()
        self.hub.add("model", "owner/tiny-llama", {**WEIGHTS, "config.json": b"{}"}, OTHER)
        asked = len(self.hub.requests)
        self.assertIn("sound, reused", self.made("owner/tiny-llama"))
        self.assertEqual(len(self.hub.requests), asked)
        line = self.error("owner/tiny-llama", "--revision", "main", code=64)
        self.assertIn("was made with another revision", line)
        self.made("owner/tiny-llama", "--replace")
        self.assertEqual(read_manifest(self.home / "tiny-llama")["request"]["revision"], OTHER)

    def test_weights_in_parts_are_those_of_the_index(self) -> None:
        index = {
            "weight_map": {
                "a": "model-00001-of-00002.safetensors",
                "b": "model-00002-of-00002.safetensors",
            }
        }
        files = {
            **WEIGHTS,
            "model.safetensors.index.json": json.dumps(index).encode(),
            "model-00001-of-00002.safetensors": b"1",
            "model-00002-of-00002.safetensors": b"2",
            "consolidated.safetensors": b"all",
        }
        del files["model.safetensors"]
        self.hub.add("model", "owner/parts", files)
        self.made("owner/parts", "--name", "mine")
        there = {path.name for path in (self.home / "mine").glob("*.safetensors")}
        self.assertEqual(there, set(index["weight_map"].values()))
        del files["model-00002-of-00002.safetensors"]
        self.hub.add("model", "owner/fewer", files)
        self.assertIn("has no model-00002-of-00002", self.error("owner/fewer", code=65))

    def test_without_network_the_cache_is_taken_or_one_line_says_what_to_do(self) -> None:
        self.hub.add("model", "owner/tiny-llama", WEIGHTS)
        for environment in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
            line = self.error("owner/tiny-llama", code=69, **environment)
            self.assertIn("type scripts/prepare hub owner/tiny-llama on a login node", line)
            self.assertIn(
                f"models--owner--tiny-llama out of another machine's HF_HOME/hub to {self.home}",
                line,
            )
        self.made("owner/tiny-llama")
        asked = len(self.hub.requests)
        self.made("owner/tiny-llama", "--name", "again", HF_HUB_OFFLINE="1")
        # As if the cache were copied from another machine, without $CELLM_HOME.
        for path in (self.home / "downloads" / "hub").iterdir():
            path.unlink()
        self.made("owner/tiny-llama", "--name", "copied", HF_ENDPOINT="http://127.0.0.1:9")
        self.assertEqual(len(self.hub.requests), asked)
        self.assertEqual(read_manifest(self.home / "copied")["request"]["revision"], COMMIT)
        line = self.error("owner/tiny-llama", "--revision", "v2", code=69, HF_HUB_OFFLINE="1")
        self.assertIn("HF_HUB_OFFLINE is set", line)

    def test_every_refusal_is_one_line(self) -> None:
        self.hub.add("model", "owner/closed", WEIGHTS)
        self.hub.gated.add("owner/closed")
        self.hub.add("model", "owner/pickle", {"config.json": b"{}", "pytorch_model.bin": b""})
        self.hub.add("model", "owner/adapter", {"adapter_config.json": b"{}"})
        cases = [
            (["owner/none"], 66, "has no such model, or not for everybody"),
            (["owner/closed"], 69, "is gated: accept its conditions on"),
            (["owner/pickle"], 65, "has no model.safetensors (there are: pytorch_model.bin)"),
            (["owner/pickle", "--revision", "v9"], 66, "has no revision v9"),
            (["owner/adapter"], 65, "has no config.json"),
            (["a/b/c"], 64, "not OWNER/NAME"),
            (["owner/minilm-l6"], 64, "is the name of another model"),
            (["owner/none", "--tokenizer", "tiny"], 64, "name the columns of the data set"),
            (["owner/none", "--kind", "model", "--text", "t"], 64, "a model has no columns"),
        ]
        for words, code, cause in cases:
            with self.subTest(cause):
                self.assertIn(cause, self.error(*words, code=code))


class DatasetTests(HubTestCase):
    """Data sets"""

    OPTIONS = ("--text", "text", "--label", "label", "--tokenizer", "tiny", "--length", "8")

    def counts(self, name: str = "news.tiny") -> dict[str, int]:
        """The examples of each split."""
        counts = read_manifest(self.home / name)["counts"]
        return {split: of["examples"] for split, of in counts.items()}

    def test_splits_are_found_by_the_names_of_files(self) -> None:
        files = {
            "README.md": b"text\n",
            "dataset_infos.json": b"{}",
            "data/train-00000-of-00002.jsonl": lines(6),
            "data/train-00001-of-00002.jsonl": lines(4),
            "data/test-00000-of-00001.jsonl": lines(3),
            "data/unsupervised-00000-of-00001.jsonl": lines(50),
        }
        self.hub.add("dataset", "owner/news", files)
        self.made("owner/news", *self.OPTIONS)
        self.assertEqual(self.counts(), {"train": 9, "validation": 1, "test": 3})
        source = read_manifest(self.home / "news.tiny")["sources"][0]
        self.assertEqual((source["revision"], source["kind"]), (COMMIT, "dataset"))
        self.assertEqual(len(source["members"]), 3)
        asked = [line for line in self.hub.requests if "unsupervised" in line]
        self.assertEqual(asked, [])
        self.made(
            "owner/news",
            *self.OPTIONS,
            "--name",
            "u",
            "--split",
            "unsupervised",
            "--validation",
            "0",
        )
        self.assertEqual(self.counts("u"), {"train": 50, "test": 3})
        self.made("owner/news", *self.OPTIONS, "--name", "offline", HF_HUB_OFFLINE="1")
        self.assertEqual(self.counts("offline"), {"train": 9, "validation": 1, "test": 3})

    def test_splits_and_parts_are_those_of_the_card(self) -> None:
        card = """---
configs:
- config_name: small
  data_files:
  - split: train
    path: "s/part-*"
  - split: held_out
    path: [s/held.csv.gz]
- config_name: all
  data_files: "**/*.jsonl"
---
"""
        import gzip

        files = {
            "README.md": card.encode(),
            "s/part-1.jsonl": lines(8),
            "s/held.csv.gz": gzip.compress(b"text,label\nred,a\n"),
            "more/x.jsonl": lines(12),
        }
        self.hub.add("dataset", "owner/news", files)
        self.assertIn(
            "parts small, all; give one", self.error("owner/news", *self.OPTIONS, code=64)
        )
        line = self.error("owner/news", *self.OPTIONS, "--config", "smal", code=64)
        self.assertIn("did you mean small?", line)
        words = ["--config", "small", "--test-split", "held_out", "--validation", "0"]
        self.made("owner/news", *self.OPTIONS, *words)
        self.assertEqual(self.counts(), {"train": 8, "test": 1})

    def test_conversations_and_choices(self) -> None:
        self.make_tokenizer("bare", special=False)
        (self.home / "bare" / "tokenizer_config.json").write_text('{"eos_token": "[SEP]"}')
        turns = [{"role": "user", "content": "red"}, {"role": "assistant", "content": "green"}]
        rows = "".join(json.dumps({"messages": turns, "n": i}) + "\n" for i in range(10))
        self.hub.add("dataset", "owner/talk", {"train.jsonl": rows.encode()})
        words = ["--tokenizer", "bare", "--template", "plain", "--length", "16"]
        self.made("owner/talk", "--messages", "messages", *words)
        self.assertEqual(
            load(self.home / "talk.bare" / "test.safetensors")[0]["tokens"].tolist(), [4, 5, 2] * 2
        )
        row = json.dumps({"q": "red", "c": ["one", "two"], "a": 1}) + "\n"
        self.hub.add("dataset", "owner/quiz", {"train.jsonl": row.encode() * 10})
        words = ["--question", "q", "--choices", "c", "--answer", "a", "--tokenizer", "bare"]
        self.made("owner/quiz", *words, "--length", "16")
        self.assertEqual(set(load(self.home / "quiz.bare" / "test.safetensors")[0]["labels"]), {1})

    def test_every_refusal_is_one_line(self) -> None:
        self.hub.add("dataset", "owner/news", {"train.jsonl": lines(6)})
        self.hub.add("dataset", "owner/pictures", {"train.tar": b""})
        self.hub.add("dataset", "owner/cut", {"train-00000-of-00002.jsonl": lines(6)})
        self.hub.add("dataset", "owner/many", {f"{p}/train.jsonl": lines(6) for p in ("de", "fr")})
        self.hub.add(
            "dataset", "owner/card", {"train.jsonl": lines(6), "README.md": b"---\na: [\n---\n"}
        )
        cases = [
            (["owner/none", *self.OPTIONS], 66, "has no such data set"),
            (["owner/pictures", *self.OPTIONS], 65, "has no tables"),
            (["owner/cut", *self.OPTIONS], 65, "1 of 2 parts of train"),
            (
                ["owner/many", *self.OPTIONS],
                64,
                "lie in de, fr; give one of these parts by --config",
            ),
            (["owner/card", *self.OPTIONS], 65, "its settings are no YAML"),
            (["owner/news", *self.OPTIONS, "--split", "trian"], 64, "did you mean train?"),
            (
                ["owner/news", "--kind", "dataset"],
                64,
                "and the columns text, label; name columns by",
            ),
            (["owner/news", "--text", "text"], 64, "--tokenizer is missing"),
            (
                ["owner/news", "--label", "l", "--tokenizer", "tiny"],
                64,
                "--text is missing, which --label",
            ),
            (["owner/news", *self.OPTIONS, "--messages", "m"], 64, "belong to different tasks"),
            (["owner/news", *self.OPTIONS[2:], "--text", "txt"], 65, "did you mean text?"),
        ]
        for words, code, cause in cases:
            with self.subTest(cause):
                self.assertIn(cause, self.error(*words, code=code))
        self.made("owner/many", *self.OPTIONS, "--config", "de")
