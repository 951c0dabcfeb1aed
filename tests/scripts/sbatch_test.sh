#!/usr/bin/env bash
# packaging/sluice.sbatch queues a job again when it was told to stop, and only then; srun and scontrol are
# stand-ins.
set -euo pipefail
script=$1/packaging/sluice.sbatch
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\nexit "$SRUN_STATUS"\n' >"$work/srun"
printf '#!/bin/sh\ncase $1 in\nrequeue) echo "$2" >>"%s/requeued" ;;\nshow) echo "   StartTime=2026-01-01T00:00:00 EndTime=$(date -d "now + $SECONDS_LEFT seconds" +%%FT%%T) Deadline=N/A" ;;\nesac\n' \
  "$work" >"$work/scontrol"
chmod +x "$work/srun" "$work/scontrol"

status=0
# check STATUS_OF_SRUN SECONDS_LEFT EXPECTED_STATUS EXPECTED_REQUEUED
check() {
  local found=0 requeued
  rm -f "$work/requeued"
  PATH="$work:$PATH" SRUN_STATUS=$1 SECONDS_LEFT=$2 SLURM_JOB_ID=7 SLURM_CPUS_PER_TASK=1 \
    bash "$script" text model || found=$?
  requeued=$(cat "$work/requeued" 2>/dev/null || true)
  [ "$found,$requeued" = "$3,$4" ] && return
  echo "srun ended with $1, $2 seconds left: expected $3 and requeued '$4', got $found and '$requeued'"
  status=1
}
check 0 5000 0 ''
check 0 60 0 ''
check 143 5000 0 7
check 143 100 0 7
check 1 5000 1 ''
check 1 100 0 7
check 1 170 0 7
check 137 90 0 7
check 1 300 1 ''
exit $status
