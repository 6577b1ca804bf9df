"""The step of `cellm-bench step` in PyTorch + PEFT, with the same columns.

Same model directory, same tokens and labels, sequences of one length (nothing is padded), LoRA on all
linear layers of the blocks (as `target_modules="all-linear"` finds them) and the classification head,
no dropout, forward and backward of one batch. The optimizer's step is in neither measurement.
Models of images (ViT) get random images; `--length` is then the tokens of an image.

    python bench/pytorch_step.py --model ~/.cache/cellm-mpi/smollm2-135m --batch 4 --length 128
"""

import argparse
import json
import os
import resource
import statistics
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("--model", required=True, type=Path)
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--length", type=int, default=128)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="fp32",
                    help="tf32: products of a GPU's tensor cores; bf16: autocast")
parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
parser.add_argument("--lora-rank", type=int, default=16)
parser.add_argument("--labels", type=int, default=20)
parser.add_argument("--repeats", type=int, default=5)
parser.add_argument("--warm-ups", type=int, default=2)
arguments = parser.parse_args()
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(arguments.threads)
os.environ["HF_HUB_OFFLINE"] = "1"

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

torch.set_num_threads(arguments.threads)
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
torch.manual_seed(0)
if arguments.precision == "tf32" and arguments.device == "cpu":
    parser.error("tf32 is of a GPU; give --device cuda")
torch.backends.cuda.matmul.allow_tf32 = arguments.precision == "tf32"

config = json.loads((arguments.model / "config.json").read_text())
has_images = config["model_type"] == "vit"
kind = (transformers.AutoModelForImageClassification if has_images
        else transformers.AutoModelForSequenceClassification)
base = kind.from_pretrained(
    arguments.model, dtype=torch.float32, attn_implementation="sdpa",
    num_labels=arguments.labels, ignore_mismatched_sizes=True,
)
# PEFT knows no task of images: its linear layers and its head are named.
place = (
    {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"],
     "modules_to_save": ["classifier"]}
    if has_images else {"task_type": "SEQ_CLS", "target_modules": "all-linear"}
)
lora = peft.LoraConfig(
    r=arguments.lora_rank, lora_alpha=arguments.lora_rank, lora_dropout=0.0, **place
)
model = peft.get_peft_model(base, lora).train().to(arguments.device)
for module in model.modules():
    if isinstance(module, torch.nn.Dropout):
        module.p = 0.0
trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)


def inputs():
    """Those of `cellm-bench step`; a mask of ones, so that padding tokens cannot count."""
    if has_images:
        size, channels = config["image_size"], config["num_channels"]
        tokens = (size // config["patch_size"]) ** 2 + 1
        if arguments.length != tokens:
            parser.error(f"an image has {tokens} tokens; give --length {tokens}")
        return {"pixel_values": torch.randn(arguments.batch, channels, size, size)}
    if base.config.pad_token_id is None:
        base.config.pad_token_id = 0
    tokens = torch.tensor([
        [(s * 7919 + t * 104729) % config["vocab_size"] for t in range(arguments.length)]
        for s in range(arguments.batch)
    ])
    tokens[tokens == base.config.pad_token_id] += 1
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


batch = {name: value.to(arguments.device) for name, value in inputs().items()}
labels = torch.tensor(
    [s % arguments.labels for s in range(arguments.batch)], device=arguments.device)


def finish():
    """Waits for the device."""
    if arguments.device == "cuda":
        torch.cuda.synchronize()


def step():
    model.zero_grad(set_to_none=True)
    with torch.autocast(arguments.device, torch.bfloat16, enabled=arguments.precision == "bf16"):
        loss = model(**batch, labels=labels).loss
    loss.backward()
    finish()


def product_rate(size=2048, repeats=5):
    """Operations a second of one product of size^3, by CPU time of all threads."""
    a, b = (torch.rand(size, size, device=arguments.device) for _ in range(2))
    torch.mm(a, b)
    finish()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(a, b)
        finish()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(times)


rate = product_rate()
for _ in range(arguments.warm_ups):
    step()
wall, cpu = [], []
for _ in range(arguments.repeats):
    starts = time.perf_counter(), time.process_time()
    step()
    wall.append(time.perf_counter() - starts[0])
    cpu.append(time.process_time() - starts[1])
count = arguments.batch * arguments.length
seconds, cpu_seconds = statistics.median(wall), statistics.median(cpu)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
rollup = {}
for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
    name, value = line.split()[:2]
    rollup[name.rstrip(":")] = int(value) * 1024
cpu_name = next(
    (l.split(":")[1].strip() for l in Path("/proc/cpuinfo").read_text().splitlines()
     if l.startswith("model name")), "unknown")
columns = {
    "bench": "step", "engine": "pytorch", "model": arguments.model.name,
    "precision": arguments.precision, "device": arguments.device,
    "threads": arguments.threads, "batch": arguments.batch,
    "length": arguments.length, "micro_batch_tokens": count, "lora_rank": arguments.lora_rank,
    "trainable": trainable,
    "tokens_per_second": f"{count / seconds:.4g}",
    "tokens_per_cpu_second": f"{count / cpu_seconds:.4g}",
    "sgemm_2048_flop_per_second": f"{rate:.4g}",
    "seconds_median": f"{seconds:.6g}", "seconds_min": f"{min(wall):.6g}",
    "cpu_seconds_median": f"{cpu_seconds:.6g}", "repeats": arguments.repeats,
    "peak_resident_bytes": peak, "proportional_bytes": rollup["Pss"],
    "private_bytes": rollup["Private_Dirty"],
    "cpu": cpu_name, "blas": "MKL" if torch.backends.mkl.is_available() else "other",
    "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__,
}
print(
    f"step {arguments.model.name} {arguments.batch} x {arguments.length} in PyTorch: "
    f"{count / seconds:.1f} tokens/s ({count / cpu_seconds:.1f} by CPU time), "
    f"{trainable} trainable, peak memory {peak / 1e6:.0f} MB"
)
print("csv," + ",".join(f"{name}={value}" for name, value in columns.items()))
