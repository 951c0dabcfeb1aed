#!/usr/bin/python3
"""Whether two builds of the program compute the same, and which is faster.

    bench/compare_builds.py OLD NEW                  # two programs
    bench/compare_builds.py --record DIR OLD         # what OLD computes, to compare with later
    bench/compare_builds.py DIR NEW                  # against such a record, without timings

Trains every architecture with both from one seed, in float32 and, where the CPU has it, bfloat16,
with dropout, weight decay, a norm, clipping and carried state. Weights, the optimizer's state and
losses have to agree bit for bit; validation, evaluation and scores to 1e-6; greedy and sampled
texts to the letter. Models and stopped runs of OLD are read, used and resumed with NEW. Then both
take turns in training, evaluating, generating and `--version`; ratios are NEW's time over OLD's,
medians of the pairs with quartiles. Ends with 1 when something differs.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

import builds
from measure import ROOT, quartiles


def default_text(directory):
    """WikiText-2 where it is, else the repository's documents."""
    wikitext = ROOT.parent / "shared/data/wikitext-2/train.txt"
    if wikitext.exists():
        return wikitext
    documents = sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md"))
    file = directory / "documents.txt"
    file.write_bytes(b"".join(each.read_bytes() for each in documents))
    return file


def seconds_of(command):
    start = time.monotonic()
    builds.run(*command)
    return time.monotonic() - start


def training_seconds(program, text, arch, precision, steps, out):
    """Of the loop alone, from the first logged step to the last."""
    shutil.rmtree(out, ignore_errors=True)
    builds.run(program, *builds.train_arguments(text, arch, precision, steps, out,
                                                validate_every=steps))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    times = [line["seconds"] for line in lines if line["event"] == "train"]
    return times[-1] - times[0]


def measures(case, old, text, steps, work):
    """{what: seconds of a program}"""
    name, arch, precision = case
    model = old / name / "model"

    def evaluation(program):
        return json.loads(builds.run(program, "eval", model, text / "timed.txt", "--json",
                                     "--precision", precision, "--threads", 2))["seconds"]

    def generation(program):
        # The time of loading is taken off.
        command = [program, "generate", model, "--temperature", 0, "--threads", 2, "--tokens"]
        return seconds_of([*command, 2000]) - seconds_of([*command, 1])

    return {f"train {name}": lambda program: training_seconds(program, text, arch, precision, steps,
                                                              work / "timed"),
            f"evaluate {name}": evaluation, f"generate {name}": generation}


def take_turns(measure, programs, pairs):
    """Seconds of both, pair by pair, changing who goes first."""
    taken = {side: [] for side in programs}
    for pair in range(pairs):
        for side in list(programs)[::1 if pair % 2 == 0 else -1]:
            taken[side].append(measure(programs[side]))
    ratios = [new / old for old, new in zip(taken["old"], taken["new"])]
    return {"old": statistics.median(taken["old"]), "new": statistics.median(taken["new"]),
            "ratio": quartiles(ratios)}


def compare_times(options, chosen, old, text, work):
    programs = {"old": options.old, "new": options.new}
    (text / "timed.txt").write_bytes((text / "train.txt").read_bytes()[:300_000].rpartition(b"\n")[0])
    wanted = {"--version": lambda program: seconds_of([program, "--version"])}
    for case in chosen:
        wanted |= measures(case, old, text, options.steps, work)
    print(f"\n{'seconds':28}{'old':>9}{'new':>9}   new/old (quartiles)")
    found = {}
    for what, measure in wanted.items():
        pairs = options.pairs * (4 if what == "--version" else 1)
        found[what] = take_turns(measure, programs, pairs)
        each = found[what]
        ratio = each["ratio"]
        print(f"{what:28}{each['old']:9.4f}{each['new']:9.4f}   {ratio['median']:.3f} "
              f"({ratio['q1']:.3f}-{ratio['q3']:.3f})", flush=True)
    return found


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=pathlib.Path, help="a program, or a directory from --record")
    parser.add_argument("new", type=pathlib.Path, nargs="?", help="a program")
    parser.add_argument("--data", type=pathlib.Path, help="UTF-8 text (WikiText-2 in ../shared, "
                        "else the documents of this repository)")
    parser.add_argument("--steps", type=int, default=200, help="of each training (200)")
    parser.add_argument("--only", help="architectures, separated by commas (all)")
    parser.add_argument("--precisions", help="f32, bf16 (f32, and bf16 where the CPU has it)")
    parser.add_argument("--pairs", type=int, default=5, help="of timings; 0: none (5)")
    parser.add_argument("--record", type=pathlib.Path, metavar="DIR",
                        help="write what OLD computes to DIR and end")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all findings too")
    options = parser.parse_args()
    if (options.new is None) == (options.record is None):
        parser.error("give OLD and NEW, or --record DIR and OLD")
    options.names = options.only.split(",") if options.only else list(builds.CASES)
    for name in options.names:
        if name not in builds.CASES:
            parser.error(f"--only: no architecture {name!r}; there are {', '.join(builds.CASES)}")
    options.precisions = (options.precisions.split(",") if options.precisions else
                          ["f32", "bf16"] if builds.has_bfloat16() else ["f32"])
    for path in filter(None, (options.old, options.new)):
        if not path.exists():
            parser.error(f"there is no {path}")
    return options


def say(line):
    print(line, file=sys.stderr, flush=True)


def make_record(options, directory):
    """What options.old computes, in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    builds.prepare_text(options.data or default_text(directory), directory / "text")
    builds.record(options.old.resolve(), directory / "text",
                  builds.cases(options.names, options.precisions), options.steps, directory, say)


def compare(options, work):
    old = options.old if builds.is_record(options.old) else work / "old"
    if old != options.old:
        make_record(options, old)
    recorded = json.loads((old / "record.json").read_text())
    steps, text = recorded["steps"], old / "text"
    chosen = [case for case in builds.cases(options.names, options.precisions)
              if case[0] in recorded["cases"]]
    program = options.new.resolve()
    found, differences = {}, 0
    for case in chosen:
        try:
            builds.record(program, text, [case], steps, work / "new")
            checks = builds.compare_case(program, text, old, work / "new", case, steps)
        except RuntimeError as error:
            checks = {"runs": str(error)}
        found[case[0]] = checks
        wrong = {check: what for check, what in checks.items() if what}
        differences += bool(wrong)
        print(f"{case[0]:18}{'DIFFERS' if wrong else 'same: ' + ', '.join(checks)}", flush=True)
        for check, what in wrong.items():
            print(f"  {check}: {what}", flush=True)
    times = {}
    if options.pairs > 0 and not builds.is_record(options.old):
        times = compare_times(options, chosen, old, text, work)
    if options.json:
        options.json.write_text(json.dumps({"differences": found, "times": times}, indent=1) + "\n")
    print(f"\n{len(chosen) - differences} of {len(chosen)} cases are the same")
    return differences > 0


def main():
    options = parse()
    if options.record:
        make_record(options, options.record)
        return 0
    work = pathlib.Path(tempfile.mkdtemp(prefix="sluice-builds-"))
    try:
        return int(compare(options, work))
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
