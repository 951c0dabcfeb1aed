#!/usr/bin/env bash
# Data parallelism measured on one machine of two cores or more, with a real mpirun:
#   bench/cluster.sh threads TEXT          2 processes × 1 thread, so with --shard-optimizer, and so
#                                          without gradients (quiet: --sync-every longer than the run,
#                                          losses and clocks alone), against 1 × 2 and 1 × 1, same
#                                          batch; and two that do not speak, half of it each: what the
#                                          machine allows
#   bench/cluster.sh net TEXT RATE DELAY   2 processes in network namespaces joined by a link of RATE
#                                          ("1gbit") and DELAY ("200us", one way), against no shaping;
#                                          needs root, and removes what it makes
# SLUICE: the program (build/release/cli/sluice). ROUNDS: how often each is measured (3). STEPS: steps
# each time (24; 102 and more with --sync-every 50). MODEL: its flags, --communicate and --sync-every
# among them. Prints tokens/s of every measurement and of what `sluice plan` makes of a process beside
# another that it does not speak with, medians, quartiles and the ratios of medians; `threads` also the
# ceiling of each ratio, two that do not speak, and the largest share of the processors that other
# programs had: with more than a few percent figures mean little.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

sluice=$(realpath "${SLUICE:-build/release/cli/sluice}")
rounds=${ROUNDS:-3}
steps=${STEPS:-24}
model=${MODEL:---layers [(256,4)]*8 --dim 256 --dropout 0}
batch=${BATCH:-16}
work=$(mktemp -d)
declare -A speeds
# Open MPI as root. Threads wait as the user's environment has them wait: two spin at joins by default,
# one waits for nobody.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

names=(sluice-a sluice-b)
carrier=
clean() {
  [ -z "$carrier" ] || kill "$carrier" 2>/dev/null || true
  rm -rf "$work"
  local name
  for name in "${names[@]}"; do ip netns del "$name" 2>/dev/null || true; done
}
trap clean EXIT

# Hundredths of a second: of all processors, and of what this script has started and awaited.
busy() { awk '/^cpu /{ print $2 + $3 + $4 + $7 + $8 }' /proc/stat; }
own() { awk '{ print $14 + $15 + $16 + $17 }' /proc/$$/stat; }
others=0

die() { printf 'bench/cluster.sh: %s\n' "$*" >&2; exit 1; }
[ $# -ge 2 ] || { sed -n '2,17s/^# \{0,1\}//p' "$0"; exit 2; }
text=$(realpath "$2")

# measure NAME COMMAND...: trains by COMMAND, and notes its tokens/s.
measure() {
  local name=$1 before begun share
  shift
  before=$(($(busy) - $(own))) begun=$(date +%s%N)
  train_into "$work/run" "$name" "$@" || die "$name failed"
  share=$(((100 * 10000000 * ($(busy) - $(own) - before)) / (($(date +%s%N) - begun) * $(nproc))))
  [ "$share" -le "$others" ] || others=$share
  note_speed "$name" "$work/run"
}

# train_into DIRECTORY NAME COMMAND...
train_into() {
  local out=$1 name=$2
  shift 2
  "$@" train --data "$text" --tokenizer char --out "$out" --overwrite --steps "$steps" \
    --valid-fraction 0 --context 128 --log-every 1 --checkpoint-every 1000000 $model ${flags[$name]} \
    >"$out.log" 2>&1 || { cat "$out.log" >&2; return 1; }
}

# The tokens_per_second of metrics.jsonl are smoothed, and begin with a first step that is slow: speeds
# are taken from the tokens and seconds of its lines, from the second on.
note_speed() {
  local name=$1 run=$2
  speeds[$name]+="$(grep '"event":"train"' "$run/metrics.jsonl" |
    sed 's/.*"seconds":\([0-9.]*\).*"tokens":\([0-9]*\).*/\1 \2/' |
    awk 'NR == 2 { s0 = $1; t0 = $2 } { s = $1; t = $2 } END { printf "%.0f", (t - t0) / (s - s0) }') "
}

# quantile NAME SHARE: that of its speeds, between two neighbours in proportion.
quantile() {
  tr ' ' '\n' <<<"${speeds[$1]}" | grep . | sort -g | awk -v share="$2" '{ v[NR] = $1 }
    END { at = 1 + share * (NR - 1); low = int(at); high = low < NR ? low + 1 : NR
          printf "%.0f", v[low] + (at - low) * (v[high] - v[low]) }'
}
median() { quantile "$1" 0.5; }

# Two processes that do not speak, on a core each: what the machine allows. Notes what `sluice plan` makes
# of one of them for two processes: NAME=RATE,DELAY...
train_apart() {
  local each
  train_into "$work/beside" half taskset -c 1 "$sluice" &
  train_into "$work/half" half taskset -c 0 "$sluice" || die "half failed"
  wait $! || die "half failed"
  note_speed half "$work/half"
  for each in "$@"; do
    speeds[plan ${each%%=*}]+="$("$sluice" plan "$work/half" --bandwidth "$(cut -d, -f1 <<<"${each#*=}")" \
      --latency "$(cut -d, -f2 <<<"${each#*=}")" | awk '$1 == 2 && NF > 4 && $2 ~ /^[0-9,]+$/ { gsub(",", "", $2); print $2 }') "
  done
}

# ratio OF NAME [TIMES]: of two medians, the first so many times.
ratio() { awk -v a="$(median "$1")" -v b="$(median "$2")" -v n="${3:-1}" 'BEGIN { printf "%.3f", n * a / b }'; }

# report A B...: each one's speeds, and the first's median over those of the others; beside it, where it
# was measured, what two that do not speak would have.
report() {
  local name
  for name in "$@"; do
    printf '%-24s %s tokens/s, median %s, quartiles %s to %s\n' "$name" "${speeds[$name]}" "$(median "$name")" \
      "$(quantile "$name" 0.25)" "$(quantile "$name" 0.75)"
  done
  for name in "${@:2}"; do
    printf '%s / %s = %s' "$1" "$name" "$(ratio "$1" "$name")"
    case $1,$name in
      2x1,1x* | sharded,1x* | quiet,1x*) printf ', two that do not speak %s' "$(ratio half "$name" 2)" ;;
    esac
    echo
  done
}

declare -A flags
case $1 in
  threads)
    flags=([2x1]="--accumulate 2 --batch $batch --threads 1" [1x2]="--batch $((2 * batch)) --threads 2"
      [1x1]="--accumulate 2 --batch $batch --threads 1" [half]="--batch $batch --threads 1")
    flags[sharded]="${flags[2x1]} --shard-optimizer"
    flags[quiet]="${flags[2x1]} --sync-every 1000000"
    for ((i = 0; i < rounds; ++i)); do
      measure 2x1 mpirun --bind-to core -n 2 "$sluice"
      measure sharded mpirun --bind-to core -n 2 "$sluice"
      # With a --sync-every of its own 2x1 is as quiet.
      [[ $model == *--sync-every* ]] || measure quiet mpirun --bind-to core -n 2 "$sluice"
      measure 1x2 "$sluice"
      measure 1x1 "$sluice"
      # Memory for a network.
      train_apart 2x1=100gbit,1us
    done
    report 2x1 1x2 1x1
    report sharded 1x2 1x1
    [[ $model == *--sync-every* ]] || report quiet 2x1 1x2 1x1
    report half
    report 'plan 2x1' 2x1
    echo "other programs had up to $others% of the processors meanwhile" ;;
  net)
    [ "$(id -u)" -eq 0 ] || die "namespaces need root"
    [ $# -eq 4 ] || die "net needs TEXT, RATE and DELAY"
    ip netns add "${names[0]}"
    ip netns add "${names[1]}"
    devices=(sluice-va sluice-vb)
    join() { # gives both ends of the link their addresses
      local i
      for i in 0 1; do
        ip -n "${names[$i]}" addr add "10.77.0.$((i + 1))/24" dev "${devices[$i]}"
        ip -n "${names[$i]}" link set "${devices[$i]}" up
        ip -n "${names[$i]}" link set lo up
      done
    }
    # Instead of ssh: enters the namespace of the address, under a host name of its own.
    cat >"$work/agent" <<AGENT
#!/bin/sh
host=\$1
shift
exec ip netns exec ${names[1]} unshare --uts sh -c "hostname sluice-b; \$*"
AGENT
    chmod +x "$work/agent"
    if tc -n "${names[0]}" qdisc add dev lo root netem delay 1us 2>/dev/null; then
      tc -n "${names[0]}" qdisc del dev lo root
      ip link add "${devices[0]}" netns "${names[0]}" type veth peer name "${devices[1]}" netns "${names[1]}"
      join
      shape() { # nothing, or RATE and DELAY
        local i
        for i in 0 1; do
          tc -n "${names[$i]}" qdisc del dev "${devices[$i]}" root 2>/dev/null || true
          [ $# -eq 0 ] || tc -n "${names[$i]}" qdisc add dev "${devices[$i]}" root netem \
            rate "$1" delay "$2" limit 100000
        done
      }
    else
      echo "this kernel has no netem: a program carries the packets, in both cases, on the same processors" >&2
      "${CXX:-c++}" -std=c++20 -O2 -o "$work/delayed_link" bench/delayed_link.cpp
      units='/gbit$/ { print $1 * 1e9 } /mbit$/ { print $1 * 1e6 } /us$/ { print $1 } /ms$/ { print $1 * 1e3 }'
      shape() { # nothing, or RATE and DELAY
        local i
        [ -z "$carrier" ] || { kill "$carrier"; wait "$carrier" 2>/dev/null || true; }
        mkfifo "$work/ready"
        "$work/delayed_link" "${devices[@]}" "$(awk "$units" <<<"${1:-0gbit}")" \
          "$(awk "$units" <<<"${2:-0us}")" >"$work/ready" &
        carrier=$!
        read -r <"$work/ready"
        rm "$work/ready"
        for i in 0 1; do
          ip link set "${devices[$i]}" netns "${names[$i]}"
          # As large as what a network card is given to cut.
          ip -n "${names[$i]}" link set "${devices[$i]}" mtu 65000
        done
        join
      }
    fi
    flags=([shaped]="--accumulate 2 --batch $batch --threads 1" [half]="--batch $batch --threads 1")
    flags[plain]=${flags[shaped]}
    # Workers that are synchronised now and then are two in one process too.
    [[ $model != *--sync-every* ]] || flags[half]=${flags[shaped]}
    run=(ip netns exec "${names[0]}" mpirun --host 10.77.0.1,10.77.0.2 -n 2 --bind-to none
      --mca plm_rsh_agent "$work/agent" --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24
      --mca oob_tcp_if_include 10.77.0.0/24 "$sluice")
    for ((i = 0; i < rounds; ++i)); do
      shape "$3" "$4"
      measure shaped "${run[@]}"
      shape
      measure plain "${run[@]}"
      train_apart "shaped=$3,$4"
    done
    report shaped plain
    report 'plan shaped' shaped ;;
  *) die "unknown: $1" ;;
esac
