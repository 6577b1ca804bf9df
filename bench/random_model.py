"""Models with the shapes of published ones and random weights, for measurements without a hub.

    python bench/random_model.py NAME DIRECTORY
    python bench/random_model.py --list

Speed and memory of a step do not depend on the values of the weights.
"""

import sys

import torch
import transformers

QWEN3_06B = dict(
    vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28,
    num_attention_heads=16, num_key_value_heads=8, head_dim=128, max_position_embeddings=40960,
    tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=1e6),
)
GEMMA3_270M = dict(
    vocab_size=262144, hidden_size=640, intermediate_size=2048, num_hidden_layers=18,
    num_attention_heads=4, num_key_value_heads=1, head_dim=256, max_position_embeddings=32768,
    sliding_window=512, query_pre_attn_scalar=256,
)
ROBERTA_BASE = dict(
    vocab_size=50265, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
    num_attention_heads=12, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5,
)
MODELS = {
    "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config()),
    "roberta-base": lambda: transformers.RobertaForMaskedLM(
        transformers.RobertaConfig(**ROBERTA_BASE)),
    "qwen3-0.6b": lambda: transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**QWEN3_06B)),
    "gemma-3-270m": lambda: transformers.Gemma3ForCausalLM(
        transformers.Gemma3TextConfig(**GEMMA3_270M)),
    "vit-base": lambda: transformers.ViTForImageClassification(transformers.ViTConfig()),
    "modernbert-base": lambda: transformers.ModernBertForMaskedLM(
        transformers.ModernBertConfig()),
}


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(MODELS))
        return
    if len(sys.argv) != 3 or sys.argv[1] not in MODELS:
        sys.exit(__doc__)
    torch.manual_seed(0)
    MODELS[sys.argv[1]]().save_pretrained(sys.argv[2])


if __name__ == "__main__":
    main()
