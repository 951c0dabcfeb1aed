#!/usr/bin/python3
"""Language models of every architecture on one text, with equal parameters and equal time.

    bench/architectures.py --data tinyshakespeare.txt --minutes 5 --jobs 2

Each architecture's width is solved so that its parameters match the first's within 1%; all use the
same optimizer, learning rate, batch, context and dropout. Runs go `--jobs` at a time, one thread
each. Writes bench/results/DATE-architectures-NAME.json and prints the table of docs/results.md.
"""

import argparse
import concurrent.futures
import datetime
import json
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ARCHITECTURES = {
    "gcnn": lambda n: ["--layers", f"[({n},4)]*5"],
    "rnn": lambda n: ["--depth", "2", "--hidden", str(n), "--dim", "256"],
    "lstm": lambda n: ["--depth", "2", "--hidden", str(n), "--dim", "256"],
    "gru": lambda n: ["--depth", "2", "--hidden", str(n), "--dim", "256"],
    "indrnn": lambda n: ["--depth", "6", "--hidden", str(n), "--dim", "256", "--residual"],
    "mut1": lambda n: ["--depth", "2", "--hidden", str(n), "--dim", "256"],
    # Heads are 32 wide: the width is a multiple of 32 and the inner width of the feed-forward layers
    # makes up the difference.
    "transformer": lambda n: ["--depth", "4", "--dim", "224", "--heads", "7", "--window", "128",
                              "--ffn-width", str(n)],
}


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def train(options, arch, width, out, budget, valid_fraction):
    run([options.sluice, "train", "--data", options.data, "--out", str(out), "--overwrite",
         "--arch", arch, *ARCHITECTURES[arch](width), "--tokenizer", "char", "--softmax", "full",
         "--valid-fraction", valid_fraction, "--dropout", str(options.dropout), "--optimizer", "adamw",
         "--lr", str(options.lr), "--batch", "32", "--context", "128", "--threads", "1", *budget])
    return json.loads(run([options.sluice, "info", str(out), "--json"]))


def parameters(options, arch, width, scratch):
    return train(options, arch, width, scratch / "count", ["--steps", "1"], "0")["parameters"]


def solve(options, arch, target, scratch):
    """The width whose parameter count is nearest to the target's."""
    low, high = 8, 1200
    while high - low > 1:
        middle = (low + high) // 2
        if parameters(options, arch, middle, scratch) <= target:
            low = middle
        else:
            high = middle
    counts = {width: parameters(options, arch, width, scratch) for width in (low, high)}
    width = min(counts, key=lambda each: abs(counts[each] - target))
    if abs(counts[width] / target - 1) > 0.01:
        sys.exit(f"{arch}: no width has {target} parameters within 1%, the nearest is {width} with "
                 f"{counts[width]}")
    return width


def measure(options, arch, width, scratch):
    info = train(options, arch, width, scratch / arch, ["--minutes", str(options.minutes)], "0.1")
    last = info["history"]["last"]
    best = min(info["history"]["validations"], key=lambda each: each["loss"])
    lines = [json.loads(line) for line in (scratch / arch / "metrics.jsonl").open()]
    speeds = sorted(line["tokens_per_second"] for line in lines if line["event"] == "train")
    return {"arch": arch, "model": info["model"], "parameters": info["parameters"],
            "validation_loss": best["loss"], "tokens": last["tokens"],
            "tokens_per_second": {"median": speeds[len(speeds) // 2],
                                  "quartiles": [speeds[len(speeds) // 4],
                                                speeds[3 * len(speeds) // 4]]}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=0.002)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--name", default="tinyshakespeare")
    parser.add_argument("--sluice", default=str(HERE.parent / "build/release/cli/sluice"))
    options = parser.parse_args()

    scratch = pathlib.Path(tempfile.mkdtemp(prefix="sluice-architectures-"))
    target = parameters(options, "gcnn", 256, scratch)
    widths = {arch: 256 if arch == "gcnn" else solve(options, arch, target, scratch)
              for arch in ARCHITECTURES}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda arch: measure(options, arch, widths[arch], scratch),
                                ARCHITECTURES))
    shutil.rmtree(scratch)

    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo")
               if line.startswith("model name"))
    commit = run(["git", "-C", str(HERE), "describe", "--always", "--dirty"]).strip()
    date = datetime.date.today().isoformat()
    record = {"command": "bench/architectures.py " + " ".join(
                  each for each in sys.argv[1:]).replace(options.data, pathlib.Path(options.data).name),
              "commit": commit, "date": date, "cpu": cpu, "machine": platform.machine(),
              "minutes": options.minutes, "jobs": options.jobs, "results": results}
    file = HERE / "results" / f"{date}-architectures-{options.name}.json"
    file.write_text(json.dumps(record, indent=1) + "\n")

    print("| architecture | parameters | validation loss | tokens | tokens/s |")
    print("| --- | --- | --- | --- | --- |")
    for each in sorted(results, key=lambda each: each["validation_loss"]):
        speed = each["tokens_per_second"]
        print(f"| {each['arch']} | {each['parameters']:,} | {each['validation_loss']:.3f} | "
              f"{each['tokens']:,} | {speed['median']:,.0f} ({speed['quartiles'][0]:,.0f}–"
              f"{speed['quartiles'][1]:,.0f}) |")


if __name__ == "__main__":
    main()
