#!/usr/bin/python3
"""Whether a model of one domain learns another sooner than a model from nothing.

    apt-get install bible-kjv
    bench/adaptation.py --make kjv      # writes kjv/train.txt and kjv/valid.txt
    bench/adaptation.py --old wikitext-2/train.txt --old-valid wikitext-2/valid.txt \\
        --new kjv/train.txt --new-valid kjv/valid.txt --out runs --jobs 2

Trains one model on the old text; then, for each seed, one from nothing on --new-tokens of the new
text, and with a tenth of those: one from nothing, one `--from` the old model, and one with `--keep`
besides. All have the old model's shape and its tokenizer, of characters. Printed are perplexities of
both validation texts, mean and range over the seeds. What is in the directory of runs is not trained
again, so that what was stopped goes on.
"""

import argparse
import concurrent.futures
import json
import pathlib
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def run(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return done.stdout


def make(directory):
    """The King James Bible, a verse a line, without the verses' numbers; its last 5% to validate on."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = [re.sub(r"^\S+:\d+ ", "", line)
             for line in run(["bible", "-f", "Gen1:1-Rev22:21"]).splitlines()]
    cut = len(lines) * 95 // 100
    (directory / "train.txt").write_text("\n".join(lines[:cut]) + "\n")
    (directory / "valid.txt").write_text("\n".join(lines[cut:]) + "\n")


class Runs:
    """Trainings in a directory, each with what it came to beside it."""

    def __init__(self, options):
        self.options = options
        options.out.mkdir(parents=True, exist_ok=True)

    def perplexity(self, model, text):
        return json.loads(run([self.options.sluice, "eval", model, text, "--threads",
                               self.options.threads, "--json"]))["perplexity"]

    def train(self, name, flags):
        """Perplexities of both texts after a training."""
        options, out = self.options, self.options.out / name
        record = self.options.out / f"{name}.json"
        if not record.exists():
            run([options.sluice, "train", "--out", out, "--threads", options.threads, *flags,
                 "--resume-if-possible"])
            record.write_text(json.dumps([self.perplexity(out, options.new_valid),
                                          self.perplexity(out, options.old_valid)]))
        return json.loads(record.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--make", type=pathlib.Path, metavar="DIR")
    for name in ("--old", "--old-valid", "--new", "--new-valid"):
        parser.add_argument(name)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("adaptation"),
                        metavar="DIR", help="of the runs (default adaptation)")
    parser.add_argument("--old-tokens", type=int, default=10_000_000)
    parser.add_argument("--new-tokens", type=int, default=4_000_000)
    parser.add_argument("--layers", default="[(128,4)]*4")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", default="0.01")
    parser.add_argument("--lr", default="0.001", help="of what goes on from the old model")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sluice", default=str(HERE.parent / "build/release/cli/sluice"))
    options = parser.parse_args()
    if options.make:
        make(options.make)
    if not options.old:
        return
    runs = Runs(options)
    old = options.out / "old"
    shape = ["--layers", options.layers]
    known = runs.train("old", ["--data", options.old, "--valid", options.old_valid, *shape,
                               "--tokenizer", "char", "--tokens", options.old_tokens])
    # Both vocabularies are the old one's, so that perplexities can be compared.
    nothing = [*shape, "--tokenizer", old]
    begun = ["--from", old, "--lr", options.lr]
    tenth = options.new_tokens // 10
    kinds = {f"from nothing, {options.new_tokens:,} tokens": (nothing, options.new_tokens),
             f"from nothing, {tenth:,}": (nothing, tenth),
             f"from the old model, {tenth:,}": (begun, tenth),
             f"the same with --keep {options.keep}": ([*begun, "--keep", options.keep], tenth)}

    def learn(place, flags, tokens, seed):
        return runs.train(f"{place}-{seed}", [
            "--data", options.new, "--valid", options.new_valid, *flags, "--seed", seed, "--tokens",
            tokens])

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = {kind: [pool.submit(learn, place, *what, seed + 1) for seed in range(options.seeds)]
                for place, (kind, what) in reversed(list(enumerate(kinds.items())))}
        print("| | perplexity of the new text | of the old text |")
        print("| --- | --- | --- |")
        print(f"| the old model | {known[0]:.2f} | {known[1]:.2f} |", flush=True)
        for kind in kinds:
            columns = zip(*[job.result() for job in jobs[kind]])
            print(f"| {kind} | " + " | ".join(
                f"{statistics.mean(each):.2f} ({min(each):.2f}–{max(each):.2f})"
                for each in columns) + " |", flush=True)


if __name__ == "__main__":
    main()
