# ./dev test --repeat: tests that fail now and then show themselves. Read by ./dev.

# Processes that do nothing but use a core each.
busy_pids=()
start_busy() {
  local i
  for ((i = 0; i < $1; ++i)); do
    (while :; do :; done) &
    busy_pids+=($!)
  done
}
stop_busy() { [ ${#busy_pids[@]} -eq 0 ] || kill "${busy_pids[@]}" 2>/dev/null || true; }

repeat_tests() { # N [--busy] [ctest arguments]
  local times=${1:?test --repeat needs a number} failed=0 round log
  [[ $times =~ ^[1-9][0-9]*$ ]] || die "test --repeat: '$times' is not a number of times"
  shift
  if [ "${1:-}" = --busy ]; then
    shift
    trap stop_busy EXIT
    start_busy 2
  fi
  mkdir -p build/repeat
  for ((round = 1; round <= times; ++round)); do
    log=build/repeat/$round.log
    if run_every_test "$@" >"$log" 2>&1; then
      say "round $round of $times: $(grep -m1 'tests passed' "$log")"
      rm "$log"
    else
      failed=$((failed + 1))
      say "round $round of $times FAILED, see $log"
      grep -E '\[  FAILED  \]|\*\*\*' "$log" | sort -u >&2 || true
    fi
  done
  say "$failed of $times rounds failed"
  [ "$failed" -eq 0 ]
}
