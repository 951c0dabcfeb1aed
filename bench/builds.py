"""Runs that show what a build of the program computes, and comparing two builds' runs.

Used by compare_builds.py. A case is one training on a small text with everything on that can go
wrong unseen: dropout, weight decay, a norm, clipping, carried state, an adaptive softmax for some.
Every number that a default might change is given.
"""

import json
import math
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import time

COMMON = ["--dropout", "0.1", "--batch", "8", "--context", "32", "--seed", "7", "--warmup", "5",
          "--schedule", "cosine", "--floor", "0.01", "--threads", "2"]
ADAMW = ["--optimizer", "adamw", "--lr", "0.005", "--clip", "0.5", "--weight-decay", "0.05"]
WORDS = ["--tokenizer", "word", "--min-count", "2", "--vocab", "8000", "--softmax", "adaptive",
         "--cutoffs", "500,2000"]
CHARACTERS = ["--tokenizer", "char", "--min-count", "1", "--softmax", "full"]

CASES = {
    "gcnn": ["--arch", "gcnn", "--layers", "[(96,4,1)]*3", "--dim", "64", "--unit", "glu", "--norm",
             "weight", "--optimizer", "nesterov", "--momentum", "0.99", "--lr", "0.5", "--clip",
             "0.1", "--weight-decay", "0.0005", *WORDS],
    "rnn": ["--arch", "rnn", "--depth", "2", "--hidden", "96", "--dim", "64", "--unit", "tanh",
            "--norm", "layer", *ADAMW, *CHARACTERS],
    "lstm": ["--arch", "lstm", "--depth", "2", "--hidden", "96", "--dim", "96", "--norm", "layer",
             "--variational", "--forget-bias", "1", "--tie", *ADAMW, *WORDS],
    "gru": ["--arch", "gru", "--depth", "2", "--hidden", "96", "--dim", "64", "--norm", "rms",
            "--reset", "after", *ADAMW, *CHARACTERS],
    "indrnn": ["--arch", "indrnn", "--depth", "3", "--hidden", "96", "--dim", "64", "--norm",
               "batch", "--residual", "--bound", "1.02", "--optimizer", "adam", "--lr", "0.003",
               "--clip", "0.5", "--weight-decay", "0.0005", *CHARACTERS],
    "mut1": ["--arch", "mut1", "--depth", "2", "--hidden", "96", "--dim", "64", "--norm", "group",
             "--groups", "8", *ADAMW, *CHARACTERS],
    "transformer": ["--arch", "transformer", "--depth", "2", "--dim", "96", "--heads", "3",
                    "--window", "24", "--positions", "rotary", "--ffn", "swiglu", "--ffn-width",
                    "192", "--norm", "layer", *ADAMW, *WORDS],
}
PROMPT = "The war was "
TOKENS = "60"


def has_bfloat16():
    with open("/proc/cpuinfo", encoding="ascii") as cpus:
        return "avx512_bf16" in cpus.read()


def cases(names, precisions):
    """(name, architecture, precision) of each case."""
    return [(f"{arch}-{precision}", arch, precision) for precision in precisions for arch in names]


def run(program, *arguments, standard_input=None):
    """Standard output. Threads that wait do not spin: other processes may want the CPU."""
    done = subprocess.run([program, *map(str, arguments)], input=standard_input, text=True,
                          capture_output=True, check=False,
                          env={**os.environ, "OMP_WAIT_POLICY": "passive"})
    if done.returncode != 0:
        raise RuntimeError(f"{program} {' '.join(map(str, arguments))}\n"
                           f"ended with {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout


def train_arguments(text, arch, precision, steps, out, *more, validate_every=None):
    return ["train", "--data", text / "train.txt", "--valid", text / "valid.txt", "--out", out,
            *CASES[arch], *COMMON, "--precision", precision, "--steps", steps, "--log-every",
            max(1, steps // 20), "--validate-every", validate_every or max(1, steps // 2), *more]


def prepare_text(data, directory):
    """The first 1.5 MB of the file and the 60 kB after it, each up to a line's end."""
    directory.mkdir(parents=True, exist_ok=True)
    content = data.read_bytes()
    whole = min(len(content) - 1, 1_560_000)
    cut = content.rfind(b"\n", 0, max(1, whole * 25 // 26)) + 1
    end = content.rfind(b"\n", 0, whole + 1) + 1
    (directory / "train.txt").write_bytes(content[:cut])
    (directory / "valid.txt").write_bytes(content[cut:end])


def interrupt(program, text, arch, precision, steps, out):
    """Trains and stops half-way, by SIGINT; whether it was stopped before its end."""
    command = [program, *map(str, train_arguments(text, arch, precision, steps, out))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          env={**os.environ, "OMP_WAIT_POLICY": "passive"}) as process:
        metrics = out / "metrics.jsonl"
        while process.poll() is None:
            if metrics.exists() and steps_logged(metrics) >= steps * 2 // 5:
                process.send_signal(signal.SIGINT)
                break
            time.sleep(0.002)
    return process.returncode != 0


def steps_logged(metrics):
    lines = metrics.read_text(encoding="utf-8").splitlines()
    return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)


def record(program, text, chosen, steps, out, say=lambda _: None):
    """Trains, evaluates, scores and generates in every case, into out/CASE."""
    for name, arch, precision in chosen:
        say(f"{name}: training")
        model, stopped = out / name / "model", out / name / "stopped"
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
        run(program, *train_arguments(text, arch, precision, steps, model))
        if not interrupt(program, text, arch, precision, steps, stopped):
            shutil.rmtree(stopped)  # it was too quick: nothing to resume
        (out / name / "uses.json").write_text(json.dumps(use(program, model, text, precision)))
        for directory in (model, stopped):
            shutil.rmtree(directory / "cache", ignore_errors=True)
    (out / "record.json").write_text(json.dumps(
        {"program": str(program), "steps": steps, "cases": [name for name, _, _ in chosen]}))


def use(program, model, text, precision):
    """What a model is used for: its perplexity, scores and texts."""
    lines = "\n".join((text / "valid.txt").read_text(encoding="utf-8").splitlines()[:40]) + "\n"
    found = json.loads(run(program, "eval", model, text / "valid.txt", "--json", "--precision",
                           precision, "--threads", 2))
    scores = run(program, "score", model, "--precision", precision, "--threads", 2,
                 standard_input=lines)
    texts = {"greedy": run(program, "generate", model, "--prompt", PROMPT, "--temperature", 0,
                           "--tokens", TOKENS, "--threads", 2),
             "sampled": run(program, "generate", model, "--prompt", PROMPT, "--temperature", 0.8,
                            "--seed", 3, "--tokens", TOKENS, "--threads", 2)}
    return {"nll": found["nll"] / found["tokens"], "tokens": found["tokens"],
            "scores": [float(line.split("\t")[0]) for line in scores.splitlines()], **texts}


def read_tensors(file):
    """{name: (dtype, shape, bytes)} of a safetensors file."""
    content = file.read_bytes()
    length = struct.unpack_from("<Q", content)[0]
    header = json.loads(content[8:8 + length])
    header.pop("__metadata__", None)
    data = content[8 + length:]
    return {name: (each["dtype"], each["shape"], data[slice(*each["data_offsets"])])
            for name, each in header.items()}


def largest_difference(dtype, one, other):
    """How many numbers differ, and by how much at most."""
    code, size = {"F32": ("f", 4), "I64": ("q", 8), "I32": ("i", 4), "F64": ("d", 8)}.get(
        dtype, ("B", 1))
    ours = struct.unpack(f"<{len(one) // size}{code}", one)
    theirs = struct.unpack(f"<{len(other) // size}{code}", other)
    differences = [abs(a - b) for a, b in zip(ours, theirs) if a != b]
    return len(differences), max(differences, default=math.nan)


def tensors_differ(one, other):
    """What differs first between two safetensors files, in words; None when no bit does."""
    for file in (one, other):
        if not file.exists():
            return f"there is no {file}"
    ours, theirs = read_tensors(one), read_tensors(other)
    if set(ours) != set(theirs):
        return f"tensors in only one of them: {', '.join(sorted(set(ours) ^ set(theirs)))}"
    different = [name for name in ours if ours[name] != theirs[name]]
    if not different:
        return None
    name = different[0]
    (dtype, shape, data), (other_dtype, other_shape, other_data) = ours[name], theirs[name]
    if (dtype, shape) != (other_dtype, other_shape):
        return f"{name} is {dtype} {shape} in one, {other_dtype} {other_shape} in the other"
    count, most = largest_difference(dtype, data, other_data)
    return (f"{len(different)} of {len(ours)} tensors differ, first {name} {shape}: {count} numbers, "
            f"by {most:.3g} at most")


def metrics_differ(one, other, tolerance=1e-6):
    """What differs first between two metrics.jsonl, apart from times and checks; validation losses may by
    the tolerance."""
    timed = {"seconds", "tokens_per_second", "check"}
    ours, theirs = ([json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
                    for file in (one, other))
    if len(ours) != len(theirs):
        return f"{len(ours)} lines and {len(theirs)}"
    for number, (a, b) in enumerate(zip(ours, theirs), 1):
        for key in sorted((set(a) | set(b)) - timed):
            near = a.get("event") == "validation" and key in ("loss", "perplexity")
            if a.get(key) != b.get(key) and not (near and math.isclose(
                    a.get(key, math.nan), b.get(key, math.nan), rel_tol=tolerance)):
                return f"line {number}, {key}: {a.get(key)} and {b.get(key)}"
    return None


def uses_differ(old, new, tolerance=1e-6):
    """What differs first between two results of use()."""
    if old["tokens"] != new["tokens"]:
        return f"{old['tokens']} tokens and {new['tokens']}"
    if not math.isclose(old["nll"], new["nll"], rel_tol=tolerance):
        return f"evaluation: {old['nll']:.9f} and {new['nll']:.9f} nats a token"
    if len(old["scores"]) != len(new["scores"]):
        return f"scores of {len(old['scores'])} lines and of {len(new['scores'])}"
    for line, (a, b) in enumerate(zip(old["scores"], new["scores"]), 1):
        if not math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-4):  # printed with four decimals
            return f"score of line {line}: {a} and {b}"
    for kind in ("greedy", "sampled"):
        if old[kind] != new[kind]:
            return f"{kind} text: {old[kind]!r} and {new[kind]!r}"
    return None


def compare_case(program, text, old, new, case, steps):
    """{check: what differs, or None} for the runs of `program` in `new` against those in `old`."""
    name, arch, precision = case
    before, after = old / name, new / name
    uses = json.loads((before / "uses.json").read_text())
    out = {
        "weights": tensors_differ(before / "model/model.safetensors",
                                  after / "model/model.safetensors"),
        "optimizer": tensors_differ(before / "model/checkpoint.safetensors",
                                    after / "model/checkpoint.safetensors"),
        "metrics": metrics_differ(before / "model/metrics.jsonl", after / "model/metrics.jsonl"),
        "uses": uses_differ(uses, json.loads((after / "uses.json").read_text())),
    }
    # What the old program wrote is read by the new one.
    work = after / "of-old"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(before / "model", work)
    out["old model"] = uses_differ(uses, use(program, work, text, precision))
    shutil.rmtree(work)
    if (before / "stopped").exists():
        shutil.copytree(before / "stopped", work)
        run(program, *train_arguments(text, arch, precision, steps, work, "--resume"))
        out["old checkpoint"] = tensors_differ(before / "model/model.safetensors",
                                               work / "model.safetensors")
        shutil.rmtree(work)
    return out


def is_record(path):
    return (pathlib.Path(path) / "record.json").exists()
