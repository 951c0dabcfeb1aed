# ./dev fuzz: readers under arbitrary bytes (tests/fuzz/), with clang's libFuzzer and sanitizers.
# Rounds add up: what a harness found worth keeping, and how long it ran, stays below build/fuzz/runs.

# One round of one harness.
fuzz_round() { # directory of all, minutes, name
  local work=$1 minutes=$2 name=$3 own=$1/$3 begin
  mkdir -p "$own/corpus" "tests/fuzz/corpus/$name"
  begin=$(date +%s)
  # A limit of time that other programs at work beside it do not reach.
  SLUICE_FUZZ=$name TMPDIR=/dev/shm timeout $((minutes * 60 + 300)) "$work/fuzzer" -max_total_time=$((minutes * 60)) \
    -rss_limit_mb=2048 -timeout=120 -len_control=100 -print_funcs=0 -print_final_stats=1 -artifact_prefix="$own/" \
    "$own/corpus" "tests/fuzz/corpus/$name" >"$own/log" 2>&1 </dev/null || true
  printf '%s %s\n' "$(($(date +%s) - begin))" \
    "$(sed -n 's/^stat::number_of_executed_units: *//p' "$own/log" | tail -1)" >>"$own/rounds"
}

fuzz_findings() { # directory of a harness
  find "$1" -maxdepth 1 \( -name 'crash-*' -o -name 'oom-*' -o -name 'timeout-*' \) | wc -l
}

fuzz_table() { # directory of all, names
  local work=$1 name log
  shift
  printf '| harness | minutes | executions | edges | features | findings |\n|---|---|---|---|---|---|\n'
  for name in "$@"; do
    log=$work/$name/log
    [ -f "$work/$name/rounds" ] || continue
    printf '| %s | %s | %s | %s | %s |\n' "$name" \
      "$(awk '{ seconds += $1; runs += $2 } END { printf "%.0f | %d", seconds / 60, runs }' "$work/$name/rounds")" \
      "$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)" \
      "$(grep -o 'ft: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)" "$(fuzz_findings "$work/$name")"
  done
  printf '| all | %s | | | |\n' "$(cd "$work" && cat */rounds |
    awk '{ seconds += $1; runs += $2 } END { printf "%.0f | %d", seconds / 60, runs }')"
}

command_fuzz() {
  local minutes=1 parallel=1 names=() known all= build=yes
  mapfile -t known < <(sed -n 's/.*{"\([a-z_]*\)", [a-z_]*}.*/\1/p' tests/fuzz/harnesses.cpp)
  while [ $# -gt 0 ]; do
    case $1 in
      --minutes) minutes=$2; shift 2 ;;
      --jobs) parallel=$2; shift 2 ;;
      --all) all=yes; shift ;;
      --no-build) build=; shift ;;
      -*) die "fuzz: unknown option '$1'" ;;
      *)
        printf '%s\n' "${known[@]}" | grep -qx "$1" || die "fuzz: unknown harness '$1'; known are ${known[*]}"
        names+=("$1"); shift ;;
    esac
  done
  [ -z "$all" ] && [ ${#names[@]} -gt 0 ] || names=("${known[@]}")
  local work=build/fuzz/runs table=build/fuzz/table.md
  mkdir -p "$work"
  if [ -n "$build" ]; then
    need build fuzz
    compile fuzz fuzzer
    # A copy, so that a build beside the run does not change it.
    cp -f build/fuzz/tests/fuzz/fuzzer "$work/fuzzer"
  fi
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 ASAN_OPTIONS=detect_leaks=0
  say "fuzzing ${#names[@]} harnesses, $minutes minutes each, $parallel at once"
  export -f fuzz_round
  printf '%s\0' "${names[@]}" | xargs -0 -n 1 -P "$parallel" bash -c 'fuzz_round "$@"' fuzz "$work" "$minutes"
  fuzz_table "$work" "${known[@]}" >"$table"
  cat "$table"
  say "the table is in $table, findings and logs below $work; copy a finding to tests/fuzz/corpus/NAME"
  local failed=0 name
  for name in "${names[@]}"; do
    if [ "$(fuzz_findings "$work/$name")" -gt 0 ]; then
      say "$name: something was found"
      failed=1
    elif ! grep -q '^stat::number_of_executed_units: *[1-9]' "$work/$name/log"; then
      say "$name: did not run to its end; see $work/$name/log"
      failed=1
    fi
  done
  return $failed
}
