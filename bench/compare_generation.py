#!/usr/bin/python3
"""Making and scoring text: Sluice in float32, bfloat16 and int8, PyTorch's incremental twin and ONNX
Runtime, alternating in one run.

    npm install --ignore-scripts --prefix build/onnx onnxruntime-node
    bench/compare_generation.py --text train.txt --valid valid.txt

Models are those of the text's words, trained for two steps: only time is measured (perplexities are
docs/results.md's). All contenders stay loaded and speak the protocol of bench/README.md; each round runs
them one after the other for as long (--seconds), each time beginning with another. The roof is how often
memory is read per second, in a buffer as large as the weights that a token reads. Prints medians and
quartiles and writes a record to bench/results/, shape by shape: about a minute each on an idle machine.
A shape that has a record of this commit is not measured again (--again): what was interrupted goes on.
OMP_WAIT_POLICY is left as it is: threads that wait actively take the cores from whoever's turn it is.
"""

import argparse
import json
import pathlib
import shlex
import subprocess
import sys
import time

from measure import ROOT, Program, git, quartiles, surroundings

SHAPES = {
    "gcnn-512": (["--arch", "gcnn", "--layers", "[(512,4)]*8", "--dim", "512"], ("gcnn", 512, 8)),
    "gcnn-256": (["--arch", "gcnn", "--layers", "[(256,4)]*8", "--dim", "256"], ("gcnn", 256, 8)),
    "lstm-1024": (["--arch", "lstm", "--hidden", "1024", "--depth", "2", "--dim", "1024"],
                  ("lstm", 1024, 2)),
    "transformer-512": (["--arch", "transformer", "--dim", "512", "--depth", "8", "--heads", "8"],
                        ("transformer", 512, 8)),
}
BYTES = {"f32": 4, "bf16": 2, "int8": 1}


def run(command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{shlex.join(map(str, command))}\n{result.stderr}")
    return result.stdout


def prepare(options, name):
    """Directories of a shape's model by precision, and its ONNX graph: made where missing."""
    flags, (arch, width, depth) = SHAPES[name]
    work = pathlib.Path(options.work)
    trained = work / name
    if not (trained / "model.safetensors").exists():
        short = work / "valid.txt"
        work.mkdir(parents=True, exist_ok=True)
        with open(options.valid, encoding="utf-8") as text:
            short.write_text("".join(text.readlines()[:100]), encoding="utf-8")
        run([options.program, "train", "--data", options.text, "--valid", short, "--tokenizer",
             "word", "--softmax", "adaptive", "--cutoffs", "2000,10000", *flags, "--steps", "2",
             "--batch", "2", "--context", "32", "--out", trained, "--overwrite"])
    directories = {"f32": trained}
    for precision in ("bf16", "int8"):
        directories[precision] = work / f"{name}-{precision}"
        if not (directories[precision] / "runtime.safetensors").exists():
            run([options.program, "quantize", trained, "--to", precision, "--out",
                 directories[precision]])
    twin = [sys.executable, ROOT / "bench/pytorch/generate_bench.py", "--arch", arch, "--width",
            width, "--depth", depth, "--threads", options.threads]
    twin = list(map(str, twin))
    graph = work / f"{name}.onnx"
    if not graph.exists():
        run([*twin, "--export", str(graph)])
    return directories, twin, graph


def contenders(options, directories, twin, graph):
    bench = [str(options.bench), "--threads", str(options.threads)]
    programs = []
    for precision, directory in directories.items():
        for texts in (1, 32):
            programs.append((f"sluice {precision}, {texts} text{'s' * (texts > 1)}",
                             [*bench, str(directory), "--texts", str(texts)]))
    programs.append(("pytorch f32, 1 text", twin))
    if pathlib.Path(options.onnx).exists():
        programs.append(("onnxruntime f32, 1 text",
                         ["node", str(ROOT / "bench/onnx/generate_bench.mjs"), options.onnx,
                          str(graph), str(options.threads)]))
    return programs


def say(progress):
    print(progress, file=sys.stderr, flush=True)


def read_per_token(options, directory):
    """Weights that a token reads: all but the table of token vectors."""
    info = json.loads(run([options.program, "info", directory, "--json"]))
    return info["parameters"] - info["tokenizer"]["vocabulary"] * info["model"]["dim"]


def first_token(options, directory):
    """Seconds of a process that makes one token, the files being in the cache."""
    command = [str(options.program), "generate", str(directory), "--tokens", "1", "--threads",
               str(options.threads)]
    seconds = []
    for _ in range(options.rounds + 1):
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - begun)
    return quartiles(seconds[1:])


def compare(options, name):
    directories, twin, graph = prepare(options, name)
    weights = read_per_token(options, directories["f32"])
    everyone = contenders(options, directories, twin, graph)
    for precision, size in BYTES.items():
        everyone.append((f"memory, {precision}",
                         [str(options.bench), "--read", str(weights * size), "--threads",
                          str(options.threads)]))
    rates = {label: [] for label, _ in everyone}
    programs = []
    for label, command in everyone:
        say(f"{name}: loading {label}")
        program = Program(label, command, {})
        program.go(4)
        reply = program.go(4)
        steps = max(4, round(4 * options.seconds / reply["seconds"]))
        programs.append((label, program, steps))
    for turn in range(options.rounds):
        say(f"{name}: round {turn + 1} of {options.rounds}")
        first = turn % len(programs)
        for label, program, steps in programs[first:] + programs[:first]:
            time.sleep(options.pause)  # the other's idle threads stop spinning
            reply = program.go(steps)
            rates[label].append(reply["tokens"] / reply["seconds"])
    for _, program, _ in programs:
        program.quit()
    return {"weights_per_token": weights,
            "tokens_per_second": {label: quartiles(values) for label, values in rates.items()},
            "first_token_seconds": {precision: first_token(options, directory)
                                    for precision, directory in directories.items()}}


def score(options, name):
    """Tokens/s of scoring a text: Sluice's three, and PyTorch's twin in batches of 16 x 128."""
    directories, _, _ = prepare(options, name)
    program = Program("pytorch", [sys.executable, str(ROOT / "bench/pytorch/step_bench.py"),
                                  "--mode", "eval", "--layers", SHAPES[name][0][3], "--dim",
                                  SHAPES[name][0][5], "--conv", "linear", "--threads",
                                  str(options.threads)], {})
    program.go(2)
    text = pathlib.Path(options.work) / "scored.txt"
    with open(options.valid, encoding="utf-8") as valid:
        text.write_text("".join(valid.readlines()[:options.score_lines]), encoding="utf-8")
    rates = {label: [] for label in [*directories, "pytorch f32"]}
    for _ in range(options.rounds):
        for precision, directory in directories.items():
            reply = json.loads(run([options.program, "eval", directory, text, "--json",
                                    "--threads", str(options.threads)]))
            rates[precision].append(reply["tokens_per_second"])
        time.sleep(options.pause)
        reply = program.go(3)
        rates["pytorch f32"].append(reply["tokens"] / reply["seconds"])
    program.quit()
    return {label: quartiles(values) for label, values in rates.items()}


def report(name, result):
    rates = result["tokens_per_second"]
    roofs = {precision: rates[f"memory, {precision}"]["median"] for precision in BYTES}
    theirs = rates["pytorch f32, 1 text"]["median"]
    print(f"{name}: a token reads {result['weights_per_token'] / 1e6:.1f} M weights")
    for label, rate in rates.items():
        line = f"  {label:26} {rate['median']:9.0f}/s ({rate['q1']:.0f} to {rate['q3']:.0f})"
        if label.startswith("sluice"):
            roof = roofs[label.split()[1].rstrip(",")]
            line += f"  {rate['median'] / theirs:6.2f} x PyTorch, {rate['median'] / roof:.2f} of memory"
        print(line)
    for precision, seconds in result["first_token_seconds"].items():
        print(f"  first token, {precision:5} {1e3 * seconds['median']:6.1f} ms "
              f"({1e3 * seconds['q1']:.1f} to {1e3 * seconds['q3']:.1f})")
    for label, rate in result.get("scoring_tokens_per_second", {}).items():
        print(f"  scoring a text, {label:11} {rate['median']:9.0f} tokens/s "
              f"({rate['q1']:.0f} to {rate['q3']:.0f})")
    sys.stdout.flush()


def keep(options, name, result):
    record = {"shape": name, "threads": options.threads, "seconds": options.seconds,
              "rounds": options.rounds, **surroundings(), **result}
    path = pathlib.Path(options.out) / f"{record['date'][:10]}-generation-{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def kept(options, name):
    """What a shape's newest record says, if it is of this commit."""
    records = sorted(pathlib.Path(options.out).glob(f"*-generation-{name}.json"))
    record = json.loads(records[-1].read_text(encoding="utf-8")) if records else {}
    return record if record.get("commit") == git("rev-parse", "HEAD") else None


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--text", required=True, help="what the models' words are taken from")
    parser.add_argument("--valid", required=True, help="text to score")
    parser.add_argument("--shapes", default=",".join(SHAPES), help="comma-separated (all)")
    parser.add_argument("--work", default=str(ROOT / "build/generation"),
                        help="directory of models and graphs (build/generation)")
    parser.add_argument("--program", default=str(ROOT / "build/release/cli/sluice"))
    parser.add_argument("--bench", default=str(ROOT / "build/bench/bench/token_bench"))
    parser.add_argument("--onnx", default=str(ROOT / "build/onnx"),
                        help="where npm put onnxruntime-node (build/onnx)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.3, help="of one measurement (0.3)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two (0.1)")
    parser.add_argument("--score-lines", type=int, default=600,
                        help="lines of --valid to score (600)")
    parser.add_argument("--prepare", action="store_true", help="make models and graphs, and stop")
    parser.add_argument("--again", action="store_true", help="measure anew what has a record")
    parser.add_argument("--score", action="store_true", help="score a text, too (gcnn)")
    parser.add_argument("--out", default=str(ROOT / "bench/results"))
    return parser.parse_args()


def main():
    options = parse_options()
    for name in options.shapes.split(","):
        if options.prepare:
            prepare(options, name)
            continue
        result = None if options.again else kept(options, name)
        if result is None:
            result = compare(options, name)
            keep(options, name, result)  # what was measured stays, whatever becomes of the rest
        if options.score and name.startswith("gcnn") and "scoring_tokens_per_second" not in result:
            result["scoring_tokens_per_second"] = score(options, name)
            keep(options, name, result)
        report(name, result)


if __name__ == "__main__":
    main()
