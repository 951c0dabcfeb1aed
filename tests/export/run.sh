#!/usr/bin/env bash
# Exported models of all architectures in ONNX Runtime (npm's onnxruntime-node) or in Debian's PyTorch.
# usage: run.sh MODELS SCRATCH onnx|torch
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../support/clients.sh"
models=$1 reader=$3

runtime=${SLUICE_ONNXRUNTIME:-}
case $reader in
  onnx)
    has node
    [ -d "$runtime" ] || missing "npm's package onnxruntime-node" ;;
  torch) # which ./dev installs for its benchmarks only
    /usr/bin/python3 -c 'import torch' 2>/dev/null || { echo "python3-torch is not installed" >&2; exit 77; } ;;
esac
begin "$2"
"$models" "$scratch"
case $reader in
  onnx) node "$here/onnx_test.mjs" "$scratch" "$runtime" ;;
  torch) PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$here/torch_test.py" "$scratch" ;;
esac
