"""Small tokenizers of each kind, and their metadata in GGUF.

    python make_tokenizers.py

Writes a folder for each kind to `tokenizers/`: tokenizer.json and tokenizer_config.json as Hugging Face saves
them, and `entries.json`: tokens, kinds and merges as llama.cpp's converter takes them (TextModel.get_vocab_base,
BertModel.set_vocab of conversion/), and the special tokens that PyPI's `gguf` finds. The name of a folder of
byte pairs is llama.cpp's name of the pre-tokenizer.
"""

import json
from pathlib import Path

import gguf
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

HERE = Path(__file__).resolve().parent / "tokenizers"
TEXT = ["the cat and the hat, 1234 times\n\tHello world! It's the theme of a thesis.", "Ünïcode naïve café"]
START = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
END = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def byte_level(**changes):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, **changes)


def split(numbers):
    pattern = pre_tokenizers.Split(Regex(START + numbers + END), behavior="isolated")
    return pre_tokenizers.Sequence([pattern, byte_level(use_regex=False)])


PRE_TOKENIZERS = {
    "gpt-2": byte_level(),
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()]),
    "llama-bpe": split(r"\p{N}{1,3}"),
    "dbrx": split(r"\p{N}{1,3}"),
    "qwen2": split(r"\p{N}"),
    "roberta-bpe": byte_level(),
}
SPECIAL = {
    "gpt-2": dict(bos="<|endoftext|>", eos="<|endoftext|>", unk="<|endoftext|>"),
    "smollm": dict(bos="<|im_start|>", eos="<|im_end|>", unk="<|endoftext|>", pad="<|im_end|>"),
    "llama-bpe": dict(bos="<|begin_of_text|>", eos="<|end_of_text|>"),
    "dbrx": dict(bos="<|endoftext|>", eos="<|endoftext|>", pad="<|pad|>"),
    "qwen2": dict(eos="<|im_end|>", pad="<|endoftext|>"),
    "roberta-bpe": dict(bos="<s>", pad="<pad>", eos="</s>", unk="<unk>", cls="<s>", sep="</s>", mask="<mask>"),
    "bert": dict(unk="[UNK]", sep="[SEP]", pad="[PAD]", cls="[CLS]", mask="[MASK]"),
}


def byte_pairs(kind):
    special = list(dict.fromkeys(SPECIAL[kind].values()))
    tokenizer = Tokenizer(models.BPE(ignore_merges=kind == "llama-bpe"))
    tokenizer.pre_tokenizer = PRE_TOKENIZERS[kind]
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=50, special_tokens=special))
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("<|looks_special|>")])
    if kind == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    if kind == "llama-bpe":
        bos = SPECIAL[kind]["bos"]
        tokenizer.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B",
                                          special_tokens=[(bos, tokenizer.token_to_id(bos))])])
    if kind == "roberta-bpe":
        tokenizer.post_processor = processors.RobertaProcessing(
            ("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>")),
            add_prefix_space=False)
    return tokenizer


def word_pieces():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = list(SPECIAL["bert"].values())
    tokenizer.train_from_iterator(TEXT, trainers.WordPieceTrainer(vocab_size=50, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")])
    return tokenizer


def tokens(tokenizer, size):
    """TextModel.get_vocab_base."""
    texts = {number: token for token, number in tokenizer.get_vocab().items()}
    added = tokenizer.get_added_tokens_decoder()
    found = []
    for number in range(size):
        if number not in texts:
            found.append((f"[PAD{number}]", gguf.TokenType.UNUSED))
            continue
        token = texts[number]
        kind = gguf.TokenType.NORMAL
        if number in added:
            looks = token == "<mask>" or token == "<pad>" or token.startswith("<|") and token.endswith("|>")
            kind = gguf.TokenType.CONTROL if added[number].special or looks else gguf.TokenType.USER_DEFINED
        found.append((token, kind))
    return found


def phantom(token, kind):
    """BertModel.set_vocab."""
    if kind == gguf.TokenType.CONTROL:
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token


def main():
    for kind in SPECIAL:
        folder = HERE / kind
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = word_pieces() if kind == "bert" else byte_pairs(kind)
        tokenizer.save(str(folder / "tokenizer.json"))
        config = {f"{name}_token": token for name, token in SPECIAL[kind].items()}
        if kind == "smollm":
            config["chat_template"] = "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}"
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
        special = gguf.SpecialVocab(folder, load_merges=kind != "bert")
        size = tokenizer.get_vocab_size() + 3
        found = tokens(tokenizer, size)
        if kind == "bert":
            found = [(phantom(token, type_), type_) for token, type_ in found]
        entries = {
            "size": size,
            "model": "bert" if kind == "bert" else "gpt2",
            "tokens": [token for token, _ in found],
            "token_type": [int(type_) for _, type_ in found],
            "merges": special.merges,
            "ids": {name: number for name, number in special.special_token_ids.items() if name != "cls"},
            "adds": {name: special.add_special_token.get(name, False) for name in ("bos", "eos")},
            "chat_template": special.chat_template,
        }
        (folder / "entries.json").write_text(json.dumps(entries, indent=None, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
