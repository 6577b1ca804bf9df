#!/usr/bin/env bash
# Runs on an OpenCL device have the digests of the CPU, and a device that fails or gives other bits is
# refused. The device is PoCL, which computes OpenCL on the CPU (Debian: pocl-opencl-icd).
# Usage: Tests/MPI/devices.sh [BINARY_DIRECTORY]. Prints one line a check and, last, "N passed, N failed,
# N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
. Tests/MPI/short-runs.bash
# The program itself has MPI load no driver.
unset HWLOC_COMPONENTS
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
export XDG_CACHE_HOME=$scratch/cache
device=(--set "compute.device=Portable Computing")

# The text for the compilers of other drivers: no undefined function, and no fusion of other operations.
text=$scratch/program.cl
kernels=Sources/CDeviceKernels
sed -nE 's/^#embed "(.*)"$/\1/p' "$kernels/sources.c" | sed "s|^|$kernels/|" | xargs cat > "$text"
for target in spir64 nvptx64 amdgcn; do
  compile=(clang -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -target "$target" -Wall -Werror -S -emit-llvm)
  if ! "${compile[@]}" -O0 -o "$scratch/$target.ll" <(echo "__kernel void f(__global float *x) { *x = fma(*x, *x, 1.0f); }") 2> "$scratch/log"; then
    skip "kernels for $target: no clang that compiles OpenCL C for it"
    continue
  fi
  check "kernels compile for $target" "${compile[@]}" -O2 -o "$scratch/$target.ll" "$text"
  check "$target: all functions are there" \
    not grep -E '^declare .*@(activate|slope_of|sum_lanes|larger|largest_of|ck_[a-z_]*)\(' "$scratch/$target.ll"
  check "$target: nothing is fused but by fma" not grep -E 'fmuladd|contract' "$scratch/$target.ll"
done

if ! compgen -G '/etc/OpenCL/vendors/pocl*.icd' > /dev/null; then
  skip "no PoCL here (Debian: apt-get install pocl-opencl-icd)"
  finish
fi
ends "every kernel gives the bits of the CPU" 0 "gives the bits of the CPU" 150 "$program" devices
check "the table names PoCL" grep -q "Portable Computing Language .*gives the bits" "$scratch/log"
check "compiled kernels are kept" test -n "$(ls "$scratch/cache/cellm-mpi/kernels" 2> /dev/null)"
for file in "$scratch/cache/cellm-mpi/kernels"/*; do echo damaged > "$file"; done
ends "kept kernels that are damaged are compiled again" 0 "gives the bits of the CPU" 150 "$program" devices
for name in llama private flex language; do
  sed -nE "s/^$name //p" Tests/MPI/levels.digests > "$scratch/expected"
  digest_of "$scratch/$name-1" "$program" run "$scratch/$name.yaml" "${device[@]}" > "$scratch/found"
  check "$name: 1 rank, digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
done
sed -nE "s/^llama //p" Tests/MPI/levels.digests > "$scratch/expected"
digest_of "$scratch/llama-3" mpirun -np 3 "$program" run "$scratch/llama.yaml" "${device[@]}" > "$scratch/found"
check "llama: 3 ranks, digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
check "manifest.json names the device" grep -q '"device" : .*Portable Computing Language' "$scratch/llama-3/manifest.json"
# Stacked factors (FLoRA): the base weights change on the device, too.
sed 's/aggregation: product_mean/aggregation: stacked, download: {select: all}, upload: {select: all}/' "$scratch/flex.yaml" > "$scratch/stacked.yaml"
digest_of "$scratch/stacked-cpu" "$program" run "$scratch/stacked.yaml" > "$scratch/stacked"
digest_of "$scratch/stacked-device" "$program" run "$scratch/stacked.yaml" "${device[@]}" > "$scratch/found"
check "stacked: digest $(cat "$scratch/found")" same_text "$scratch/stacked" "$scratch/found"
# Drivers have handlers of signals (LLVM's), which the run's replace; and a run on the CPU opens no driver.
asked() { # SIGNAL NAME SETTING...
  local signal=$1 name=$2 job
  shift 2
  env --default-signal=INT "$program" run "$scratch/llama.yaml" --set federation.rounds=100000 "$@" --output "$scratch/$name" \
    > "$scratch/log" 2>&1 < /dev/null &
  job=$!
  for _ in $(seq 300); do [ "$(cat "$scratch/$name/rounds.csv" 2> /dev/null | wc -l)" -ge 3 ] && break; sleep 0.1; done
  cp "/proc/$job/maps" "$scratch/maps"
  kill "-$signal" $job
  wait $job
  [ $? = 75 ]
}
for signal in USR1 INT TERM; do check "SIG$signal saves a run on the device" asked $signal "asked-$signal" "${device[@]}"; done
check "the device's driver was there" grep -q pocl "$scratch/maps"
check "SIGUSR1 saves a run on the CPU" asked USR1 asked-cpu
check "which opens no driver" not grep -q pocl "$scratch/maps"
# A run that was begun on the device goes on without it.
digest_of "$scratch/moved" "$program" run "$scratch/llama.yaml" "${device[@]}" --set federation.rounds=2 \
  --set checkpoint.every_rounds=1 > /dev/null
digest_of "$scratch/moved" "$program" run "$scratch/llama.yaml" --set checkpoint.every_rounds=1 --resume > "$scratch/found"
check "llama: begun on the device, ended on the CPU, digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"

ends "gpu: the node has none" 64 "compute.device: this node has no GPU; OpenCL finds" 20 \
  "$program" run "$scratch/llama.yaml" --set compute.device=gpu --output "$scratch/none"
ends "another name" 64 "no OpenCL device called tesla" 20 \
  "$program" run "$scratch/llama.yaml" --set compute.device=tesla --output "$scratch/none"
ends "auto takes the CPU, and says why" 0 "compute.device: auto takes the CPU, for this node has no GPU" 60 \
  "$program" run "$scratch/llama.yaml" --set compute.device=auto --output "$scratch/auto"
ends "threads are of the CPU" 64 "not allowed with compute.threads: 2" 20 \
  "$program" run "$scratch/llama.yaml" "${device[@]}" --set compute.threads=2 --output "$scratch/none"
ends "bf16 is of the CPU" 64 "not allowed with compute.precision: bf16" 20 \
  "$program" run "$scratch/llama.yaml" "${device[@]}" --set compute.precision=bf16 --output "$scratch/none"

# A library between the program and OpenCL, which fails as $OPENCL_FAULT says.
real=$(ldconfig -p | sed -nE 's/.*libOpenCL\.so\.1 .*=> (.*)/\1/p' | head -n 1)
mkdir "$scratch/faulty"
if [ -z "$real" ] || ! ${CC:-cc} -O1 -shared -fPIC -o "$scratch/faulty/libOpenCL.so.1" Tests/MPI/opencl-faults.c -ldl 2> "$scratch/log"; then
  skip "faults of a device: no C compiler, or no libOpenCL.so.1: $(tail -n 1 "$scratch/log")"
  finish
fi
# under FAULT: sets $faulty, the environment of a command with this fault.
under() {
  faulty=(env "LD_LIBRARY_PATH=$scratch/faulty${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" "OPENCL_REAL=$real" "OPENCL_FAULT=$1"
    "XDG_CACHE_HOME=$scratch/cache-$1")
}
run=("$program" run "$scratch/llama.yaml" "${device[@]}" --output "$scratch/faulty-run")
under no-platform
ends "no driver" 64 "no OpenCL driver is installed" 20 "${faulty[@]}" "${run[@]}"
under no-device
ends "no device" 64 "no OpenCL device called" 20 "${faulty[@]}" "${run[@]}"
under build
ends "a kernel that does not compile" 64 "the kernels do not compile" 150 "${faulty[@]}" "${run[@]}"
under fast-math
ends "a driver that rounds in another way is refused, with the kernels" 64 "gives other bits than the CPU in" 150 \
  "${faulty[@]}" "${run[@]}"
under small-memory
ends "too little memory on the device" 64 "lower compute.micro_batch_tokens" 60 "${faulty[@]}" "${run[@]}"
check "nothing was begun" test ! -e "$scratch/faulty-run"
under lost
long=(--set federation.rounds=60 --set checkpoint.every_rounds=1)
ends "a device that is lost ends the run" 76 "the device was lost" 120 "${faulty[@]}" "${run[@]}" "${long[@]}"
ends "or the job of two ranks" 76 "the device was lost" 120 mpirun -np 2 "${faulty[@]}" "${run[@]}" "${long[@]}" --resume
digest_of "$scratch/faulty-run" "$program" run "$scratch/llama.yaml" "${device[@]}" "${long[@]}" --resume > "$scratch/found"
digest_of "$scratch/whole" "$program" run "$scratch/llama.yaml" --set federation.rounds=60 > "$scratch/expected"
check "the run goes on with --resume, digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
# A node with a GPU and one without: here a rank whose PoCL calls itself a GPU, and one that has it as it is.
under gpu
auto=("$program" run "$scratch/llama.yaml" --set compute.device=auto)
sed -nE "s/^llama //p" Tests/MPI/levels.digests > "$scratch/expected"
digest_of "$scratch/mixed" mpirun -np 1 "${faulty[@]}" "${auto[@]}" --output "$scratch/mixed" : -np 1 "${auto[@]}" > "$scratch/found"
check "llama: a rank with a GPU and one without, digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
check "the rank with the GPU used it" grep -q '"device" : ' "$scratch/mixed/manifest.json"
finish
