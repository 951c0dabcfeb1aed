# What the scripts share that have programs of others read what ours write; sourced by them. They exit
# with 77 (skipped) where such a program is missing: ./dev test installs all, and says so by
# SLUICE_REQUIRE_CLIENTS=1.
set -euo pipefail
export OMP_WAIT_POLICY=passive

missing() { # missing WHAT: it is not installed
  echo "$1 is not installed: ./dev test installs it" >&2
  [ -n "${SLUICE_REQUIRE_CLIENTS:-}" ] && exit 1
  exit 77
}
has() { command -v "$1" >/dev/null || missing "$1"; }

begin() { # begin SCRATCH: an empty directory, until the script ends, and its jobs with it
  scratch=$1
  rm -rf "$scratch"
  mkdir -p "$scratch"
  trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$scratch"' EXIT
}
