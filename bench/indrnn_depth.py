#!/usr/bin/python3
"""Deep recurrent stacks on a task that needs recurrence: `bench/indrnn_depth.py --out RESULTS.json`.

The text is lines of 8 random letters of a, b, c, d, LAG dots, and the same letters: whoever remembers them knows the
second half. Nats a token are 0.27 for that, 0.54 for whoever forgets (LAG 24). Residual stacks with layer norms of
every depth are trained alike, IndRNN and an Elman network with tanh: the table shows the validation's nats a token
(median, least and most of the seeds), those that ended above ln V as "fails".

The whole table (8 depths, 2 cells, 3 seeds, 1,000 steps) takes some two hours on two cores; what is done is kept, so
that a call that was cut short goes on. --depths 2,6 --seeds 1 --steps 50 is a try of a minute.
"""

import argparse
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parents[1]
CELLS = {"indrnn": ["--arch", "indrnn"], "rnn tanh": ["--arch", "rnn", "--norm", "layer"]}


def text(lines, lag, seed):
    draw = random.Random(seed)
    words = ("".join(draw.choice("abcd") for _ in range(8)) for _ in range(lines))
    return "".join(f"{word}{'.' * lag}{word}\n" for word in words)


def train(program, data, flags, cell, depth, seed):
    with tempfile.TemporaryDirectory() as scratch:
        model = pathlib.Path(scratch) / "model"
        command = [program, "train", "--data", data / "train.txt", "--valid", data / "valid.txt", "--out", model,
                   "--tokenizer", "char", "--residual", "--depth", depth, "--hidden", 64, "--dim", 64, "--batch", 8,
                   "--context", 2 * (flags.lag + 17), "--dropout", 0, "--steps", flags.steps, "--lr", flags.lr,
                   "--seed", seed, "--validate-every", flags.steps, *CELLS[cell]]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
        losses = [line["loss"] for line in lines if line["event"] == "validation"]
        first = [line["loss"] for line in lines if line["event"] == "train"][:1]
        return {"cell": cell, "depth": depth, "seed": seed, "first_loss": first[0] if first else None,
                "loss": losses[-1] if done.returncode == 0 and losses else None, "seconds": lines[-1]["seconds"]}


def table(runs):
    depths = sorted({run["depth"] for run in runs})
    print("| depth | " + " | ".join(CELLS) + " |\n| --- |" + " --- |" * len(CELLS))
    for depth in depths:
        cells = []
        for cell in CELLS:
            found = [run["loss"] for run in runs if run["cell"] == cell and run["depth"] == depth]
            good = [loss for loss in found if loss is not None]
            failed = f", {len(found) - len(good)} of {len(found)} fail" if len(good) < len(found) else ""
            cells.append(f"{statistics.median(good):.3f} ({min(good):.3f} to {max(good):.3f}){failed}" if good
                         else "fails" if found else "-")
        print(f"| {depth} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--program", default=str(HERE / "build/release/cli/sluice"))
    parser.add_argument("--depths", default="2,6,12,24,48,96,110,150")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--lag", type=int, default=24)
    parser.add_argument("--lr", default="0.002")
    flags = parser.parse_args()
    asked = {"steps": flags.steps, "lag": flags.lag, "lr": flags.lr}
    record = json.loads(flags.out.read_text()) if flags.out.exists() else {"task": asked, "runs": []}
    if record["task"] != asked:
        sys.exit(f"{flags.out} holds runs of {record['task']}, not of {asked}: give another --out")
    with tempfile.TemporaryDirectory() as scratch:
        data = pathlib.Path(scratch)
        (data / "train.txt").write_text(text(20_000, flags.lag, 1))
        (data / "valid.txt").write_text(text(500, flags.lag, 2))
        for depth in map(int, flags.depths.split(",")):
            for seed in range(1, flags.seeds + 1):
                for cell in CELLS:
                    if any((run["cell"], run["depth"], run["seed"]) == (cell, depth, seed) for run in record["runs"]):
                        continue
                    record["runs"].append(train(flags.program, data, flags, cell, depth, seed))
                    flags.out.write_text(json.dumps(record, indent=1) + "\n")
                    print(record["runs"][-1], file=sys.stderr)
    table(record["runs"])


if __name__ == "__main__":
    main()
