"""Writes tokenizers.json: the tokens of transformers.AutoTokenizer for tiny tokenizer directories.

  python -m venv V && V/bin/pip install transformers==5.24.0 && V/bin/python make_tokenizers.py

A case has the files of its directory, texts, and for each text its tokens cut at LENGTH and the
chunks of LENGTH (return_overflowing_tokens).
"""

from __future__ import annotations

import inspect
import json
import tempfile
from pathlib import Path

import transformers

LENGTH = 7
SPECIAL = {
    "single_word": False,
    "lstrip": False,
    "rstrip": False,
    "normalized": False,
    "special": True,
}
TEXTS = [
    "red green",
    "Red GREEN blue",
    "caf\u00e9 caf\u00e9s naive na\u00efve",
    "red\u7ea2green \u7ea2",
    "[MASK] red [CLS] <s> red</s> <|endoftext|>",
    " red  green",
    "red  2024 greens",
    "one red two green three blue four red five",
    "<extra> red<pad>",
]


def added(tokens: dict[str, int]) -> list[dict]:
    """The added_tokens of a tokenizer.json."""
    return [{"id": number, "content": token, **SPECIAL} for token, number in tokens.items()]


def ends(first: tuple[str, int] | None, last: tuple[str, int] | None) -> dict:
    """A post_processor with special tokens around a text."""

    def part(token: tuple[str, int] | None) -> list[dict]:
        return [{"SpecialToken": {"id": token[0], "type_id": 0}}] if token else []

    single = [*part(first), {"Sequence": {"id": "A", "type_id": 0}}, *part(last)]
    names = {t[0]: {"id": t[0], "ids": [t[1]], "tokens": [t[0]]} for t in (first, last) if t}
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": names}


def bert(words: str = "", mask: bool = True, **normalizer: object) -> dict:
    """A WordPiece tokenizer.json."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(["[MASK]"] if mask else [])]
    pieces = (
        "red green blue Red GREEN cafe caf\u00e9 naive na\u00efve ##s [ ] mask cls one two three"
        " four five "
    )
    pieces += "2 ##0 ##2 ##4 \u7ea2 red\u7ea2green < > s / | ##end endoftext pad extra " + words
    vocabulary = {word: number for number, word in enumerate([*names, *pieces.split()])}
    return {
        "version": "1.0",
        "truncation": {
            "direction": "Right",
            "max_length": 5,
            "strategy": "LongestFirst",
            "stride": 0,
        },
        "padding": None,
        "added_tokens": added({name: vocabulary[name] for name in names}),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
            **normalizer,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": ends(("[CLS]", 2), ("[SEP]", 3)),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }


def bpe(special: list[str], letters: str, merges: list[str], model: dict, **parts: object) -> dict:
    """A BPE tokenizer.json: special tokens, single letters, then the products of the merges."""
    words = [*special, *dict.fromkeys(letters), *(merge.replace(" ", "") for merge in merges)]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added({name: vocabulary[name] for name in special[:3]}),
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        **parts,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": merges,
            **model,
        },
    }


LETTERS = "abcdefghijklmnopqrstuvwxyzRGEDN0123456789<>[]/|"


def llama() -> dict:
    """Llama 2's kind: spaces as U+2581, bytes for what is not in the vocabulary."""
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    merges = ["r e", "re d", "\u2581 red", "\u2581 \u2581"]
    prepend = [{"type": "Prepend", "prepend": "\u2581"}]
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    return bpe(
        special,
        "\u2581" + LETTERS,
        merges,
        {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True},
        normalizer={"type": "Sequence", "normalizers": [*prepend, replace]},
        post_processor=ends(("<s>", 1), None),
        decoder={"type": "ByteFallback"},
    )


def byte_level(before: list[dict], **level: object) -> dict:
    """GPT-2's kind; `before` are further pre-tokenizers."""
    own = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    parts: dict = {**own, **level}
    if before:
        parts = {"type": "Sequence", "pretokenizers": [*before, parts]}
    letters = [chr(code) for code in [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x144)]]
    merges = ["r e", "re d", "\u0120 red", "\u0120 \u0120"]
    return bpe(["<|endoftext|>"], "".join(letters), merges, {}, pre_tokenizer=parts, decoder=own)


QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLIT = {"type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated", "invert": False}
BERT = {"model_type": "bert"}
LLAMA = {"model_type": "llama"}
LISTED = {"4": {"content": "[MASK]", **SPECIAL}}


def cases() -> dict[str, dict]:
    """The directories: file names (without .json) and contents."""
    alone = {"tokenizer_class": "PreTrainedTokenizerFast"}

    def case(tokenizer: dict, model: dict, config: dict | None, **more: dict) -> dict:
        files = {"tokenizer": tokenizer, "config": model, **more}
        return files if config is None else {**files, "tokenizer_config": config}

    fast = {"tokenizer_class": "BertTokenizerFast"}
    slow = {"tokenizer_class": "LlamaTokenizer"}
    cased = {**fast, "do_lower_case": False}
    qwen = {**byte_level([SPLIT], use_regex=False), "normalizer": {"type": "NFC"}}
    extra = {"extra_special_tokens": ["<extra>"]}
    left = {"truncation_side": "left"}
    return {
        "bert without tokenizer_config": case(bert(), BERT, None),
        "bert, nothing said": case(bert(), BERT, {}),
        "bert, lowercase by default": case(bert(lowercase=False), BERT, fast),
        "bert, do_lower_case": case(bert(), BERT, cased),
        "bert, strip_accents": case(bert(), BERT, {**cased, "strip_accents": True}),
        "bert, accents kept": case(bert(), BERT, {**fast, "strip_accents": False}),
        "bert, tokenize_chinese_chars": case(
            bert(), BERT, {**fast, "tokenize_chinese_chars": False}
        ),
        "bert, truncation_side": case(bert(), BERT, {**fast, **left}),
        "bert, split_special_tokens": case(bert(), BERT, {**fast, "split_special_tokens": True}),
        "bert, unk_token": case(bert(), BERT, {**fast, "unk_token": "red"}),
        "bert without mask_token": case(bert(mask=False), BERT, fast),
        "bert, extra_special_tokens": case(bert(), BERT, {**fast, **extra}),
        "bert, additional_special_tokens": case(
            bert(), BERT, {**fast, "additional_special_tokens": ["<extra>"]}
        ),
        "bert, special_tokens_map": case(
            bert(), BERT, fast, special_tokens_map={"pad_token": "<pad>"}
        ),
        "bert, tokenizer.json alone": case(bert(), BERT, {**alone, "do_lower_case": False}),
        "bert, own fields": case(bert(), BERT, {**cased, "never_split": ["red"], "stride": 3}),
        "llama": case(llama(), LLAMA, slow),
        "llama, legacy": case(llama(), LLAMA, {**slow, "legacy": True}),
        "llama, add_prefix_space": case(llama(), LLAMA, {**slow, "add_prefix_space": False}),
        "llama, tokenizer.json alone": case(llama(), LLAMA, {**alone, "add_bos_token": True}),
        "llama of bytes": case(byte_level([]), LLAMA, slow),
        "mistral": case(llama(), {"model_type": "mistral"}, slow),
        "gpt2": case(byte_level([]), LLAMA, {"tokenizer_class": "GPT2Tokenizer"}),
        "digits, tokenizer.json alone": case(
            byte_level([{"type": "Digits", "individual_digits": True}]), LLAMA, alone
        ),
        "qwen2": case(qwen, {"model_type": "qwen2"}, {"tokenizer_class": "Qwen2Tokenizer"}),
        "qwen2, another class": case(qwen, {"model_type": "qwen2"}, alone),
        "no class at all": case(llama(), {}, None),
    }


def fields() -> list[str]:
    """The arguments of the classes: what their tokenizer_config.json may have."""
    names = "BertTokenizer LlamaTokenizer Qwen2Tokenizer GPT2Tokenizer".split()
    found = {n for name in names for n in inspect.signature(getattr(transformers, name)).parameters}
    return sorted(found - {"vocab", "merges", "kwargs"})


def tokens(files: dict[str, dict]) -> tuple[list, list, list]:
    """The tokens of all texts, cut and in chunks, and the fields that transformers writes."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / f"{name}.json").write_text(json.dumps(content))
        made = transformers.AutoTokenizer.from_pretrained(folder)
        cut = [made(text, truncation=True, max_length=LENGTH)["input_ids"] for text in TEXTS]
        chunks = [
            made(text, truncation=True, max_length=LENGTH, return_overflowing_tokens=True)
            for text in TEXTS
        ]
        made.save_pretrained(f"{folder}/saved")
        saved = json.loads(Path(f"{folder}/saved/tokenizer_config.json").read_text())
        return cut, [found["input_ids"] for found in chunks], list(saved)


def main() -> None:
    """Writes the file beside this one."""
    written = {}
    found = set(fields())
    for name, files in cases().items():
        cut, chunks, saved = tokens(files)
        found.update(saved)
        written[name] = {"files": files, "cut": cut, "chunks": chunks}
    whole = {
        "transformers": transformers.__version__,
        "length": LENGTH,
        "texts": TEXTS,
        "fields": sorted(found),
        "cases": written,
    }
    text = json.dumps(whole, separators=(",", ":"))
    (Path(__file__).parent / "tokenizers.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
