#!/usr/bin/python3
"""How long a browser takes to open the report of a large comparison.

    bench/report_page.py [--runs 100] [--points 1000] [--times 5] [--keep DIR]

Makes a comparison up, has `sluice report` write its page, and opens that in headless Chromium: from the
start of the navigation until every chart of the page is drawn, then until every run is drawn on its own
in one of them. Needs ./dev build and Debian's chromium.
"""

import argparse
import html
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SLUICE = ROOT / "build/release/cli/sluice"
SEEDS = 3
RATES = (0.1, 0.3, 1.0)

PROBE = """
report.drawAll();
const pixel = figure => figure.canvas.getContext('2d').getImageData(0, 0, 1, 1);
report.figures.forEach(pixel);
const drawn = performance.now();
const figure = report.figures.find(one => one.ids.includes('loss-tokens-runs'));
figure.show('loss-tokens-runs');
pixel(figure);
const said = document.createElement('pre');
said.id = 'said';
said.textContent = JSON.stringify([drawn, performance.now() - drawn, figure.chart.series.length]);
document.body.append(said);
"""


def summary(mean):
    return {"values": [mean] * SEEDS, "mean": mean, "deviation": 0.01, "low": mean - 0.02, "high": mean + 0.02}


def loss_at(part, end):
    return end + 2.5 * math.exp(-6 * part) + 0.02 * math.sin(97 * part + 100 * end)


def band(end, points, last):
    part = [(i + 1) / points for i in range(points)]
    mean = [loss_at(p, end) for p in part]
    return {"x": [last * p for p in part], "mean": mean, "low": [y - 0.05 for y in mean],
            "high": [y + 0.05 for y in mean]}


def comparison(runs, points):
    """results.json's object: as many variants as it takes, and `runs` runs."""
    variants = []
    for v in range(math.ceil(runs / (SEEDS * len(RATES)))):
        end = 1.6 + 0.02 * v
        variants.append({
            "name": f"dim={16 + v}", "fields": {"dim": 16 + v}, "model": {}, "training": {"batch": 16, "context": 32},
            "parameters": 123456, "flops_per_token": 250000, "training_flops": 4.5e10, "memory": 23456789,
            "match": {"factor": 1, "count": 123456, "error": 0},
            "rates": [{"lr": lr, "loss": summary(end + (lr != 0.3) * 0.1), "diverged": 0, "chosen": lr == 0.3}
                      for lr in RATES],
            "lr": 0.3, "lr_at_edge": False, "search": {"runs": 6, "tokens": 360000, "seconds": 500},
            **{name: summary(end) for name in ("loss", "best_loss", "train_loss")},
            "seconds": summary(95.5), "tokens_per_second": summary(12345.6),
            "curves": {kind: {x: band(end, points, last) for x, last in (("tokens", 6e4), ("seconds", 95.5))}
                       for kind in ("train", "validation")}})
    pairs = [{"a": a["name"], "b": b["name"], "n": SEEDS, "difference": a["loss"]["mean"] - b["loss"]["mean"],
              "low": -1, "high": 1, "t": -2, "p": 0.04, "p_holm": 0.2, "verdict": "not distinguishable"}
             for i, a in enumerate(variants) for b in variants[i + 1:]]
    every = [(v, lr, seed) for v in variants for lr in RATES for seed in range(SEEDS)]
    return {
        "format_version": 1, "version": "bench", "date": "2026-01-01T00:00:00Z", "measure": "made up",
        "confidence": 0.95, "varied": ["dim"], "match": "width", "seeds": list(range(SEEDS)), "threads": 1,
        "jobs": 1, "same_batches": True, "budget": {"tokens": 60000},
        "data": {"files": {"train": ["made up"]}, "tokenizer": {"kind": "char"}, "train_tokens": 1, "valid_tokens": 1},
        "variants": variants, "pairs": pairs,
        "runs": [{"run": f"{i:016x}", "variant": v["name"], "lr": lr, "seed": seed, "chosen": lr == 0.3,
                  "status": "finished", "message": ""} for i, (v, lr, seed) in enumerate(every[:runs])]}


def write(directory, runs, points):
    results = comparison(runs, points)
    (directory / "results.json").write_text(json.dumps(results))
    for number, run in enumerate(results["runs"]):
        place = directory / "runs" / run["run"]
        place.mkdir(parents=True)
        lines = [json.dumps({"event": "train", "step": i + 1, "seconds": 0.0955 * (i + 1),
                             "loss": loss_at((i + 1) / points, 1.6 + 0.005 * number)}) for i in range(points)]
        (place / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def opened(page, profile):
    """Milliseconds until all charts are drawn, then every run; and how many runs those are."""
    command = ["chromium", "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
               "--window-size=1400,1000", f"--user-data-dir={profile}", "--dump-dom", f"file://{page}"]
    if os.getuid() == 0:
        command.insert(1, "--no-sandbox")
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    said = re.search(r'<pre id="said">(.*?)</pre>', dom)
    return json.loads(html.unescape(said.group(1))) if said else sys.exit(f"{page}: the page did not answer")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--sluice", type=pathlib.Path, default=SLUICE)
    parser.add_argument("--keep", type=pathlib.Path, help="write the comparison and its report here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = arguments.keep or pathlib.Path(scratch) / "comparison"
        directory.mkdir(parents=True)
        write(directory, arguments.runs, arguments.points)
        begin = time.perf_counter()
        subprocess.run([arguments.sluice, "report", directory], check=True)
        print(f"sluice report: {time.perf_counter() - begin:.2f} s, "
              f"{(directory / 'report.html').stat().st_size / 1e6:.1f} MB")
        page = (directory / "report.html").read_text()
        nonce = re.search(r"'nonce-(\w+)'", page).group(1)
        before, _, after = page.rpartition("</body>")
        probe = pathlib.Path(scratch) / "probe.html"
        probe.write_text(f'{before}<script nonce="{nonce}">{PROBE}</script></body>{after}')
        replies = [opened(probe, pathlib.Path(scratch) / "profile") for _ in range(arguments.times)]
    assert all(reply[2] == arguments.runs for reply in replies)
    for name, column in (("opened, every chart drawn", 0), (f"{arguments.runs} runs drawn one by one", 1)):
        times = sorted(reply[column] / 1000 for reply in replies)
        print(f"{name}: {statistics.median(times):.2f} s ({times[0]:.2f} to {times[-1]:.2f})")


if __name__ == "__main__":
    main()
