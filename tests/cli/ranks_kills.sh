#!/usr/bin/env bash
# Random ranks of a job are killed at random moments, and the job is started again on another number of
# them: every run must end with the weights of a run that nobody disturbed.
#   ranks_kills.sh SLUICE TEXT [KILLS [FLAGS..]]
# FLAGS are of the training: --sync-every 7, --shard-optimizer.
set -euo pipefail
sluice=$1
kills=${3:-200}
flags=("${@:4}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A copy: a text that is changed meanwhile makes other weights.
text=$work/text
cp "$2" "$text"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive

train() {
  train_by=("$@" train --data "$text" --tokenizer char --layers '[(16,3)]*2' --dim 16 --batch 1 --context 8
    --accumulate 6 --threads 1 --steps 1500 --validate-every 500 --checkpoint-every 20 "${flags[@]}")
}

train "$sluice"
"${train_by[@]}" --out "$work/whole" >"$work/log" 2>&1
done_kills=0 runs=0
while [ "$done_kills" -lt "$kills" ]; do
  ranks=$((2 + RANDOM % 3))
  train mpirun --quiet --oversubscribe --bind-to none -n $ranks "$sluice"
  "${train_by[@]}" --out "$work/run" --resume-if-possible >"$work/log" 2>&1 &
  job=$!
  # On a busy machine it takes a while until all are there.
  while kill -0 $job 2>/dev/null && [ "$(pgrep -c -P $job)" -lt $ranks ]; do sleep 0.02; done
  sleep "$(printf '%d.%03d' $((RANDOM % 4)) $((300 + RANDOM % 700)))"
  mapfile -t processes < <(pgrep -P $job || true)
  victim=$((RANDOM % ranks))
  if [ ${#processes[@]} -gt $victim ] && kill -9 "${processes[$victim]}" 2>/dev/null; then done_kills=$((done_kills + 1)); fi
  # Open MPI 4.1's mpirun waits for ever for a process that was killed while it joined.
  childless=0
  while kill -0 $job 2>/dev/null; do
    if pgrep -P $job >/dev/null; then childless=0; elif [ $((++childless)) -eq 50 ]; then kill -9 $job; fi
    sleep 0.2
  done
  status=0
  wait $job || status=$?
  if [ $status -eq 0 ]; then
    cmp "$work/whole/model.safetensors" "$work/run/model.safetensors"
    rm -r "$work/run"
    runs=$((runs + 1))
  elif grep -q '^sluice' "$work/log"; then
    cat "$work/log" >&2
    echo "after $done_kills kills: a job complained of something else than a process that has gone" >&2
    exit 1
  fi
done
train "$sluice"
"${train_by[@]}" --out "$work/run" --resume-if-possible >"$work/log" 2>&1
cmp "$work/whole/model.safetensors" "$work/run/model.safetensors"
echo "$done_kills kills, $((runs + 1)) runs, each with the weights of the undisturbed one"
