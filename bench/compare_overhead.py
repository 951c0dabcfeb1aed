#!/usr/bin/python3
"""What sluice compare costs over the same training runs done by hand with sluice train.

    bench/compare_overhead.py --data text.txt

Both train two units with two seeds, one run after the other, and take turns. By hand the text is
tokenised into the model's directory each time; compare does that once, so the time of preparing
(a run of one step) is measured and taken from both.
"""

import argparse
import json
import pathlib
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

from measure import ROOT

UNITS, SEEDS = ("glu", "relu"), (1, 2)
MODEL = ["--arch", "gcnn", "--layers", "[(64,4)]*5", "--dim", "64", "--tokenizer", "char",
         "--batch", "16", "--context", "64", "--schedule", "constant", "--threads", "1"]


def timed(command):
    """Wall-clock and CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--sluice", type=pathlib.Path, default=ROOT / "build/release/cli/sluice")
    parser.add_argument("--steps", type=int, default=600, help="of each run (600)")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    if options.pairs < 2:
        parser.error("--pairs: at least 2, for quartiles")
    work = pathlib.Path(tempfile.mkdtemp(prefix="sluice-overhead-"))
    every = max(1, options.steps // 10)

    def compare(steps):
        out = work / "compare"
        shutil.rmtree(out, ignore_errors=True)
        return timed([options.sluice, "compare", "--data", options.data, "--out", out, *MODEL,
                      "--vary", "unit=" + ",".join(UNITS), "--match", "width", "--steps",
                      str(steps), "--validate-every", str(every), "--seeds", str(len(SEEDS)),
                      "--lr-grid", "0.01", "--jobs", "1"])

    def by_hand(steps):
        total = [0.0, 0.0]
        for unit in UNITS:
            for seed in SEEDS:
                out = work / "train"
                shutil.rmtree(out, ignore_errors=True)
                spent = timed([options.sluice, "train", "--data", options.data, "--out", out,
                               *MODEL, "--unit", unit, "--steps", str(steps), "--validate-every",
                               str(every), "--seed", str(seed), "--lr", "0.01"])
                total = [a + b for a, b in zip(total, spent)]
        return total

    try:
        ways = {"compare": compare, "by hand": by_hand}
        prepared = {name: way(1) for name, way in ways.items()}
        ratios = []
        for pair in range(options.pairs):
            names = list(ways)[::1 if pair % 2 == 0 else -1]
            spent = {name: ways[name](options.steps) for name in names}
            net = {name: [s - p for s, p in zip(spent[name], prepared[name])] for name in ways}
            ratios.append([c / h for c, h in zip(net["compare"], net["by hand"])])
            print(json.dumps({"net": net, "wall_ratio": ratios[-1][0], "cpu_ratio": ratios[-1][1]}),
                  flush=True)
        for what, column in zip(("wall-clock", "CPU time"), zip(*ratios)):
            low, middle, high = statistics.quantiles(column, n=4, method="inclusive")
            print(f"compare / by hand, {what}: {middle:.3f} ({low:.3f}–{high:.3f})")
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
