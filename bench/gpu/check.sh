#!/usr/bin/env bash
# Verifies what runs on a GPU against the CPU, and times it. Under 10 minutes on one H100.
#
#   bench/gpu/check.sh [--build DIR] [--peer PYTHON] [--quick]
#
#   --build DIR    where the programs lie: DIR/bin/{cuda_test,gpu_bench} (default: build; a folder of tools/package-gpu has bin/
#                  beside this script's folders and is found by itself)
#   --peer PYTHON  a Python with torch, transformers and peft on the same GPU: times the same decoder there, A, B, A, B, …
#   --quick        a decoder of 2 layers, for a small GPU
#
# Exits with 1 when a check fails. Every line that is printed is also in gpu-check.txt in the folder where it is called.

set -uo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname -- "$(dirname -- "$here")")
build=$root/build peer='' layers=32 rounds=7
[[ -x $root/bin/gpu_bench ]] && build=$root
while (($#)); do
  case $1 in
    --build) build=$2 && shift 2 ;;
    --peer) peer=$2 && shift 2 ;;
    --quick) layers=2 && shift ;;
    -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" && exit 0 ;;
    *) echo "there is no option '$1'; see $0 --help" >&2 && exit 2 ;;
  esac
done
for program in gpu_bench cuda_test; do
  [[ -x $build/bin/$program ]] || { echo "$build/bin/$program is missing: build with -D MICROEMO_BENCH=ON, or give --build" >&2 && exit 2; }
done
export OMP_NUM_THREADS=4 OMP_WAIT_POLICY=passive
failed=0
exec > >(tee gpu-check.txt) 2>&1
tee=$!

section() { printf '\n== %s\n' "$*"; }
check() { "$@" || { failed=1 && printf 'FAILED: %s\n' "$*"; }; }

section "machine"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null

section "plug-in, devices, a kernel"
check "$build/bin/cuda_test" --gtest_brief=1

if [[ $("$build/bin/gpu_bench" curve 2>&1) == *"CUDA cannot be used"* ]]; then
  "$build/bin/gpu_bench" curve
  exec >&- 2>&-
  wait "$tee"
  exit 1
fi

section "kernels against the CPU, and their time against LibTorch's operations"
check "$build/bin/gpu_bench" kernels

section "20 updates of a small decoder on the GPU against the CPU"
check "$build/bin/gpu_bench" curve

section "answers of a small decoder on the GPU, in batches and orders of any kind, against the CPU's"
check "$build/bin/gpu_bench" answers

section "a training step of small models with every kind of encoder, on the GPU against the CPU, and replayed"
check "$build/bin/gpu_bench" model

section "public encoders at full size, random weights, frames in bf16"
check timeout 120 "$build/bin/gpu_bench" encoders

section "LLaMA-2-7B's shape (of $layers layers), LoRA on queries and values, 4,096 packed tokens, bf16"
ours=(timeout 150 "$build/bin/gpu_bench" decoder --layers "$layers" --steps 10)
check "${ours[@]}"
echo "the same with recompute:" && check "${ours[@]}" --recompute
echo "the same without own kernels:" && check "${ours[@]}" --without-kernels
echo "the same on NF4:" && check "${ours[@]}" --frozen nf4

if [[ -n $peer ]]; then
  section "the same in transformers and peft (eager, SDPA, bf16), in turns"
  # Its libraries are not those that this program runs with.
  check env LD_LIBRARY_PATH= OURS="${LD_LIBRARY_PATH:-}" "$peer" "$here/peer.py" --program "$build/bin/gpu_bench" --layers "$layers" --rounds "$rounds"
fi
((failed)) && printf '\nsomething FAILED, see above\n' || printf '\nall checks passed\n'
exec >&- 2>&-
wait "$tee"  # the last lines are written by then
exit "$failed"
