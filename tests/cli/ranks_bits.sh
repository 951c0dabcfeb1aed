#!/usr/bin/env bash
# The weights of 4 and of 8 processes are those of one, bit for bit, for every architecture, precision and
# two optimizers; processes share the cores that there are.
#   ranks_bits.sh SLUICE TEXT
set -euo pipefail
sluice=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
head -c 60000 "$2" >"$work/text"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive

declare -A shapes=([gcnn]="--layers [(16,3)]*2 --dim 16" [transformer]="--depth 2 --dim 16 --heads 2")
for arch in rnn lstm gru indrnn mut1; do shapes[$arch]="--depth 2 --hidden 16 --dim 16"; done

same=0
for arch in gcnn rnn lstm gru indrnn mut1 transformer; do
  for precision in f32 bf16; do
    for optimizer in adamw nesterov; do
      flags=(train --data "$work/text" --tokenizer char --arch "$arch" ${shapes[$arch]} --precision "$precision"
        --optimizer "$optimizer" --accumulate 8 --batch 1 --context 16 --threads 1 --steps 4)
      for ranks in 1 4 8; do
        by=("$sluice")
        [ "$ranks" -eq 1 ] || by=(mpirun --quiet --oversubscribe --bind-to none -n "$ranks" "$sluice")
        rm -rf "$work/$ranks"
        "${by[@]}" "${flags[@]}" --out "$work/$ranks" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
        [ "$ranks" -eq 1 ] || cmp "$work/1/model.safetensors" "$work/$ranks/model.safetensors" ||
          { echo "$arch, $precision, $optimizer: $ranks processes make other weights" >&2; exit 1; }
      done
      same=$((same + 1))
    done
  done
done
echo "$same kinds of training, each with the same weights on 1, 4 and 8 processes"
