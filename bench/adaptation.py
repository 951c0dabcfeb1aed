#!/usr/bin/python3
"""Whether a model of one domain learns another sooner than a model from nothing.

    bench/adaptation.py --old wikitext-2/train.txt --old-valid wikitext-2/valid.txt \\
        --new kjv/train.txt --new-valid kjv/valid.txt --minutes 20 --jobs 2

Trains one model on the old text; then, for each seed, one from nothing on all of the new text
(--epochs), and with a tenth of those tokens: one from nothing, one `--from` the old model, and one
with `--keep` besides. All have the old model's shape and a tokenizer of characters. Printed are
perplexities of both validation texts, mean and range over the seeds.
"""

import argparse
import concurrent.futures
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def run(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return done.stdout


def perplexity(options, model, text):
    return json.loads(run([options.sluice, "eval", model, text, "--threads", options.threads,
                           "--json"]))["perplexity"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--old", "--old-valid", "--new", "--new-valid"):
        parser.add_argument(name, required=True)
    parser.add_argument("--minutes", type=float, default=20, help="of training on the old text")
    parser.add_argument("--epochs", type=float, default=4, help="of the new text, all of it")
    parser.add_argument("--layers", default="[(256,4)]*6")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", default="0.01")
    parser.add_argument("--lr", default="0.0005", help="of what goes on from the old model")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sluice", default=str(HERE.parent / "build/release/cli/sluice"))
    options = parser.parse_args()

    scratch = pathlib.Path(tempfile.mkdtemp(prefix="sluice-adaptation-"))
    old = scratch / "old"
    shape = ["--layers", options.layers, "--tokenizer", "char", "--threads", options.threads]
    run([options.sluice, "train", "--data", options.old, "--valid", options.old_valid, "--out", old,
         *shape, "--minutes", options.minutes])
    # Both vocabularies are the old one's, so that perplexities can be compared.
    own = ["--layers", options.layers, "--tokenizer", old, "--threads", options.threads]
    tokens = json.loads(run([options.sluice, "eval", old, options.new, "--threads",
                             options.threads, "--json"]))["tokens"] * options.epochs
    begun = ["--from", old, "--lr", options.lr, "--threads", options.threads]
    kinds = {"from nothing, all tokens": (own, tokens),
             "from nothing, a tenth": (own, tokens / 10),
             "from the old model, a tenth": (begun, tokens / 10),
             "the same with --keep": ([*begun, "--keep", options.keep], tokens / 10)}

    def learn(kind, seed):
        flags, budget = kinds[kind]
        out = scratch / f"{list(kinds).index(kind)}-{seed}"
        run([options.sluice, "train", "--data", options.new, "--valid", options.new_valid, "--out",
             out, *flags, "--seed", seed, "--tokens", int(budget)])
        return perplexity(options, out, options.new_valid), perplexity(options, out,
                                                                      options.old_valid)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = {kind: [pool.submit(learn, kind, seed + 1) for seed in range(options.seeds)]
                for kind in kinds}
        print("| | perplexity of the new text | of the old text |")
        print("| --- | --- | --- |")
        print(f"| the old model | {perplexity(options, old, options.new_valid):.2f} | "
              f"{perplexity(options, old, options.old_valid):.2f} |")
        for kind, running in jobs.items():
            columns = zip(*[job.result() for job in running])
            print(f"| {kind} | " + " | ".join(
                f"{statistics.mean(each):.2f} ({min(each):.2f}–{max(each):.2f})"
                for each in columns) + " |", flush=True)
    print(f"models are in {scratch}")


if __name__ == "__main__":
    main()
