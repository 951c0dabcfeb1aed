#!/usr/bin/env bash
# Every installed header includes what it needs, from the installed ones and Debian's: all of them compile in
# alphabetical order and in the reverse of it.
# usage: headers.sh COMPILER INCLUDEDIR
set -euo pipefail
compiler=$1 include=$2
cd "$include"
[ -z "$(find sluice -path '*/detail/*')" ] || { echo "internal headers are installed" >&2; exit 1; }
for order in sort 'sort -r'; do
  find sluice -name '*.hpp' | $order | sed 's/.*/#include "&"/' |
    "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -I . -x c++ -
done
