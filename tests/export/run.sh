#!/usr/bin/env bash
# Exported models of all architectures in ONNX Runtime (npm's onnxruntime-node) or in Debian's PyTorch.
# usage: run.sh MODELS SCRATCH onnx|torch
# Exits with 77 (skipped) where something is missing: ./dev test installs all, and says so by
# SLUICE_REQUIRE_CLIENTS=1.
set -euo pipefail
models=$1 scratch=$2 reader=$3
here=$(cd "$(dirname "$0")" && pwd)
export OMP_WAIT_POLICY=passive

missing() {
  echo "$1: ./dev test installs it" >&2
  [ -n "${SLUICE_REQUIRE_CLIENTS:-}" ] && exit 1
  exit 77
}
runtime=${SLUICE_ONNXRUNTIME:-}
case $reader in
  onnx)
    command -v node >/dev/null || missing "node is not installed"
    [ -d "$runtime" ] || missing "npm's package onnxruntime-node is not installed" ;;
  torch) # which ./dev installs for its benchmarks only
    /usr/bin/python3 -c 'import torch' 2>/dev/null || { echo "python3-torch is not installed" >&2; exit 77; } ;;
esac
rm -rf "$scratch"
mkdir -p "$scratch"
trap 'rm -rf "$scratch"' EXIT
"$models" "$scratch"
case $reader in
  onnx) node "$here/onnx_test.mjs" "$scratch" "$runtime" ;;
  torch) PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$here/torch_test.py" "$scratch" ;;
esac
