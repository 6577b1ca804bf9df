"""What tokenizer_config.json changes of the tokens that tokenizer.json alone would make.

transformers makes its tokenizer of both files: the class that tokenizer_config.json names (or that
the model's type implies) puts parts of its own in the place of tokenizer.json's. `effective` does
the same for the classes of the BERT, Llama and Qwen 2 families, and refuses by its name what it
does not compute, so that a corpus has the tokens of transformers.AutoTokenizer.

FIELDS names every field that transformers 5 writes, with what becomes of it here. No class that is
known here reads another one; prepare says which others there are.
"""

from __future__ import annotations

import copy
from typing import Any

from ..errors import DATA, PrepareError, one_line

BACKEND = "TokenizersBackend"
"""The class that takes tokenizer.json as it is."""

OTHER_NAMES = {
    "PreTrainedTokenizer": BACKEND,
    "PreTrainedTokenizerFast": BACKEND,
    "PythonBackend": BACKEND,
    "DistilBertTokenizer": "BertTokenizer",
    "ElectraTokenizer": "BertTokenizer",
}
OF_MODEL_TYPE = {
    "bert": "BertTokenizer",
    "distilbert": "BertTokenizer",
    "electra": "BertTokenizer",
    "gpt2": "GPT2Tokenizer",
}
"""The class where tokenizer_config.json names none."""

SPECIAL_TOKENS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
DEFAULT_TOKENS = {
    "BertTokenizer": {
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    },
    "LlamaTokenizer": {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
    "Qwen2Tokenizer": dict.fromkeys(("unk_token", "eos_token", "pad_token"), "<|endoftext|>"),
    "GPT2Tokenizer": dict.fromkeys(("unk_token", "bos_token", "eos_token"), "<|endoftext|>"),
    BACKEND: {},
}
"""The special tokens of a class that the files do not name."""

COMPUTED, CHECKED, REFUSED, NO_EFFECT = "computed", "checked", "refused", "no effect"
FIELDS = {
    # The class, and what its own parts are made with.
    "tokenizer_class": COMPUTED,
    "do_lower_case": COMPUTED,
    "strip_accents": COMPUTED,
    "tokenize_chinese_chars": COMPUTED,
    "legacy": COMPUTED,
    "add_prefix_space": CHECKED,
    # Special tokens: those that tokenizer.json lacks are added.
    **{f"{name}_token": COMPUTED for name in SPECIAL_TOKENS},
    "extra_special_tokens": COMPUTED,
    "additional_special_tokens": COMPUTED,
    "model_specific_special_tokens": COMPUTED,
    "added_tokens_decoder": CHECKED,
    # transformers 5 leaves both to tokenizer.json, 4 does not: refused where the files disagree.
    "add_bos_token": CHECKED,
    "add_eos_token": CHECKED,
    "split_special_tokens": COMPUTED,
    "truncation_side": COMPUTED,
    # Other code, other patterns, chance: refused unless empty or false.
    "auto_map": REFUSED,
    "fix_mistral_regex": REFUSED,
    "init_inputs": REFUSED,
    "sp_model_kwargs": REFUSED,
    # Read by the Python tokenizers alone, which transformers 5 no longer makes.
    "do_basic_tokenize": NO_EFFECT,
    "never_split": NO_EFFECT,
    "from_slow": NO_EFFECT,
    "wordpieces_prefix": NO_EFFECT,
    # Decoding, padding, chats, and notes on where the tokenizer came from.
    **dict.fromkeys(
        "backend chat_control_tokens chat_template clean_up_tokenization_spaces "
        "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output errors "
        "files_loaded is_local local_files_only max_len model_input_names name_or_path "
        "pad_to_multiple_of pad_token_type_id padding_side processor_class response_schema "
        "response_template spaces_between_special_tokens special_tokens_map_file tokenizer_file "
        "trim_offsets use_default_system_prompt use_fast verbose vocab_file merges_file".split(),
        NO_EFFECT,
    ),
    # --length says where a text is cut.
    **dict.fromkeys("max_length model_max_length stride truncation_strategy".split(), NO_EFFECT),
}

ALONE = (
    'write "tokenizer_class": "PreTrainedTokenizerFast" there to take tokenizer.json as it is, in '
    "transformers too"
)


class Refusal(PrepareError):
    """A field that is neither computed nor without effect."""

    def __init__(self, field: str, value: Any, reason: str, advice: str = ALONE):
        super().__init__(
            f"tokenizer_config.json: {field}: {one_line(repr(value), 80)}: {reason}; {advice}", DATA
        )


def class_of(tokenizer: dict[str, Any], config: dict[str, Any], model: dict[str, Any]) -> str:
    """The class that transformers takes for the three files."""
    kind = model.get("model_type")
    # Whatever the file says.
    if kind in ("qwen2", "qwen3"):
        return "Qwen2Tokenizer"
    if kind in ("mistral", "modernbert", "olmo2", "phi3"):
        return BACKEND
    named = config.get("tokenizer_class") or model.get("tokenizer_class")
    if not named:
        return OF_MODEL_TYPE.get(kind, BACKEND) if isinstance(kind, str) else BACKEND
    if not isinstance(named, str):
        raise Refusal("tokenizer_class", named, "not a text", "correct it")
    plain = OTHER_NAMES.get(named) or OTHER_NAMES.get(named.removesuffix("Fast"))
    found = plain or named.removesuffix("Fast")
    if found not in DEFAULT_TOKENS:
        raise Refusal("tokenizer_class", named, "its tokens are not computed here")
    if found == "LlamaTokenizer" and _has_byte_level(tokenizer):
        return BACKEND
    return found


def effective(
    tokenizer: dict[str, Any], config: dict[str, Any], model: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """tokenizer.json as transformers uses it, and the settings that make it another one.

    `config` is tokenizer_config.json with what special_tokens_map.json adds, `model` config.json.
    Raises PrepareError for a field that is not computed.
    """
    for field, treatment in FIELDS.items():
        if treatment == REFUSED and config.get(field):
            if field != "auto_map" or _own_code(config[field]):
                raise Refusal(field, config[field], "not computed here", "remove that field")
    if (tokenizer.get("model") or {}).get("dropout"):
        raise PrepareError(
            f"tokenizer.json: model.dropout: {tokenizer['model']['dropout']}: tokens would be drawn"
            " by chance; set it to null"
        )
    for field in ("do_lower_case", "tokenize_chinese_chars", "strip_accents", "add_prefix_space"):
        if config.get(field) not in (None, True, False):
            raise Refusal(field, config[field], "not true or false", "correct it")
    kind = class_of(tokenizer, config, model)
    made = copy.deepcopy(tokenizer)
    if kind == "BertTokenizer":
        _bert(made, config)
    elif kind == "LlamaTokenizer":
        _llama(made, config)
    elif kind in ("Qwen2Tokenizer", "GPT2Tokenizer"):
        _byte_level(kind, tokenizer, config)
    else:
        _check_prefix_space(tokenizer, config)
    _check_added_tokens(tokenizer, config)
    changes = {
        part: made[part]
        for part in ("normalizer", "pre_tokenizer")
        if made.get(part) != tokenizer.get(part)
    }
    if made["model"] != tokenizer["model"]:
        long = ("vocab", "merges")
        changes["model"] = {key: part for key, part in made["model"].items() if key not in long}
    return made, changes


def _own_code(auto_map: Any) -> bool:
    """Whether auto_map names code for the tokenizer."""
    return not isinstance(auto_map, dict) or bool(auto_map.get("AutoTokenizer"))


def unknown_fields(config: dict[str, Any]) -> list[str]:
    """The fields that are in no list; names that end in _token are special tokens."""
    return sorted(field for field in config if field not in FIELDS and not field.endswith("_token"))


def text_of(token: Any) -> str | None:
    """A special token's text, of either form in which the files have it."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None


def special_tokens(kind: str, config: dict[str, Any]) -> list[Any]:
    """All special tokens of a tokenizer of this class, in the order in which they are added."""
    named = {**DEFAULT_TOKENS[kind], **{k: v for k, v in config.items() if k.endswith("_token")}}
    order = [f"{name}_token" for name in SPECIAL_TOKENS]
    found = [named[name] for name in order if name in named]
    found += [token for name, token in named.items() if name not in order]
    for field in ("model_specific_special_tokens", "extra_special_tokens"):
        more = config.get(field) or []
        if field == "extra_special_tokens" and not more:
            more = config.get("additional_special_tokens") or []
        found += list(more.values()) if isinstance(more, dict) else list(more)
    return [token for token in found if text_of(token)]


def _bert(made: dict[str, Any], config: dict[str, Any]) -> None:
    """BertTokenizer: its own normalizer, pre-tokenizer and WordPiece over the file's vocabulary."""
    old = made.get("normalizer") or {}
    if old.get("type") != "BertNormalizer" or old.get("clean_text") is not True:
        raise _other_part("BertTokenizer", "normalizer", old)
    if (made.get("pre_tokenizer") or {}).get("type") != "BertPreTokenizer":
        raise _other_part("BertTokenizer", "pre_tokenizer", made.get("pre_tokenizer"))
    made["normalizer"] = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": bool(config.get("tokenize_chinese_chars", True)),
        "strip_accents": config.get("strip_accents"),
        "lowercase": bool(config.get("do_lower_case", True)),
    }
    words = made["model"]
    own = {
        "unk_token": text_of(config.get("unk_token")) or "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    }
    if words.get("type") == "WordPiece":
        for part, value in list(own.items())[1:]:
            if words.get(part, value) != value:
                raise _other_part("BertTokenizer", f"model.{part}", words[part])
        words.update(own)
    elif words.get("type") == "WordLevel":
        if any(word.startswith("##") or len(word) > 100 for word in words["vocab"]):
            raise _other_part("BertTokenizer", "model", "WordLevel")
        words["unk_token"] = own["unk_token"]
    else:
        raise _other_part("BertTokenizer", "model", words.get("type"))
    if made.get("post_processor") is None:
        raise _other_part("BertTokenizer", "post_processor", None)


def _llama(made: dict[str, Any], config: dict[str, Any]) -> None:
    """LlamaTokenizer: Metaspace and BPE with bytes, and no normalizer."""
    words = made["model"]
    if words.get("type") != "BPE":
        raise _other_part("LlamaTokenizer", "model", words.get("type"))
    prefix = config.get("add_prefix_space")
    scheme = "never"
    if prefix is None or prefix:
        scheme = "always" if config.get("legacy", False) else "first"
    made["normalizer"] = None
    made["pre_tokenizer"] = {
        "type": "Metaspace",
        "replacement": "\u2581",
        "prepend_scheme": scheme,
        "split": False,
    }
    words.update(
        dropout=None,
        unk_token=None,
        continuing_subword_prefix=None,
        end_of_word_suffix=None,
        fuse_unk=True,
        byte_fallback=True,
        ignore_merges=False,
    )


QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _byte_level(kind: str, tokenizer: dict[str, Any], config: dict[str, Any]) -> None:
    """GPT2Tokenizer and Qwen2Tokenizer: checks that tokenizer.json has the parts of the class."""
    prefix = bool(config.get("add_prefix_space", False))
    level = {"type": "ByteLevel", "add_prefix_space": prefix, "use_regex": kind == "GPT2Tokenizer"}
    normalizer, before = None, [level]
    if kind == "Qwen2Tokenizer":
        normalizer = {"type": "NFC"}
        split = {"type": "Split", "pattern": {"Regex": QWEN2_PATTERN}}
        before = [{**split, "behavior": "Isolated", "invert": False}, level]
    found = tokenizer.get("pre_tokenizer") or {}
    parts = [dict(part) for part in found.get("pretokenizers", [found])]
    for part in parts:
        part.pop("trim_offsets", None)
        if part.get("type") == "ByteLevel":
            part.setdefault("use_regex", True)
    if len(parts) == len(before) and {**parts[-1], "add_prefix_space": prefix} == level:
        if parts[-1]["add_prefix_space"] != prefix:
            raise _prefix_refusal(parts[-1]["add_prefix_space"], prefix)
    if parts != before:
        raise _other_part(kind, "pre_tokenizer", [part.get("type") for part in parts])
    if tokenizer.get("normalizer") != normalizer:
        raise _other_part(kind, "normalizer", tokenizer.get("normalizer"))
    words = tokenizer["model"]
    flags = "continuing_subword_prefix end_of_word_suffix fuse_unk byte_fallback ignore_merges"
    for part in flags.split():
        if words.get(part):
            raise _other_part(kind, f"model.{part}", words[part])


def _has_byte_level(tokenizer: dict[str, Any]) -> bool:
    """Whether tokenizer.json is byte-level; LlamaTokenizer takes such a file as it is."""
    for name in ("pre_tokenizer", "decoder"):
        part = tokenizer.get(name) or {}
        inner = part.get("pretokenizers") or part.get("decoders") or []
        if any(piece.get("type") == "ByteLevel" for piece in [part, *inner]):
            return True
    return False


def _check_prefix_space(tokenizer: dict[str, Any], config: dict[str, Any]) -> None:
    """Refuses add_prefix_space where tokenizer.json says the other: transformers 4 and 5 differ."""
    wanted = config.get("add_prefix_space")
    part = tokenizer.get("pre_tokenizer") or {}
    if wanted is not None and part.get("add_prefix_space", wanted) != wanted:
        raise _prefix_refusal(part["add_prefix_space"], wanted)


def _prefix_refusal(found: Any, wanted: Any) -> Refusal:
    """The two files disagree about a space before the first word."""
    return Refusal(
        "add_prefix_space",
        wanted,
        f"tokenizer.json has {found}",
        "give both files the value that the model was trained with",
    )


def _other_part(kind: str, part: str, found: Any) -> Refusal:
    """A class that would put a part of its own in the place of another kind of part."""
    return Refusal(
        "tokenizer_class",
        kind,
        f"that class has a {part} of its own, and tokenizer.json has {one_line(repr(found), 80)}",
    )


FLAGS = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")


def _check_added_tokens(tokenizer: dict[str, Any], config: dict[str, Any]) -> None:
    """Refuses added_tokens_decoder where it lists other tokens than tokenizer.json."""
    listed = config.get("added_tokens_decoder")
    if not listed:
        return
    in_file = {
        str(token["id"]): tuple(token.get(flag) for flag in FLAGS)
        for token in tokenizer.get("added_tokens") or []
    }
    in_config = {
        str(number): tuple(token.get(flag) for flag in FLAGS) for number, token in listed.items()
    }
    for number in sorted(in_file.keys() | in_config.keys(), key=lambda text: (len(text), text)):
        if in_file.get(number) != in_config.get(number):
            raise Refusal(
                "added_tokens_decoder",
                {number: listed.get(number)},
                f"tokenizer.json has {in_file.get(number, ('no such token',))[0]!r} or other flags"
                " there",
                "make the two files agree",
            )
