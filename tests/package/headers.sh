#!/usr/bin/env bash
# Every installed header compiles by itself, given the installed ones and Debian's.
# usage: headers.sh COMPILER INCLUDEDIR
set -euo pipefail
compiler=$1 include=$2
cd "$include"
find sluice -name '*.hpp' | sort | xargs -P "$(nproc)" -I{} "$compiler" -std=c++20 -fsyntax-only -x c++ \
  -Wall -Wextra -I . -include {} /dev/null
[ -z "$(find sluice -path '*/detail/*')" ] || { echo "internal headers are installed" >&2; exit 1; }
