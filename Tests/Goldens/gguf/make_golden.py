"""The bytes of a small GGUF file, by PyPI's `gguf`.

    python make_golden.py

Writes `small.gguf`. Tests/GGUFTests writes the same entries and tensors, and compares the bytes. The
values are exact in all number formats, or halfway between two of their numbers.
"""

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quants

HERE = Path(__file__).resolve().parent


def main():
    writer = GGUFWriter(HERE / "small.gguf", "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 12.5)
    writer.add_uint32("llama.block_count", 3)
    writer.add_bool("tokenizer.ggml.add_bos_token", False)
    writer.add_bool("tokenizer.ggml.add_eos_token", True)
    writer.add_array("tokenizer.ggml.tokens", ["a", "Ġé", "", "\n"])
    writer.add_array("tokenizer.ggml.token_type", [1, 3, 6, 2])
    # 3 x 5 and 7 elements: neither is a multiple of the alignment.
    matrix = np.arange(15, dtype=np.float32).reshape(3, 5) - 7
    # Between two halves and two brain floats: ties go to even.
    vector = np.array([1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8, 1 + 3 * 2**-8, -0.0, 2**-24, -65504],
                      dtype=np.float32)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", matrix)
    writer.add_tensor("half", vector.astype(np.float16))
    writer.add_tensor("brain", quants.quantize(vector, GGMLQuantizationType.BF16),
                      raw_dtype=GGMLQuantizationType.BF16)
    writer.add_tensor("single", vector)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
