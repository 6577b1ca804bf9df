"""Tokens and masks of conversations as transformers makes them, for prepare's own.

    python make_conversations.py

Writes conversations.json beside this file: a template that marks what the assistant says by
{% generation %}, its words, messages, and `apply_chat_template(...,
return_assistant_tokens_mask=True)`. Needs transformers (Tests/Goldens/requirements.txt).
"""

import json
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SPECIAL = ["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>"]
WORDS = [*SPECIAL, "red", "green", "blue", "one", "two", "\n"]
TEMPLATES = {
    "end in the answer": (
        "{{ bos_token }}{% for message in messages %}"
        "{{ '<|' + message['role'] + '|>' }}"
        "{% if message['role'] == 'assistant' %}"
        "{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}"
        "{% else %}{{ message['content'] + '\n' }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    ),
    "a line break behind the end": (
        "{% for message in messages %}"
        "{% if loop.first and message['role'] != 'system' %}"
        "{{ '<|system|>one' + eos_token }}{% endif %}"
        "{{ '<|' + message['role'] + '|>\n' }}"
        "{% if message['role'] == 'assistant' %}"
        "{% generation %}{{ message['content'] | trim + eos_token }}{% endgeneration %}"
        "{% else %}{{ message['content'] + eos_token }}{% endif %}{{ '\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
    ),
}
CONVERSATIONS = [
    [("user", "red"), ("assistant", "green blue"), ("user", "one two"), ("assistant", "red")],
    [("system", "two"), ("user", "red"), ("assistant", "green "), ("user", "one"),
     ("assistant", "two"), ("user", "blue blue"), ("assistant", "red what")],
    [("user", "red"), ("user", "blue"), ("assistant", "one"), ("assistant", "two")],
]


def main():
    found = []
    engine = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, "<unk>"))
    engine.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.Split(" ", "removed"),
    ])
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=engine, additional_special_tokens=SPECIAL[3:], **tokens)
    for name, template in TEMPLATES.items():
        tokenizer.chat_template = template
        for conversation in CONVERSATIONS:
            messages = [{"role": role, "content": content} for role, content in conversation]
            made = tokenizer.apply_chat_template(
                messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
            found.append({"name": name, "template": template, "messages": messages,
                          "tokens": made["input_ids"], "mask": made["assistant_masks"]})
    text = json.dumps({"tokenizer": json.loads(tokenizer.backend_tokenizer.to_str()),
                       "special": tokens, "conversations": found}, indent=1, ensure_ascii=False)
    Path(__file__).with_name("conversations.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
