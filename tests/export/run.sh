#!/usr/bin/env bash
# Exported graphs of all architectures in ONNX Runtime (npm's onnxruntime-node).
# usage: run.sh MODELS SCRATCH
# Exits with 77 (skipped) where something is missing: ./dev test installs all, and says so by
# SLUICE_REQUIRE_CLIENTS=1.
set -euo pipefail
models=$1 scratch=$2
here=$(cd "$(dirname "$0")" && pwd)
export OMP_WAIT_POLICY=passive

missing() {
  echo "$1: ./dev test installs it" >&2
  [ -n "${SLUICE_REQUIRE_CLIENTS:-}" ] && exit 1
  exit 77
}
runtime=${SLUICE_ONNXRUNTIME:-}
command -v node >/dev/null || missing "node is not installed"
[ -d "$runtime" ] || missing "npm's package onnxruntime-node is not installed"
rm -rf "$scratch"
mkdir -p "$scratch"
trap 'rm -rf "$scratch"' EXIT
"$models" "$scratch"
node "$here/onnx_test.mjs" "$scratch" "$runtime"
