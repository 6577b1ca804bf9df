"""Writes the safetensors files that the reader is tested on: valid ones with their values, and broken ones.

    python Tests/Goldens/safetensors/make_broken.py      (needs: numpy, ml_dtypes or torch, safetensors)

files/          one file per case; a folder is a model directory
verdicts.tsv    case, "accepted" or "refused", words that the refusal must hold, the Python package's verdict
values.tsv      file, tensor, dtype, shape, values of every tensor of the accepted files

The Python package (the Rust reference implementation) opens every file too. Where it accepts a file
that we refuse, the case is listed in STRICTER with the reason; it must never be the other way round.
"""
import json
import shutil
import struct
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

HERE = Path(__file__).parent
FILES = HERE / "files"
WIDTHS = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
          "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8}

# Cases that the reference accepts and we refuse, and why.
STRICTER = {
    "duplicate_tensor": "one of the two would be lost without a word",
    "duplicate_metadata_key": "as above",
    "duplicate_by_escape": "as above",
    "dimensions_65": "no array library takes so many",
    "zero_times_overflow": "partial products of the shape would overflow",
    "leading_space": "the format demands '{' first",
    "leading_newline": "the format demands '{' first",
    "depth_100": "nesting is bounded at 64",
    "canonically_equal_names": "Swift compares text by its canonical form",
}

cases = []   # (name, accepted, words)


def put(name, data, words=None):
    """A file with these bytes; `words` of the expected refusal, None for a valid file."""
    (FILES / f"{name}.safetensors").write_bytes(data)
    cases.append((f"{name}.safetensors", words is None, words or ""))


def raw(header, data=b"", length=None):
    """Length, header and data as given; `length` lies about the header when it is given."""
    if isinstance(header, str):
        header = header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def tensor(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def made(tensors, data, **more):
    return raw(json.dumps({**tensors, **more}), data)


EIGHT = struct.pack("<2f", 1.5, -2.25)
ONE = '"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'


def broken():
    good = raw("{" + ONE + "}", EIGHT)
    # Length and bounds.
    put("empty", b"", "too few")
    put("seven_bytes", b"\x02\0\0\0\0\0\0", "too few")
    put("length_only", struct.pack("<Q", 2), "cut off")
    put("length_zero", struct.pack("<Q", 0) + EIGHT, "header of 0 bytes")
    put("length_one", raw("{", b""), "header of 1 bytes")
    put("length_past_end", raw("{}", b"", 3), "cut off")
    put("length_far_past_end", raw("{}", b"", 99_999_999), "cut off")
    put("length_limit_plus_one", raw("{}", b"", 100_000_001), "header of 100000001 bytes")
    put("length_2_63", raw("{}", b"", 1 << 63), "header of 9223372036854775808")
    put("length_all_ones", raw("{}", b"", (1 << 64) - 1), "header of 18446744073709551615")
    put("length_max_minus_7", raw("{}", b"", (1 << 64) - 8), "header of 18446744073709551608")
    put("cut_in_header", good[:30], "cut off")
    put("cut_in_data", good[:-1], "past the 7 bytes")
    put("trailing_byte", good + b"\0", "behind the last tensor")
    put("data_without_tensors", raw("{}", EIGHT), "behind the last tensor")
    # Not JSON, or not UTF-8.
    put("zeros", raw(b"\0" * 64), "start with '{'")
    put("pickle", b"\x80\x02}q\x00(X\x06\x00\x00\x00weightq\x01ctorch._utils\n_rebuild_tensor_v2\n", "header of")
    put("gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "header of")
    put("text", b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 5\n", "Git LFS pointer")
    put("array", raw("[]"), "start with '{'")
    put("null", raw("null"), "start with '{'")
    put("leading_space", raw(" {" + ONE + "}", EIGHT), "start with '{'")
    put("leading_newline", raw("\n{" + ONE + "}", EIGHT), "start with '{'")
    put("byte_order_mark", raw("\ufeff{" + ONE + "}", EIGHT), "start with '{'")
    put("utf16", raw(("{" + ONE + "}").encode("utf-16-le"), EIGHT), "expected a string")
    put("unclosed", raw("{" + ONE, EIGHT), "expected ',' or '}', found the end")
    put("unclosed_string", raw('{"a', EIGHT), "closing quotation mark")
    put("second_value", raw("{" + ONE + "}{}", EIGHT), "expected the end")
    put("nul_padding", raw("{" + ONE + "}\0\0", EIGHT), "expected the end")
    put("trailing_comma", raw("{" + ONE + ",}", EIGHT), "expected a string")
    put("single_quotes", raw("{" + ONE.replace('"', "'") + "}", EIGHT), "expected a string")
    put("comment", raw("{/* */" + ONE + "}", EIGHT), "expected a string")
    put("bad_utf8_name", raw(b'{"\xff":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', EIGHT), "not UTF-8")
    put("overlong_utf8_name", raw(b'{"\xc0\x80":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', EIGHT), "not UTF-8")
    put("utf8_surrogate_name", raw(b'{"\xed\xa0\x80":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', EIGHT), "not UTF-8")
    put("lone_surrogate_name", raw("{" + ONE.replace('"a"', r'"\ud800"') + "}", EIGHT), "lone surrogate")
    put("surrogate_pair_broken", raw("{" + ONE.replace('"a"', r'"\ud800\u0041"') + "}", EIGHT), "lone surrogate")
    put("short_unicode_escape", raw("{" + ONE.replace('"a"', r'"\u12"') + "}", EIGHT), "hexadecimal")
    put("unknown_escape", raw("{" + ONE.replace('"a"', r'"\x41"') + "}", EIGHT), "unknown escape")
    put("raw_newline_in_name", raw("{" + ONE.replace('"a"', '"a\nb"') + "}", EIGHT), "control character")
    put("depth_100", made({"a": tensor(extra=json.loads("[" * 100 + "]" * 100))}, EIGHT), "nested deeper")
    put("depth_50000", raw('{"a":{"extra":' + "[" * 50_000 + "]" * 50_000 + "}}"), "nested deeper")
    put("depth_objects", raw('{"a":' * 20_000 + "0" + "}" * 20_000), "nested deeper")
    # Members.
    put("tensor_is_number", raw('{"a":1}'), "expected an object")
    put("tensor_is_null", raw('{"a":null}'), "expected an object")
    put("metadata_is_text", raw('{"__metadata__":"x"}'), "expected an object")
    put("metadata_number", raw('{"__metadata__":{"x":1}}'), "expected a string")
    put("metadata_nested", raw('{"__metadata__":{"x":{}}}'), "expected a string")
    for key in ("dtype", "shape", "data_offsets"):
        entry = tensor()
        del entry[key]
        put(f"no_{key}", made({"a": entry}, EIGHT), f"has no {key}")
    put("dtype_unknown", made({"a": tensor("F31")}, EIGHT), '"F31"; known are BOOL, U8')
    put("dtype_lower_case", made({"a": tensor("f32")}, EIGHT), '"f32"; known are')
    put("dtype_number", made({"a": tensor(32)}, EIGHT), "expected a string")
    put("shape_is_number", raw('{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}', EIGHT), "expected an array")
    put("shape_text", made({"a": tensor(shape=("2",))}, EIGHT), "shape of tensor \"a\": expected an integer")
    put("shape_negative", made({"a": tensor(shape=(-2,))}, EIGHT), "found \"-2\"")
    put("shape_two_negatives", made({"a": tensor(shape=(-1, -2))}, EIGHT), "found \"-1\"")
    put("shape_fraction", made({"a": tensor(shape=(2.0,))}, EIGHT), "found \"2.0\"")
    put("shape_exponent", raw("{" + ONE.replace("[2]", "[2e0]") + "}", EIGHT), "found \"2e0\"")
    put("shape_leading_zero", raw("{" + ONE.replace("[2]", "[02]") + "}", EIGHT), "found \"02\"")
    put("shape_2_64", made({"a": tensor(shape=(1 << 64,))}, EIGHT), "2^63-1")
    put("shape_overflow", made({"a": tensor(shape=(1 << 32, 1 << 32))}, EIGHT), "too large")
    put("shape_overflow_to_size", made({"a": tensor(shape=((1 << 61) + 1, 2))}, EIGHT), "too large")
    put("zero_times_overflow", made({"a": tensor(shape=(0, 1 << 40, 1 << 40), offsets=(0, 0))}, b""), "too large")
    put("overflow_times_zero", made({"a": tensor(shape=(1 << 40, 1 << 40, 0), offsets=(0, 0))}, b""), "too large")
    put("dimensions_65", made({"a": tensor(shape=(1,) * 65, offsets=(0, 4))}, b"\0" * 4), "more than 64")
    put("size_mismatch", made({"a": tensor(shape=(3,))}, EIGHT), "takes 12")
    put("size_mismatch_dtype", made({"a": tensor("F64")}, EIGHT), "takes 16")
    put("scalar_too_long", made({"a": tensor(shape=())}, EIGHT), "takes 4")
    put("offsets_one", made({"a": tensor(offsets=(8,))}, EIGHT), "hold 1 numbers")
    put("offsets_three", made({"a": tensor(offsets=(0, 8, 8))}, EIGHT), "more than 2")
    put("offsets_negative", made({"a": tensor(offsets=(-8, 0))}, EIGHT), "found \"-8\"")
    put("offsets_reversed", made({"a": tensor(offsets=(8, 0))}, EIGHT), "reversed")
    put("offsets_past_end", made({"a": tensor(shape=(4,), offsets=(0, 16))}, EIGHT), "past the 8 bytes")
    put("offsets_huge", made({"a": tensor(offsets=((1 << 63) - 9, (1 << 63) - 1))}, EIGHT), "past the 8 bytes")
    put("offsets_2_64", made({"a": tensor(offsets=(0, (1 << 64) + 8))}, EIGHT), "2^63-1")
    put("hole_first", made({"a": tensor(offsets=(4, 12))}, b"\0" * 12), "leave a hole")
    put("hole_between", made({"a": tensor(), "b": tensor(offsets=(12, 20))}, b"\0" * 20), "leave a hole")
    put("overlap", made({"a": tensor(), "b": tensor(offsets=(4, 12))}, b"\0" * 12), "overlap")
    put("overlap_same", made({"a": tensor(), "b": tensor()}, EIGHT), "overlap")
    put("overlap_inside", made({"a": tensor(shape=(4,), offsets=(0, 16)), "b": tensor(shape=(1,), offsets=(4, 8))},
                               b"\0" * 16), "overlap")
    put("duplicate_tensor", raw("{" + ONE + "," + ONE + "}", EIGHT), "there twice")
    put("duplicate_by_escape", raw("{" + ONE + "," + ONE.replace('"a"', r'"\u0061"') + "}", EIGHT), "there twice")
    put("duplicate_metadata_block", raw('{"__metadata__":{},"__metadata__":{},' + ONE + "}", EIGHT), "there twice")
    put("duplicate_metadata_key", raw('{"__metadata__":{"k":"1","k":"2"},' + ONE + "}", EIGHT), "there twice")
    put("duplicate_shape", raw("{" + ONE.replace('"shape"', '"shape":[2],"shape"') + "}", EIGHT), "\"shape\" twice")
    put("canonically_equal_names",
        raw('{"\u00e9":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
            '"e\u0301":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', EIGHT), "there twice")


def valid():
    put("one", raw("{" + ONE + "}", EIGHT))
    put("no_tensors", raw("{}"))
    put("padded_with_spaces", raw("{" + ONE + "}      ", EIGHT))
    put("misaligned", raw("{" + ONE + "}" + " " * ((9 - len("{" + ONE + "}")) % 8), EIGHT))
    put("spaced", raw('{ "a" :\n\t{ "shape" : [ 2 ] , "dtype":"F32","data_offsets":[0,8]}\r\n}', EIGHT))
    put("extra_member", made({"a": tensor(note={"x": [1.5e-3, True, None, "t", -0]})}, EIGHT))
    put("escaped_name", raw("{" + ONE.replace('"a"', r'"\u00e4\ud83d\ude00\n\"\\\/"') + "}", EIGHT))
    put("no_elements", made({"a": tensor(shape=(0, 7), offsets=(0, 0)), "b": tensor()}, EIGHT))
    put("scalar", made({"a": tensor(shape=(), offsets=(0, 4))}, EIGHT[:4]))
    put("unsorted", made({"b": tensor(offsets=(8, 16)), "a": tensor()}, EIGHT + EIGHT[::-1]))
    put("metadata_only", raw('{"__metadata__":{"format":"pt","\u00fc":"line\\nbreak"}}'))
    rng = np.random.default_rng(7)
    typed = {}
    for dtype in ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"):
        if dtype == "bool":
            typed[dtype] = np.array([True, False, True])
            continue
        info = np.iinfo(dtype)
        top = min(info.max, (1 << 63) - 1)
        typed[dtype] = np.array([info.min, top, 0, 1, int(rng.integers(0, 100))], dtype=dtype)
    for dtype in ("float16", "float32", "float64"):
        info = np.finfo(dtype)
        typed[dtype] = np.array([0.0, -0.0, 1.0, -1.5, info.max, info.tiny, info.smallest_subnormal, np.inf, -np.inf],
                                dtype=dtype).reshape(3, 3)
    save_file(typed, FILES / "python_all_types.safetensors", metadata={"format": "np", "made by": "python"})
    cases.append(("python_all_types.safetensors", True, ""))
    save_file({"a \u00e4\"": np.array([[1, 2, 3]], dtype="float32"), "b": np.array(4, dtype="float32"),
               "longs": np.array([5, -6]), "bytes": np.array([7], dtype="uint8")},
              FILES / "python_as_ours.safetensors", metadata={"format": "np"})
    cases.append(("python_as_ours.safetensors", True, ""))
    import torch
    from safetensors.torch import save_file as save_torch
    save_torch({"w": torch.randn(4, 5, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16),
                "edges": torch.tensor([float("inf"), 1e-40, -0.0, 3.0]).to(torch.bfloat16)},
               FILES / "python_bfloat16.safetensors", metadata={"format": "pt"})
    cases.append(("python_bfloat16.safetensors", True, ""))


def models():
    """Model directories: one file, or an index with shards."""
    def directory(name, index=None, words=None, **files):
        (FILES / name).mkdir()
        for file, data in files.items():
            (FILES / name / f"{file}.safetensors").write_bytes(data)
        if index is not None:
            text = index if isinstance(index, str) else json.dumps(index)
            (FILES / name / "model.safetensors.index.json").write_text(text)
        cases.append((name, words is None, words or ""))

    one = made({"a": tensor()}, EIGHT)
    two = made({"b": tensor(), "c": tensor(offsets=(8, 16))}, EIGHT + EIGHT)
    both = {"a": "s1.safetensors", "b": "s2.safetensors", "c": "s2.safetensors"}
    directory("model_single", model=one)
    directory("model_sharded", {"metadata": {"total_size": 24}, "weight_map": both}, s1=one, s2=two)
    directory("model_none", words="neither model.safetensors nor")
    (FILES / "model_none" / "README").write_text("No weights here.\n")
    directory("model_shard_missing", {"weight_map": both}, "No such file", s1=one)
    directory("model_shard_broken", {"weight_map": both}, "cut off", s1=one, s2=two[:20])
    directory("model_shard_lacks", {"weight_map": {**both, "d": "s1.safetensors"}}, "does not hold it", s1=one, s2=two)
    directory("model_shard_wrong", {"weight_map": {**both, "c": "s1.safetensors"}}, "does not hold it", s1=one, s2=two)
    directory("model_unlisted", {"weight_map": {"a": "s1.safetensors", "b": "s2.safetensors"}}, "does not say",
              s1=one, s2=two)
    directory("model_in_two_shards", {"weight_map": {"a": "s1.safetensors", "b": "s2.safetensors"}}, "does not say",
              s1=one, s2=made({"a": tensor(), "b": tensor(offsets=(8, 16))}, EIGHT + EIGHT))
    for name, shard in {"parent": "../one.safetensors", "absolute": "/etc/passwd", "dots": "..", "empty": "",
                        "folder": "sub/s1.safetensors", "nul": "s1\0.safetensors"}.items():
        directory(f"model_escape_{name}", {"weight_map": {"a": shard}}, "only this folder's files", s1=one)
    directory("model_index_no_map", {"metadata": {}}, "no weight_map", s1=one)
    directory("model_index_empty_map", {"weight_map": {}}, "no weight_map", s1=one)
    directory("model_index_array", "[]", "expected an object", s1=one)
    directory("model_index_empty", "", "expected an object", s1=one)
    directory("model_index_number", {"weight_map": {"a": 1}}, "expected a string", s1=one)
    directory("model_index_duplicate", '{"weight_map":{"a":"s1.safetensors","a":"s1.safetensors"}}', "there twice", s1=one)
    directory("model_index_deep", '{"metadata":' + "[" * 5000, "nested deeper", s1=one)


def reference(path):
    """What the Python package says."""
    if path.is_dir():
        return "-"
    try:
        with safe_open(path, "np") as file:
            file.keys()
        return "accepted"
    except BaseException:  # noqa: B902 (the Rust code may also panic)
        return "refused"


def element(value, dtype):
    return repr(float(value)) if dtype[0] in "FB" and dtype != "BOOL" else str(int(value))


def values():
    import torch
    rows = []
    for name, accepted, _ in sorted(cases):
        path = FILES / name
        if not accepted or path.is_dir():
            continue
        blob = path.read_bytes()
        header = json.loads(blob[8:8 + struct.unpack("<Q", blob[:8])[0]])
        with safe_open(path, "pt") as file:
            for key in file.keys():
                dtype = header[key]["dtype"]
                flat = file.get_tensor(key).flatten()
                flat = flat.to(torch.float64) if dtype in ("F16", "BF16", "F32") else flat
                shape = ",".join(map(str, header[key]["shape"]))
                text = " ".join(element(v, dtype) for v in flat.tolist())
                rows.append("\t".join([name, json.dumps(key, ensure_ascii=False), dtype, shape, text]))
    (HERE / "values.tsv").write_text("\n".join(rows) + "\n")


def main():
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir()
    valid()
    broken()
    models()
    rows = []
    for name, accepted, words in sorted(cases):
        theirs = reference(FILES / name)
        ours = "accepted" if accepted else "refused"
        stem = name.removesuffix(".safetensors")
        if theirs not in ("-", ours):
            assert not accepted, f"{name}: we accept what the reference refuses"
            assert stem in STRICTER, f"{name}: the reference accepts it and nothing says why we do not"
        else:
            assert stem not in STRICTER, f"{name}: not stricter than the reference, which refuses it too"
        rows.append("\t".join([name, ours, words, theirs]))
    (HERE / "verdicts.tsv").write_text("\n".join(rows) + "\n")
    values()
    print(f"{len(rows)} cases, {sum(1 for c in cases if c[1])} of them valid")


if __name__ == "__main__":
    main()
