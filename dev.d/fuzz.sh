# ./dev fuzz: readers under arbitrary bytes (tests/fuzz/), with clang's libFuzzer and sanitizers.

command_fuzz() {
  local minutes=1 parallel=1 names=() known all=
  mapfile -t known < <(sed -n 's/.*{"\([a-z_]*\)", [a-z_]*}.*/\1/p' tests/fuzz/harnesses.cpp)
  while [ $# -gt 0 ]; do
    case $1 in
      --minutes) minutes=$2; shift 2 ;;
      --jobs) parallel=$2; shift 2 ;;
      --all) all=yes; shift ;;
      -*) die "fuzz: unknown option '$1'" ;;
      *)
        printf '%s\n' "${known[@]}" | grep -qx "$1" || die "fuzz: unknown harness '$1'; known are ${known[*]}"
        names+=("$1"); shift ;;
    esac
  done
  [ -z "$all" ] && [ ${#names[@]} -gt 0 ] || names=("${known[@]}")
  need build fuzz
  compile fuzz fuzzer
  local work=build/fuzz/runs table=build/fuzz/table.md
  mkdir -p "$work"
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 ASAN_OPTIONS=detect_leaks=0
  say "fuzzing ${#names[@]} harnesses, $minutes minutes each, $parallel at once"
  printf '%s\0' "${names[@]}" | xargs -0 -n 1 -P "$parallel" bash -c '
    name=$3 work=$1
    mkdir -p "$work/$name/corpus" "tests/fuzz/corpus/$name"
    SLUICE_FUZZ=$name timeout $(($2 * 60 + 300)) build/fuzz/tests/fuzz/fuzzer -max_total_time=$(($2 * 60)) \
      -rss_limit_mb=2048 -timeout=20 -print_final_stats=1 -artifact_prefix="$work/$name/" \
      "$work/$name/corpus" "tests/fuzz/corpus/$name" >"$work/$name/log" 2>&1 </dev/null || true' \
    fuzz "$work" "$minutes"
  {
    printf '| harness | minutes | executions | edges | features | findings |\n|---|---|---|---|---|---|\n'
    local name log
    for name in "${names[@]}"; do
      log=$work/$name/log
      printf '| %s | %s | %s | %s | %s | %s |\n' "$name" "$minutes" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)" \
        "$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)" \
        "$(grep -o 'ft: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)" \
        "$(find "$work/$name" -maxdepth 1 \( -name 'crash-*' -o -name 'oom-*' -o -name 'timeout-*' \) | wc -l)"
    done
  } >"$table"
  cat "$table"
  say "the table is in $table, findings and logs below $work; copy a finding to tests/fuzz/corpus/NAME"
  local failed=0 name
  for name in "${names[@]}"; do
    if [ -n "$(find "$work/$name" -maxdepth 1 \( -name 'crash-*' -o -name 'oom-*' -o -name 'timeout-*' \))" ]; then
      say "$name: something was found"
      failed=1
    elif ! grep -q '^stat::number_of_executed_units: *[1-9]' "$work/$name/log"; then
      say "$name: did not run to its end; see $work/$name/log"
      failed=1
    fi
  done
  return $failed
}
