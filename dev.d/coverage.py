#!/usr/bin/python3
"""The share of lines that the tests of a build with --coverage ran through, by room.

    dev.d/coverage.py build/coverage [--files ROOM]

A line counts once, however many targets or templates it was compiled for.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]


def room_of(file):
    """'nn' for src/nn/x.cpp and include/sluice/nn/x.hpp, 'cli' for cli/x.cpp; None for others."""
    try:
        parts = file.resolve().relative_to(ROOT).parts
    except ValueError:
        return None
    if parts[0] == "cli":
        return "cli"
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    return parts[2] if parts[:2] == ("include", "sluice") and len(parts) > 3 else None


def lines_of(data):
    """[(file, line, whether it ran)] of one object file's counters."""
    done = subprocess.run(["gcov", "--json-format", "--stdout", str(data)], capture_output=True,
                          cwd=data.parent, check=True)
    found = []
    for document in done.stdout.splitlines():
        report = json.loads(document)
        base = pathlib.Path(report["current_working_directory"])
        for file in report["files"]:
            path = base / file["file"]
            if room_of(path):
                found += [(path.resolve(), line["line_number"], line["count"] > 0)
                          for line in file["lines"]]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--files", metavar="ROOM", help="list the room's files too")
    options = parser.parse_args()
    ran = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(lines_of, sorted(options.build.resolve().rglob("*.gcda"))):
            for file, line, hit in found:
                ran[file, line] = ran.get((file, line), False) or hit
    counts = collections.defaultdict(lambda: [0, 0])
    for (file, _), hit in ran.items():
        names = [room_of(file), "all"]
        if options.files == names[0]:
            names.append(str(file.relative_to(ROOT)))
        for name in names:
            counts[name][0] += hit
            counts[name][1] += 1
    print(f"{'room':12}{'lines':>8}{'run':>8}{'share':>9}")
    order = ["base", "comm", "kernels", "tensor", "autograd", "nn", "text", "models", "inference",
             "training", "lab", "server", "cli", "all"]
    for name in sorted(counts, key=lambda each: (order.index(each) if each in order else 99, each)):
        hit, all_lines = counts[name]
        print(f"{name:12}{all_lines:8}{hit:8}{hit / all_lines:9.1%}")


if __name__ == "__main__":
    main()
