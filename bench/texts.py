#!/usr/bin/python3
"""What bringing one's own costs: packed texts, tokenising, a checkpoint of others, and ONNX Runtime.

    bench/texts.py TEXT --packed zst,gz,xz,bz2 --tokenizers word,char --old PROGRAM
    bench/texts.py TEXT --checkpoint FILE --dictionary dict.txt
    bench/texts.py TEXT --onnx build/npm --model MODEL

--packed: what `sluice vocabulary` takes for the text packed (it is read once and cut into words), over
what it takes for the plain one. --tokenizers: the speed of `sluice train --steps 1`, which does
nothing but read, count and cut the text, over another program's. All take turns, --rounds times;
printed are medians, with the least and the most, by the clock and by processor time. --checkpoint:
time and memory of `sluice import`. --onnx: ONNX Runtime on what `sluice export --to onnx` wrote of
MODEL, float32 and int8, and `sluice generate` on MODEL and on what `sluice quantize` made of it, the
time to the first token (ours: of the whole process) and tokens/s after it.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PACKERS = {"zst": ["zstd", "-q", "-c"], "gz": ["gzip", "-c"], "xz": ["xz", "-c"],
           "bz2": ["bzip2", "-c"]}


def cost(command):
    """Seconds by the clock, seconds of processor time, and bytes of memory at most."""
    begun = time.monotonic()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as process:
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}: {said[-500:]}")
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def spread(values, form="{:.2f}"):
    return (f"{form} ({form}–{form})").format(statistics.median(values), min(values), max(values))


def in_turns(commands, rounds):
    """The costs of each command, which take turns, changing who goes first."""
    costs = {name: [] for name in commands}
    for i in range(rounds):
        for name in list(commands)[::1 if i % 2 == 0 else -1]:
            costs[name].append(cost(commands[name]()))
    return costs


def ratios(costs, name, base):
    """By the clock and by processor time, round by round."""
    return [spread([a[which] / b[which] for a, b in zip(costs[name], costs[base])])
            for which in (0, 1)]


def packed(options, scratch):
    tokenizer = scratch / "words"
    cost([options.sluice, "tokenizer", "train", "--data", options.text, "--tokenizer", "word", "--out",
          tokenizer])
    files = {"plain": options.text}
    for kind in options.packed.split(","):
        files[kind] = scratch / f"text.{kind}"
        with open(files[kind], "wb") as out:
            subprocess.run([*PACKERS[kind], options.text], stdout=out, check=True)
    costs = in_turns({kind: lambda file=file: [options.sluice, "vocabulary", tokenizer, file]
                      for kind, file in files.items()}, options.rounds)
    print("| text | seconds | CPU seconds | over plain | by CPU |\n| --- | --- | --- | --- | --- |")
    for kind in files:
        clock, cpu = ratios(costs, kind, "plain")
        print(f"| {kind} | {spread([one[0] for one in costs[kind]])} | "
              f"{spread([one[1] for one in costs[kind]])} | {clock} | {cpu} |", flush=True)


def tokenizers(options, scratch):
    def train(program, kind):
        def command():
            shutil.rmtree(scratch / "run", ignore_errors=True)
            return [program, "train", "--data", options.text, "--out", scratch / "run", "--tokenizer",
                    kind, "--layers", "[(64,1)]", "--steps", "1", "--batch", "1", "--context", "16",
                    "--valid-fraction", "0"]
        return command

    for kind in options.tokenizers.split(","):
        costs = in_turns({"old": train(options.old, kind), "new": train(options.sluice, kind)},
                         options.rounds)
        clock, cpu = ratios(costs, "old", "new")
        print(f"{kind}: speed over the old program's {clock}, by CPU {cpu}", flush=True)


def checkpoint(options, scratch):
    costs = []
    for _ in range(3):
        shutil.rmtree(scratch / "imported", ignore_errors=True)
        costs.append(cost([options.sluice, "import", options.checkpoint, "--dictionary",
                           options.dictionary, "--out", scratch / "imported"]))
    size = os.path.getsize(options.checkpoint)
    print(f"import of {size / 1e6:.0f} MB: {spread([one[0] for one in costs])} s, memory "
          f"{spread([one[2] / size for one in costs])} of the file", flush=True)


def onnx(options, scratch):
    models = {"float32": options.model, "int8": scratch / "int8"}
    cost([options.sluice, "quantize", options.model, "--to", "int8", "--out", models["int8"]])
    for precision, flags in (("float32", []), ("int8", ["--precision", "int8"])):
        cost([options.sluice, "export", options.model, "--to", "onnx", "--out",
              scratch / f"onnx-{precision}", *flags])

    def ours(model, threads, tokens):
        return cost([options.sluice, "generate", model, "--tokens", tokens, "--temperature", "0",
                     "--threads", threads, "--prompt", "the"])[0]

    print("| threads | weights | | first token, ms | tokens/s |\n| --- | --- | --- | --- | --- |")
    for threads in ("1", "2"):
        for precision, model in models.items():
            theirs, first, speed = [], [], []
            for _ in range(options.rounds):
                done = subprocess.run(
                    ["node", HERE / "onnx/step_bench.mjs", options.onnx,
                     scratch / f"onnx-{precision}", str(options.tokens), threads],
                    capture_output=True, text=True, check=True)
                theirs.append(json.loads(done.stdout))
                first.append(ours(model, threads, 1))
                speed.append(options.tokens / (ours(model, threads, options.tokens + 1) - first[-1]))
            for name, times, speeds in (
                    ("ONNX Runtime", [one["first_token_ms"] for one in theirs],
                     [one["tokens_per_second"] for one in theirs]),
                    ("Sluice", [1e3 * each for each in first], speed)):
                print(f"| {threads} | {precision} | {name} | {spread(times, '{:.0f}')} | "
                      f"{spread(speeds, '{:.0f}')} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--packed", metavar="KIND,..", help=f"of {', '.join(PACKERS)}")
    parser.add_argument("--tokenizers", metavar="KIND,..")
    parser.add_argument("--old", metavar="PROGRAM", help="the other one of --tokenizers")
    parser.add_argument("--checkpoint", metavar="FILE")
    parser.add_argument("--dictionary", metavar="FILE")
    parser.add_argument("--onnx", metavar="DIR", help="where npm put onnxruntime-node")
    parser.add_argument("--model", metavar="DIR")
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sluice", default=str(HERE.parent / "build/release/cli/sluice"))
    options = parser.parse_args()
    for part, needs in (("tokenizers", "old"), ("checkpoint", "dictionary"), ("onnx", "model")):
        if getattr(options, part) and not getattr(options, needs):
            sys.exit(f"--{part} needs --{needs}")
    with tempfile.TemporaryDirectory() as scratch:
        for part in (packed, tokenizers, checkpoint, onnx):
            if getattr(options, part.__name__):
                part(options, pathlib.Path(scratch))


if __name__ == "__main__":
    main()
