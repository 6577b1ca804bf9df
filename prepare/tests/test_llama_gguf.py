"""A tiny GGUF file, written as llama.cpp's converter would, gives the Hugging Face weights back."""

from __future__ import annotations

import json
import unittest
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, dequantize, quantize
from safetensors import safe_open
from tokenizers import Tokenizer

from prepare import llama_gguf
from prepare.errors import PrepareError
from prepare.tests.support import HomeTestCase

HEADS, KEY_VALUE_HEADS, WIDTH, HIDDEN, LAYERS = 4, 2, 32, 64, 2
KEY_VALUE_WIDTH = WIDTH // HEADS * KEY_VALUE_HEADS
TOKENS = ["<|end|>", "a", "b", "1", "2", "Ġ", "ab", "Ġa", "ĠĠ", "12"]
MERGES = ["a b", "Ġ a", "Ġ Ġ", "1 2"]


def interleaved_from_halves(rows: np.ndarray, heads: int) -> np.ndarray:
    """`permute` of llama.cpp's convert_hf_to_gguf.py."""
    return (
        rows.reshape(heads, 2, rows.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)
    )


class LlamaTests(HomeTestCase):
    """llama_gguf.convert"""

    def write(self, path: Path, architecture: str = "llama") -> dict[str, np.ndarray]:
        """Writes the file; returns the weights under their Hugging Face names."""
        generator = np.random.default_rng(0)
        shapes = {"self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (KEY_VALUE_WIDTH, WIDTH)}
        shapes["self_attn.v_proj"] = (KEY_VALUE_WIDTH, WIDTH)
        shapes["self_attn.o_proj"] = (WIDTH, WIDTH)
        shapes["mlp.gate_proj"] = shapes["mlp.up_proj"] = (HIDDEN, WIDTH)
        shapes["mlp.down_proj"] = (WIDTH, HIDDEN)
        shapes["input_layernorm"] = shapes["post_attention_layernorm"] = (WIDTH,)
        names = {ours: theirs for theirs, ours in llama_gguf.BLOCK_NAMES.items()}
        expected = {}
        writer = GGUFWriter(path, architecture)
        writer.add_block_count(LAYERS)
        writer.add_context_length(128)
        writer.add_embedding_length(WIDTH)
        writer.add_feed_forward_length(HIDDEN)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KEY_VALUE_HEADS)
        writer.add_rope_freq_base(10000.0)
        writer.add_rope_dimension_count(WIDTH // HEADS)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_list(TOKENS)
        writer.add_token_types([3] + [1] * (len(TOKENS) - 1))
        writer.add_token_merges(MERGES)
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(0)
        for layer in range(LAYERS):
            for name, shape in shapes.items():
                values = generator.standard_normal(shape).astype(np.float32)
                stored = values
                if name.endswith("q_proj"):
                    stored = interleaved_from_halves(values, HEADS)
                elif name.endswith("k_proj"):
                    stored = interleaved_from_halves(values, KEY_VALUE_HEADS)
                gguf_name = f"blk.{layer}.{names[name]}.weight"
                if name == "mlp.down_proj":
                    packed = quantize(stored, GGMLQuantizationType.Q8_0)
                    writer.add_tensor(gguf_name, packed, raw_dtype=GGMLQuantizationType.Q8_0)
                    values = dequantize(packed, GGMLQuantizationType.Q8_0)
                else:
                    writer.add_tensor(gguf_name, stored)
                expected[f"model.layers.{layer}.{name}.weight"] = values
        for gguf_name, shape in (("token_embd", (len(TOKENS), WIDTH)), ("output_norm", (WIDTH,))):
            values = generator.standard_normal(shape).astype(np.float32)
            writer.add_tensor(f"{gguf_name}.weight", values)
            expected[llama_gguf.TOP_NAMES[f"{gguf_name}.weight"]] = values
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return expected

    def test_weights_come_back_under_their_names_with_query_and_key_rows_unpermuted(self) -> None:
        expected = self.write(self.home / "m.gguf")
        folder = self.home / "out"
        folder.mkdir()
        counts = llama_gguf.convert(self.home / "m.gguf", folder)
        self.assertEqual(counts["tensors"], len(expected))
        self.assertEqual(counts["parameters"], sum(value.size for value in expected.values()))
        with safe_open(str(folder / "model.safetensors"), "numpy") as file:
            self.assertEqual(set(file.keys()), set(expected))
            for name, values in expected.items():
                np.testing.assert_array_equal(file.get_tensor(name), values, err_msg=name)

    def test_the_configuration_says_what_the_file_says(self) -> None:
        self.write(self.home / "m.gguf")
        folder = self.home / "out"
        folder.mkdir()
        llama_gguf.convert(self.home / "m.gguf", folder)
        config = json.loads((folder / "config.json").read_text())
        self.assertEqual(config["num_key_value_heads"], KEY_VALUE_HEADS)
        self.assertEqual(config["head_dim"], WIDTH // HEADS)
        self.assertEqual(config["rms_norm_eps"], 1e-5)
        self.assertEqual(config["vocab_size"], len(TOKENS))
        self.assertTrue(config["tie_word_embeddings"])

    def test_the_tokenizer_splits_digits_first_and_keeps_special_tokens_whole(self) -> None:
        self.write(self.home / "m.gguf")
        folder = self.home / "out"
        folder.mkdir()
        llama_gguf.convert(self.home / "m.gguf", folder)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.assertEqual(tokenizer.encode("ab ab").tokens, ["ab", "Ġ", "ab"])
        # The merge "1 2" exists, but digits stand alone; and spaces before one stay together.
        self.assertEqual(tokenizer.encode("a  12").tokens, ["a", "ĠĠ", "1", "2"])
        self.assertEqual(tokenizer.encode("a<|end|>").ids, [1, 0])
        self.assertEqual(tokenizer.decode([6, 7, 4]), "ab a2")

    def test_what_is_not_a_llama_is_refused(self) -> None:
        self.write(self.home / "m.gguf", architecture="bert")
        with self.assertRaisesRegex(PrepareError, "'bert', expected 'llama'"):
            llama_gguf.convert(self.home / "m.gguf", self.home)
        (self.home / "bad.gguf").write_bytes(b"nothing of the kind" * 10)
        with self.assertRaisesRegex(PrepareError, "no readable GGUF"):
            llama_gguf.convert(self.home / "bad.gguf", self.home)
        with self.assertRaisesRegex(PrepareError, "not part of a plain Llama"):
            llama_gguf.hugging_face_name("blk.0.ffn_gate_exps.weight")


if __name__ == "__main__":
    unittest.main()
