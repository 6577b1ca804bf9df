#!/usr/bin/env bash
# Numbers of whole runs of the program: infinite perplexities, keys that would become 0, losses of nothing,
# payloads of tiers, orders of a partition's file, names of clients, residual files, and a checkpoint of an
# earlier version. Usage: Tests/MPI/numbers.sh [BINARY_DIRECTORY]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
goldens=$PWD/Tests/Goldens

# experiment FILE CASE TASK: a golden case as an experiment file.
experiment() {
  cat > "$1" <<YAML
model: {path: $goldens/federation/$2/model}
data: {path: $goldens/federation/$2/corpus, max_length: 16}
task: {kind: $3}
partition: {kind: file, path: $goldens/federation/$2/partition.json}
adapter: {lora_rank: 4, alpha: 8}
method: {download: {density: 0.25}, upload: {density: 0.25}}
federation: {rounds: 4, cohort_size: 2, server: {optimizer: sgd, learning_rate: 0.5}}
local: {batch_size: 4, learning_rate: 0.2}
evaluation: {every: 1, splits: [test]}
checkpoint: {every_rounds: 2, keep: 2}
output: {tensorboard: false}
compute: {micro_batch_tokens: 20}
YAML
}
experiment "$scratch/lm.yaml" llama_lm language_modelling
experiment "$scratch/class.yaml" llama_dense classification
yaml=$scratch/lm.yaml
# column TABLE NAME: the cells of a column.
column() {
  awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i; next } { print $at }' "$1"
}
# table LOG: what a run printed but for its directory.
final() { grep -vE "^(/|20[0-9]{2}-)" "$1"; }

# Steps of all weights so long that the mean loss of a token is above 710 nats.
sed '/^adapter:/c\adapter: {kind: full}' "$yaml" > "$scratch/full.yaml"
long=(--set federation.server.learning_rate=60)
ends "a run of infinite perplexity ends" 0 ' inf ' 30 "$program" run "$scratch/full.yaml" "${long[@]}" --output "$scratch/inf"
final "$scratch/log" > "$scratch/expected"
ends "and is saved" 0 '' 30 "$program" run "$scratch/full.yaml" "${long[@]}" --set federation.rounds=2 --output "$scratch/inf-2"
ends "and goes on" 0 ' inf ' 30 "$program" run "$scratch/full.yaml" "${long[@]}" --resume --output "$scratch/inf-2"
final "$scratch/log" > "$scratch/found"
check "to the same digest and table" same_text "$scratch/expected" "$scratch/found"
check "evaluation.csv says inf" grep -q ',inf,' "$scratch/inf/evaluation.csv"
ends "inspect shows it" 0 'perplexity' 10 "$program" inspect "$scratch/inf"
check "metrics.jsonl is JSON with texts for such numbers" python3 -c '
import json, sys
lines = [json.loads(line, parse_constant=sys.exit) for line in open(sys.argv[1])]
sys.exit("inf" not in [line.get("perplexity") for line in lines])' "$scratch/inf/metrics.jsonl"

# Keys that are computed with in 32 bits.
for setting in adapter.dropout=0.99999999 local.learning_rate=1e-46 \
  "federation.server={optimizer: fed_adam, tau: 1e-46}" "local={optimizer: adam_w, epsilon: 1e-46}"; do
  key=${setting%%=*}
  ends "run refuses $setting" 64 "$key" 10 "$program" run "$yaml" --set "$setting"
  ends "plan refuses $setting" 64 "is not allowed" 10 "$program" plan "$yaml" --set "$setting"
done
digest_of "$scratch/sparse" "$program" run "$yaml" --set method.download.density=1e-6 --set method.upload.density=1e-6 > "$scratch/a"
check "a density below one coordinate sends one" test "1 1" = \
  "$(column "$scratch/sparse/clients.csv" download_nonzeros | sort -u) $(column "$scratch/sparse/clients.csv" upload_nonzeros | sort -u)"

# Tiers by rank pay for no indices, in either direction, and plan says what they pay.
tiers='method={download: {select: all}, upload: {select: all}, aggregation: norm_weighted, tiers: [{lora_rank: 1}, {share: 1}]}'
digest_of "$scratch/tiers" "$program" run "$yaml" --set "$tiers" > "$scratch/a"
check "HetLoRA's messages have no indices" test "0 0" = \
  "$(column "$scratch/tiers/clients.csv" download_indices_bytes | sort -u) $(column "$scratch/tiers/clients.csv" upload_indices_bytes | sort -u)"
"$program" plan "$yaml" --set "$tiers" > "$scratch/plan"
for tier in 0 1; do
  bytes=$(awk -F, -v tier=$tier 'NR > 1 && $3 == tier' "$scratch/tiers/clients.csv" | head -1 > "$scratch/row"
    sed 1q "$scratch/tiers/clients.csv" | cat - "$scratch/row" > "$scratch/row.csv"
    column "$scratch/row.csv" download_payload_bytes)
  check "plan's download of tier $tier is the run's, $bytes bytes" awk -v tier=$tier -v bytes="$bytes" '
    $1 == "download" && $2 == tier {
      factor = $(NF - 1) == "kB" ? 1000 : 1
      found = ($(NF - 2) * factor - bytes) ^ 2 <= (0.006 * bytes) ^ 2
    } END { exit !found }' "$scratch/plan"
done
ends "plan says what the server remembers of downloads" 0 'downloads known' 20 \
  "$program" plan "$yaml" --set method.download.indices=difference

# The order of a partition's file is the order of the batches, without shuffling alone.
python3 - "$goldens/federation/llama_lm/partition.json" "$scratch/reversed.json" <<'PY'
import json, sys
clients = json.load(open(sys.argv[1]))
json.dump([client[::-1] for client in clients], open(sys.argv[2], "w"))
PY
for shuffle in true false; do
  digest_of "$scratch/given-$shuffle" "$program" run "$yaml" --set local.shuffle=$shuffle > "$scratch/a"
  digest_of "$scratch/reversed-$shuffle" "$program" run "$yaml" --set local.shuffle=$shuffle \
    --set partition.path="$scratch/reversed.json" > "$scratch/b"
  [ $shuffle = true ] && check "a shuffled order does not depend on the file's" same_text "$scratch/a" "$scratch/b"
done
check "without shuffling it is the file's" test "$(cat "$scratch/a")" != "$(cat "$scratch/b")"
"$program" plan "$yaml" --set partition.path="$scratch/reversed.json" --partition "$scratch/written.json" > "$scratch/log"
check "plan --partition keeps the file's order" python3 -c '
import json, sys
sys.exit(json.load(open(sys.argv[1])) != json.load(open(sys.argv[2])))' "$scratch/reversed.json" "$scratch/written.json"

# A corpus with clients of its own, of which C has no training example; a client with nothing to predict.
python3 - "$goldens/federation/llama_lm/corpus" "$scratch/corpus" <<'PY'
import json, os, struct, sys

def rewrite(source, target, change):
    data = open(source, "rb").read()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    metadata = header.pop("__metadata__", {})
    tensors = {name: (entry["dtype"], entry["shape"], data[8 + size:][slice(*entry["data_offsets"])])
               for name, entry in header.items()}
    change(tensors, metadata)
    out, body = {"__metadata__": metadata}, b""
    for name, (dtype, shape, content) in tensors.items():
        out[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(content)]}
        body += content
    text = json.dumps(out).encode()
    open(target, "wb").write(struct.pack("<Q", len(text)) + text + body)

def change(tensors, metadata):
    count = tensors["offsets"][1][0] - 1
    # The last example is cut to one token, and is client E's only one.
    offsets = list(struct.unpack(f"<{count + 1}q", tensors["offsets"][2]))
    width = {"U16": 2, "U32": 4, "I32": 4}[tensors["tokens"][0]]
    offsets[-1] = offsets[-2] + 1
    tensors["offsets"] = ("I64", [count + 1], struct.pack(f"<{count + 1}q", *offsets))
    tensors["tokens"] = (tensors["tokens"][0], [offsets[-1]], tensors["tokens"][2][:width * offsets[-1]])
    owners = [[0, 1, 3][example % 3] for example in range(count - 1)] + [4]
    tensors["clients"] = ("I32", [count], struct.pack(f"<{count}i", *owners))
    metadata["client_names"] = json.dumps(["A", "B, the second", "C", "D", "E"])

os.mkdir(sys.argv[2])
for split in ("train", "test", "validation"):
    rewrite(f"{sys.argv[1]}/{split}.safetensors", f"{sys.argv[2]}/{split}.safetensors",
            change if split == "train" else lambda tensors, metadata: None)
PY
natural=(--set "data.path=$scratch/corpus" --set partition.kind=natural --set evaluation.clients=4)
# names TABLE CLIENT_COLUMN: number and name of each client.
names() {
  python3 -c '
import csv, sys
print(sorted({(row["client"], row["client_name"]) for row in csv.DictReader(open(sys.argv[1]))}))' "$1"
}
same_bits natural "$yaml" "2" "${natural[@]}" --set federation.cohort_size=4
echo "[('0', 'A'), ('1', 'B, the second'), ('2', 'D'), ('3', 'E')]" > "$scratch/expected"
for table in clients partition; do
  names "$scratch/natural-0/$table.csv" > "$scratch/found"
  check "$table.csv has the corpus's names" same_text "$scratch/expected" "$scratch/found"
done
check "client_evaluation.csv has them" grep -q ',"B, the second"$' "$scratch/natural-0/client_evaluation.csv"
ends "inspect of the corpus shows number and name" 0 'B, the second' 10 "$program" inspect "$scratch/corpus"
check "a client with nothing to predict has no loss" python3 -c '
import csv, sys
losses = {row["client"]: (row["loss"], row["accuracy"]) for row in csv.DictReader(open(sys.argv[1]))}
sys.exit(losses["3"] != ("", "") or "" in losses["0"])' "$scratch/natural-0/clients.csv"
printf '[[3],[3],[0],[3]]' > "$scratch/cohorts.json"
sed 's/cohort_size: 2, //' "$yaml" > "$scratch/file.yaml"
digest_of "$scratch/nothing" "$program" run "$scratch/file.yaml" "${natural[@]}" --set federation.cohort.kind=file \
  --set "federation.cohort.path=$scratch/cohorts.json" > "$scratch/a"
check "a cohort file is warned of numbers that are not the corpus's" grep -q "client 2 (C) has no training example" "$scratch/log"
check "nor has a round of it alone" test "1 1 0 1" = \
  "$(column "$scratch/nothing/rounds.csv" train_loss | awk '{ line = line (NR > 1 ? " " : "") ($0 == "") } END { print line }')"

# Residual files without and with checkpoints.
kept=(--set method.residual=kept --set federation.rounds=12 --set evaluation.every=12)
digest_of "$scratch/kept-0" "$program" run "$yaml" "${kept[@]}" --set checkpoint.every_rounds=0 \
  --set checkpoint.every_minutes=0 > "$scratch/a"
digest_of "$scratch/kept-3" mpirun -np 3 "$program" run "$yaml" "${kept[@]}" > "$scratch/b"
check "checkpoints change no residual" same_text "$scratch/a" "$scratch/b"
# most DIRECTORY: the most residual files of a client.
most() { for client in "$1"/residuals/*; do find "$client" -type f | wc -l; done | sort -n | tail -1; }
check "without checkpoints a client has at most two residual files" test "$(most "$scratch/kept-0")" -le 2
check "with two of them at most four" test "$(most "$scratch/kept-3")" -le 4

# A run of an earlier version goes on: its progress, and what its clients remember of their downloads.
cp -r "$goldens/earlier-version/run" "$scratch/earlier"
sed -i "s#@GOLDENS@#$goldens#" "$scratch/earlier/config.yaml" "$scratch/earlier/manifest.json"
column "$scratch/earlier/rounds.csv" download_payload_bytes > "$scratch/expected"
ends "a run of an earlier version goes on from its checkpoint" 0 'from round 3' 30 "$program" run "$yaml" \
  --set method.download.indices=difference --set checkpoint.keep=1 --resume --output "$scratch/earlier"
column "$scratch/earlier/rounds.csv" download_payload_bytes > "$scratch/found"
check "with the same downloads" same_text "$scratch/expected" "$scratch/found"
check "and all rows of its table" test 4 = "$(grep -cE "^ +[1-4] " "$scratch/log")"
ends "the end says which vector was evaluated" 0 'zero outside of the round' 30 "$program" run "$yaml" --output "$scratch/text"
finish
