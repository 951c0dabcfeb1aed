# ./dev coverage: which share of each room's lines the tests run through. Read by ./dev.

command_coverage() {
  need build docs mutate
  compile coverage
  find build/coverage -name '*.gcda' -delete
  # The browser's and the package's tests see no more of the rooms. A test that fails is seen by
  # ./dev test; what the others run through is known all the same.
  run_tests coverage -E '^(browser|border_|package_)' "$@" ||
    say "some tests failed: the figures are of those that ran"
  "$python" dev.d/coverage.py build/coverage
}
