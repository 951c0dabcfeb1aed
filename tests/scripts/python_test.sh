#!/usr/bin/env bash
# With another Python first in the PATH, ./dev and bench still use Debian's, where torch is.
set -euo pipefail
cd "$1"

status=0
# Named without its path, or looked for in the PATH.
if grep -nE '(^|[^/[:alnum:]_-])python3? |env python' dev dev.d/* bench/*.py bench/pytorch/*.py \
  tests/golden/*.py tests/mutations/*.py; then
  echo "the lines above take whichever python3 is first in the PATH; use /usr/bin/python3"
  status=1
fi

# Each command of ./dev that runs Python, up to the Python: one in the PATH must not be called.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\necho "$@" >>"%s/called"\n' "$work" >"$work/python3"
chmod +x "$work/python3"
PATH="$work:$PATH" bash -c 'source ./dev
  need() { :; }; compile() { :; }; python=echo
  for arguments in "" --page --ops --all; do command_bench $arguments; done' >"$work/ran"
if [ -e "$work/called" ] || [ "$(grep -c '^bench/' "$work/ran")" -ne 4 ]; then
  echo "./dev bench did not call each script by \$python:"
  cat "$work/called" "$work/ran" 2>/dev/null
  status=1
fi
exit $status
