#!/usr/bin/env bash
# Everything that needs a CUDA device, in one go, in less than ten minutes and without a network: the tests on the
# device, then kernels and whole steps beside PyTorch and the CPU, at both precisions.
#
#     benchmarks/device.sh [FOLDER]       # where dated logs and JSON go; benchmarks/results by default
#
# It uses the Python that $PYTHON names, or python3, with dlcore's extras `test`, `bench` and `cuda12` or `cuda13`
# installed (and PyTorch with CUDA, to be compared with). BACKEND=cupy-emulated rehearses it where there is no device.
# Exits with 1 if a test or a case failed; what could be measured is kept all the same.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:-benchmarks/results}
backend=${BACKEND:-cupy}
python=${PYTHON:-python3}
name=$folder/$(date +%Y-%m-%d)-$backend
mkdir -p "$folder"
failed=0

run() { # TITLE SECONDS COMMAND…: prints and keeps what the command prints, within a time limit
    printf '\n=== %s\n' "$1"
    local limit=$2 began=$SECONDS
    shift 2
    timeout "$limit" "$@" 2>&1 | tee -a "$name.log"
    local status=${PIPESTATUS[0]}
    if [ "$status" -ne 0 ]; then
        echo "=== ended with $status" | tee -a "$name.log"
        failed=1
    fi
    echo "=== $((SECONDS - began)) s"
}

: >"$name.log"
quick=()
tests=(tests)
if [ "$backend" = cupy-emulated ]; then
    quick=(--quick)
    tests=(tests/test_device.py)
else
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv | tee -a "$name.log"
fi

run "Tests" 300 "$python" -m pytest --backend "$backend" --quiet "${tests[@]}"
run "Kernels and steps, float32 throughout" 180 \
    "$python" -m benchmarks device --backend "$backend" --json "$name.json" "${quick[@]}"
run "Convolutions, TF32" 90 \
    "$python" -m benchmarks device --backend "$backend" --precision tf32 --only conv2d --json "$name-tf32.json" "${quick[@]}"

printf '\n=== %s s; kept in %s*\n' "$SECONDS" "$name"
exit "$failed"
