#!/usr/bin/python3
"""Sluice against PyTorch: the same model and batch, side by side, alternating in one run.

    bench/compare_pytorch.py                         # training and evaluation, widths 256 and 512
    bench/compare_pytorch.py --mode train --widths 512 --precision bf16

Both programs stay loaded and speak the protocol of bench/README.md; each pair of measurements runs
them one after the other, changing who goes first. Prints medians, the ratio and its quartiles, and
writes one record per model to bench/results/.
"""

import argparse
import json
import pathlib
import shlex
import sys
import time

from measure import (ROOT, Program, environment_of, machine_cpu_seconds, quartiles, spelled,
                     surroundings)


def fastest_form(options, arguments):
    """Tokens/s of the twin's forms of the convolution, fastest first: the strongest opponent."""
    rates = {}
    for form in ("conv1d", "conv2d", "linear") if options.conv == "best" else (options.conv,):
        program = Program("pytorch", shlex.split(options.theirs) + arguments + ["--conv", form],
                          environment_of(options.theirs_env))
        program.go(options.warmup)
        reply = program.go(options.steps)
        program.quit()
        rates[form] = reply["tokens"] / reply["seconds"]
    return dict(sorted(rates.items(), key=lambda item: -item[1]))


def compare(options, mode, width):
    """Runs one model in one mode; returns the record."""
    layers = options.layers or f"[({width},{options.kernel})]*{options.depth}"
    arguments = ["--layers", layers, "--dim", str(width), "--unit", options.unit,
                 "--batch", str(options.batch), "--context", str(options.context),
                 "--vocab", str(options.vocab), "--softmax", options.softmax,
                 "--cutoffs", options.cutoffs, "--mode", mode, "--threads", str(options.threads)]
    theirs_precision = options.theirs_precision or options.precision
    their_arguments = [*arguments, "--precision", theirs_precision]
    forms = fastest_form(options, their_arguments)
    programs = [
        Program("sluice",
                [*shlex.split(options.ours), *arguments, "--precision", options.precision],
                environment_of(options.ours_env)),
        Program("pytorch",
                [*shlex.split(options.theirs), *their_arguments, "--conv", next(iter(forms))],
                environment_of(options.theirs_env))]
    ours, theirs = programs
    for program in programs:
        program.go(options.warmup)
    working = machine_cpu_seconds() - sum(program.cpu_seconds() for program in programs)
    begun = time.perf_counter()
    for pair in range(options.pairs):
        for program in programs if pair % 2 == 0 else reversed(programs):
            time.sleep(options.pause)  # the other's idle threads stop spinning
            program.replies.append(program.go(options.steps))
    elapsed = time.perf_counter() - begun
    working = machine_cpu_seconds() - sum(program.cpu_seconds() for program in programs) - working

    record = {
        "mode": mode, "precision": options.precision, "pytorch_precision": theirs_precision,
        "width": width, "layers": layers,
        "unit": options.unit, "batch": options.batch, "context": options.context,
        "vocabulary": options.vocab, "softmax": options.softmax, "cutoffs": options.cutoffs,
        "threads": options.threads, "pairs": options.pairs, "steps_per_measurement": options.steps,
        "warmup_steps": options.warmup, **surroundings(),
        "other_processes_cpus": round(max(0.0, working) / elapsed, 3)}
    for program in programs:
        rates = [reply["tokens"] / reply["seconds"] for reply in program.replies]
        record[program.name] = {
            "tokens_per_second": quartiles(rates), "peak_rss_bytes": program.peak_rss(),
            "seconds": [reply["seconds"] for reply in program.replies],
            "command": spelled(program.command),
            **{key: value for key, value in program.replies[-1].items()
               if key not in ("seconds", "tokens", "peak_rss_bytes")}}
        program.quit()
    record["speed_ratio"] = quartiles(
        [(mine["tokens"] / mine["seconds"]) / (other["tokens"] / other["seconds"])
         for mine, other in zip(ours.replies, theirs.replies)])
    record["memory_ratio"] = (record["sluice"]["peak_rss_bytes"]
                              / record["pytorch"]["peak_rss_bytes"])
    record["pytorch"]["tokens_per_second_of_forms"] = forms
    record["pytorch"]["environment"] = environment_of(options.theirs_env)
    record["sluice"]["environment"] = environment_of(options.ours_env)
    return record


def report(record):
    print(f"{record['mode']}, {record['precision']} against {record['pytorch_precision']}, "
          f"{record['layers']}, "
          f"{record['batch']} x {record['context']} tokens, {record['threads']} threads")
    for name in ("sluice", "pytorch"):
        rate, peak = record[name]["tokens_per_second"], record[name]["peak_rss_bytes"]
        print(f"  {name:8} {rate['median']:9.0f} tokens/s ({rate['q1']:.0f} to {rate['q3']:.0f}), "
              f"peak {peak / 2**20:.0f} MiB")
    ratio = record["speed_ratio"]
    forms = record["pytorch"]["tokens_per_second_of_forms"]
    print("  PyTorch's convolution as "
          + ", ".join(f"{form} {rate:.0f}" for form, rate in forms.items()) + " tokens/s")
    print(f"  speed {ratio['median']:.3f}x (quartiles {ratio['q1']:.3f} to {ratio['q3']:.3f}), "
          f"memory {record['memory_ratio']:.2f}x; "
          f"other processes used {record['other_processes_cpus']:.2f} CPUs meanwhile")
    if any("/blas/libblas" in path for path in record["pytorch"].get("blas", [])):
        print("  warning: PyTorch runs on the reference BLAS; install libopenblas0-openmp")
    sys.stdout.flush()


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=["train", "eval", "both"], default="both")
    parser.add_argument("--widths", default="256,512", help="comma-separated (256,512)")
    parser.add_argument("--kernel", type=int, default=4)
    parser.add_argument("--depth", type=int, default=8, help="number of layers (8)")
    parser.add_argument("--layers", help="a layer spec instead of --kernel and --depth")
    parser.add_argument("--unit", default="glu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--context", type=int, default=128, help="tokens per row (128)")
    parser.add_argument("--vocab", type=int, default=33278)
    parser.add_argument("--softmax", choices=["adaptive", "full"], default="adaptive")
    parser.add_argument("--cutoffs", default="2000,10000")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--theirs-precision", choices=["f32", "bf16"],
                        help="PyTorch's, where it is to differ")
    parser.add_argument("--conv", choices=["best", "conv1d", "conv2d", "linear"], default="best",
                        help="PyTorch's form of the convolution; best: tries all first (best)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=9, help="measurements of each (9)")
    parser.add_argument("--steps", type=int, default=4, help="steps in one measurement (4)")
    parser.add_argument("--warmup", type=int, default=4, help="steps before the first (4)")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between two (0.3)")
    parser.add_argument("--ours", default=str(ROOT / "build/bench/bench/step_bench"))
    parser.add_argument("--theirs",
                        default=f"/usr/bin/python3 {ROOT / 'bench/pytorch/step_bench.py'}")
    parser.add_argument("--ours-env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--theirs-env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--suffix", help="added to the names of the records")
    parser.add_argument("--out", default=str(ROOT / "bench/results"), help="directory of records")
    options = parser.parse_args()
    if options.pairs < 2:
        parser.error("--pairs: expected at least 2")
    return options


def main():
    options = parse_options()
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    for mode in ("train", "eval") if options.mode == "both" else (options.mode,):
        for width in map(int, options.widths.split(",")):
            record = compare(options, mode, width)
            report(record)
            against = f"-{options.theirs_precision}" if options.theirs_precision else ""
            suffix = f"-{options.suffix}" if options.suffix else ""
            path = out / (f"{record['date'][:10]}-pytorch-{mode}-{width}-{options.precision}"
                          f"{against}{suffix}.json")
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
