#!/usr/bin/python3
"""Writes docs/benchmarks.md and its charts from bench/results/*.json, the newest record of each
name.

    bench/make_page.py            # or ./dev bench --page
"""

import argparse
import pathlib
import statistics

import charts
from measure import ROOT, newest_records

IN_CACHE, OUT_OF_CACHE = 2 * 2**20, 16 * 2**20  # outputs: at most, at least
AIMS = {"norms": 1.5, "recurrent": 1.2, "ffn": 1.2}
COPY_AIM = 0.9
FEW = 32 * 2**10  # outputs up to which the call is a good part of the time
INFINITE = float("inf")


def size_name(outputs):
    for suffix, factor in (("Mi", 2**20), ("Ki", 2**10)):
        if outputs % factor == 0:
            return f"{outputs // factor} {suffix}"
    return str(outputs)


def spread(ratio):
    return f"{ratio['median']:.2f} ({ratio['q1']:.2f}–{ratio['q3']:.2f})"


def aim_of(result, suite):
    """How many times PyTorch's speed the result should have."""
    if suite in AIMS:
        return AIMS[suite]
    if result["outputs"] > IN_CACHE or result["trivial"]:
        return 1.0
    return 2.0


def provenance(record):
    dirty = ", with uncommitted changes" if record["dirty"] else ""
    load = record.get("load_average")
    busy = f"; other processes used {record['other_processes_cpus']:.2f} CPUs meanwhile"
    if load is not None:
        busy += f" (load average {load:.1f} at the start)"
    part = "" if record.get("complete", True) else " Interrupted: not every case was measured."
    return (f"`bench/results/{record['file']}`: {record['date'][:10]}, commit "
            f"{record['commit'][:7]}{dirty}, {record['cpu']}, {record['cpus']} CPUs{busy}.{part}")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def ratio_cell(result, suite):
    """A ratio; bold where PyTorch is faster, with a star where it misses its aim."""
    median = result["pytorch_ratio"]["median"]
    text = f"{median:.2f}"
    if median < 1:
        return f"**{text}**"
    return text + ("*" if median < aim_of(result, suite) else "")


def op_table(record, direction, cell):
    """Ops down, sizes across."""
    results = {(r["op"], r["outputs"]): r for r in record["results"]
               if r["direction"] == direction}
    sizes = sorted({outputs for _, outputs in results})
    ops = list(dict.fromkeys(op for op, _ in results))
    rows = [[f"`{op}`", *(cell(results[op, n]) if (op, n) in results else ""
                          for n in sizes)] for op in ops]
    return table(["", *(f"{size_name(n)} outputs" for n in sizes)], rows)


def threads_of(record):
    return "one thread" if record["threads"] == 1 else f"{record['threads']} threads"


def ceiling(result):
    """The seconds that a result cannot fall below, and what sets them: the arithmetic of its kernel
    by itself, or a copy of as many bytes. None if they were not measured."""
    if "arithmetic_seconds" not in result:
        return None
    return max((result["arithmetic_seconds"]["median"], "arithmetic"),
               (result["copy_seconds"]["median"], "copy"))


def misses(record):
    """What falls short: sentences, worst first."""
    suite, found = record["suite"], []
    for result in record["results"]:
        where = f"`{result['op']}`"
        if "direction" in result:
            where += f" {result['direction']}, {size_name(result['outputs'])} outputs"
        ratio, aim = result["pytorch_ratio"], aim_of(result, suite)
        if ratio["median"] < aim:
            lost = "PyTorch is faster" if ratio["median"] < 1 else f"below {aim:g}"
            if ceiling(result):
                seconds, limit = ceiling(result)
                best = result["pytorch_seconds"]["median"] / seconds
                lost += f"; the {limit} alone: {best:.2f}"
            found.append((ratio["median"] / aim, f"{where}: {spread(ratio)}, {lost}"))
    return [text for _, text in sorted(found)]


def net_misses(record):
    """Ops whose arithmetic, without the call, falls short for few outputs: "op direction ratio"."""
    return [f"`{r['op']}` {r['direction']} {size_name(r['outputs'])}: {r['pytorch_net_ratio']:.2f}"
            for r in record["results"] if r["outputs"] <= FEW
            and r.get("pytorch_net_ratio", INFINITE) < aim_of(r, record["suite"])]


def copy_misses(record):
    found = []
    for result in record["results"]:
        fraction = result["copy_fraction"]
        if result["outputs"] < OUT_OF_CACHE or fraction["median"] >= COPY_AIM:
            continue
        text = (f"`{result['op']}` {result['direction']}, {size_name(result['outputs'])} outputs: "
                f"{spread(fraction)}")
        if ceiling(result):
            seconds, limit = ceiling(result)
            if limit == "arithmetic":
                text += f"; the arithmetic alone: {result['copy_seconds']['median'] / seconds:.2f}"
        found.append((fraction["median"], text))
    return [text for _, text in sorted(found)]


def ceilings_part(record):
    """What each op takes beside what its arithmetic and a copy take by themselves, at the largest
    size in the caches and the largest of all."""
    measured = [r for r in record["results"] if ceiling(r)]
    inside = [r["outputs"] for r in measured if r["outputs"] <= IN_CACHE]
    if not inside:
        return ""
    sizes = sorted({max(inside), max(r["outputs"] for r in measured)})
    results = {(r["op"], r["direction"], r["outputs"]): r for r in measured}
    rows = []
    for op, direction in dict.fromkeys((r["op"], r["direction"]) for r in measured):
        row = [f"`{op}` {direction}"]
        for size in sizes:
            result = results.get((op, direction, size))
            if result is None:
                row += [""] * 4
                continue
            ours, arithmetic, copy = (result[f"{what}_seconds"]["median"] * 1e12 / size
                                      for what in ("sluice", "arithmetic", "copy"))
            row += [f"{arithmetic:.0f}", f"{copy:.0f}", f"{ours:.0f}",
                    f"{max(arithmetic, copy) / ours:.2f}"]
        rows.append(row)
    head = [""]
    for size in sizes:
        head += [f"{size_name(size)}: arithmetic", "copy", "achieved", "ceiling reached"]
    return "\n".join([
        "Ceilings, in picoseconds an output: the arithmetic is the kernel alone on data in the "
        "first-level cache, shared by the threads; the copy moves as many bytes as the op reads and "
        "writes. An op cannot take less than the greater of the two, except that a derivative "
        "written where dy was moves less than the copy, which then is no ceiling. The last column: "
        "the ceiling's time as a part of the op's.\n", table(head, rows) + "\n"])


def listing(title, sentences):
    if not sentences:
        return f"{title} None.\n"
    return f"{title}\n\n" + "\n".join(f"- {sentence}" for sentence in sentences) + "\n"


def op_section(record, title, out):
    """One suite of ops at one number of threads."""
    suite, threads = record["suite"], record["threads"]
    parts = [f"### {title}, {threads_of(record)}\n", provenance(record) + "\n"]
    for direction in ("forward", "backward"):
        results = [r for r in record["results"] if r["direction"] == direction]
        if not results:
            continue
        picture = f"{suite}-{threads}-{direction}.svg"
        charts.ratios(out / picture, results, size_name,
                      f"{title}, {direction}, {threads_of(record)}: times as fast as PyTorch",
                      record)
        parts += [f"![{title}, {direction}, {threads_of(record)}](benchmarks/{picture})\n",
                  f"Times as fast as PyTorch, {direction}:\n",
                  op_table(record, direction, lambda r: ratio_cell(r, suite)) + "\n"]
    if suite in ("units", "layer-units"):
        parts.append(copy_part(record, title, out))
        parts.append(ceilings_part(record))
    parts.append(listing("Where PyTorch is faster, or the aim is missed (median, quartiles):",
                         misses(record)))
    net = net_misses(record)
    if net:
        parts.append("Net of the call (a difference of two medians, so without quartiles), up to "
                     f"{size_name(FEW)} outputs, these would miss it: " + "; ".join(net) + ".\n")
    return "\n".join(part for part in parts if part)


def copy_part(record, title, out):
    picture = f"{record['suite']}-{record['threads']}-copy.svg"
    outside = [r for r in record["results"] if r["outputs"] >= OUT_OF_CACHE]
    if not outside:
        return ""
    largest = max(r["outputs"] for r in outside)
    charts.copies(out / picture, [r for r in outside if r["outputs"] == largest],
                  f"{title}, {threads_of(record)}, {size_name(largest)} outputs: "
                  "part of a copy's bandwidth", record)
    # What reading and writing in a gate's proportions takes with next to no arithmetic.
    plain = [f"{r['direction']} {spread(r['copy_fraction'])}" for r in outside
             if r["op"] == "bilinear" and r["outputs"] == largest]
    reading = (f"A gate reads twice what it writes, a copy as much, and reading is the slower. `bilinear`, "
               f"next to no arithmetic, shows what a gate can reach: {', '.join(plain)}.\n"
               if plain else "")
    rates = [r["bytes"] / r["copy_seconds"]["median"] / 1e9 for r in outside]
    return "\n".join(part for part in [
        f"![Bandwidth, {threads_of(record)}](benchmarks/{picture})\n",
        f"Copies outside the caches moved {min(rates):.1f} to {max(rates):.1f} GB/s, median "
        f"{statistics.median(rates):.1f}, bytes read and written.\n",
        reading,
        listing(f"Below {COPY_AIM} of a copy's bandwidth outside the caches (median, quartiles):",
                copy_misses(record))] if part)


def layer_section(record, title, out):
    """Recurrent layers or feed-forward layers at one number of threads."""
    rows = []
    for result in record["results"]:
        rows.append([result["op"], f"{result['sluice_seconds']['median'] * 1e3:.2f}",
                     f"{result['pytorch_seconds']['median'] * 1e3:.2f}",
                     spread(result["pytorch_ratio"]),
                     f"{result['sluice_peak_rss_bytes'] / 2**20:.0f} against "
                     f"{result['pytorch_peak_rss_bytes'] / 2**20:.0f}"])
    picture = f"{record['suite']}-{record['threads']}.svg"
    charts.layers(out / picture, record["results"],
                  f"{title}, {threads_of(record)}: times as fast as PyTorch", record)
    return "\n".join([
        f"### {title}, {threads_of(record)}\n", provenance(record) + "\n",
        f"![{title}, {threads_of(record)}](benchmarks/{picture})\n",
        table(["", "Sluice, ms", "PyTorch, ms", "times as fast", "peak memory, MiB"], rows) + "\n",
        listing(f"Below {AIMS[record['suite']]} (median, quartiles):", misses(record))])


def step_rows(records, mode):
    """Training or evaluation steps of whole models, newest of each name."""
    rows = []
    for name, record in records.items():
        if record.get("mode") != mode or name.endswith("-second"):
            continue
        ours, theirs = (record[side]["tokens_per_second"] for side in ("sluice", "pytorch"))
        against = record.get("pytorch_precision", record["precision"])
        rows.append({"name": name, "record": record, "width": record["width"],
                     "label": name.removeprefix(f"pytorch-{mode}-"), "against": against,
                     "sluice": ours, "pytorch": theirs, "ratio": record["speed_ratio"]})
    return sorted(rows, key=lambda row: (row["width"], row["name"]))


def step_section(records, mode, out):
    rows = step_rows(records, mode)
    if not rows:
        return ""
    title = {"train": "Training steps", "eval": "Evaluation"}[mode]
    picture = f"steps-{mode}.svg"
    charts.steps(out / picture, rows, f"{title}: times as fast as PyTorch")
    cells = [[f"`{row['record']['layers'] if len(row['record']['layers']) < 24 else row['label']}`",
              f"{row['record']['precision']} ({row['against']})", str(row["record"]["threads"]),
              f"{row['sluice']['median']:,.0f}", f"{row['pytorch']['median']:,.0f}",
              spread(row["ratio"]), f"{row['record']['memory_ratio']:.2f}",
              f"{row['record']['date'][:10]}, {row['record']['commit'][:7]}"] for row in rows]
    return "\n".join([
        f"### {title}\n",
        f"![{title}](benchmarks/{picture})\n",
        table(["layers", "precision (PyTorch's)", "threads", "Sluice, tokens/s",
               "PyTorch, tokens/s", "times as fast", "memory, ours / theirs", "recorded"], cells)
        + "\n",
        listing("Where PyTorch is faster:", [
            f"{row['label']}: {spread(row['ratio'])}" for row in rows
            if row["ratio"]["median"] < 1])])


INTRODUCTION = """# Benchmarks

Made by `./dev bench --page` from the records in `bench/results/`, the newest of each name; do not
edit. How each is measured, and what is counted on either side: [bench/README.md](../bench/README.md).

Every ratio is a median of pairs that were measured in turn in one run, with its quartiles in brackets:
above 1, Sluice is faster. Ratios of one row belong together; absolute times move with the machine,
which is shared. **Bold** in a table of ratios: PyTorch is faster. A star: faster than PyTorch, but
less than aimed at.

PyTorch is Debian's, with glibc told to keep the memory it frees (PyTorch as installed is up to four
times slower outside the caches).
"""

UNITS = """## Activations and gates

One op at a time, called as a user calls it: ours from C++, PyTorch's from Python, float32, rows of 512
outputs. For few outputs most of the time is the call itself: a forward call takes ours {our_call:.1f} µs and
PyTorch {their_call:.1f} µs, a backward call {our_back:.1f} and {their_back:.1f}. The bars "4 Ki, net" show what remains for the
arithmetic when that is taken off either side. The aims: twice PyTorch's speed in the caches (up to 2 Mi
outputs) for every unit with an exponential in it, once for the others and outside the caches; outside
the caches (from 16 Mi outputs) at least 0.9 of the bandwidth of a copy that moves as many bytes.
"""


LAYER_UNITS = """## Layer units

With parameters of their own, one for each of 512 channels (`prelu`, `swish`), with random numbers
(`rrelu`, in training), and the greater of two blocks of channels (`maxout`). Measured, and aimed at, as
above. For `rrelu`'s gradient PyTorch keeps the random numbers, ours draws them anew.
"""


def call_times(record):
    def median_of(side, direction):
        return statistics.median(r[f"{side}_call_seconds"] for r in record["results"]
                                 if r["direction"] == direction) * 1e6
    return {"our_call": median_of("sluice", "forward"), "our_back": median_of("sluice", "backward"),
            "their_call": median_of("pytorch", "forward"),
            "their_back": median_of("pytorch", "backward")}


def wide_simd(record):
    """A sentence on PyTorch with AVX-512 forced."""
    both = [r["pytorch_avx512_ratio"]["median"] for r in record["results"]
            if "pytorch_avx512_ratio" in r and r["outputs"] <= IN_CACHE]
    if not both:
        return ""
    slower = sum(ratio < 1 for ratio in both)
    return (f"PyTorch takes AVX2 by itself. Told to take AVX-512 (`ATEN_CPU_CAPABILITY=avx512`), with "
            f"{threads_of(record)} in the caches: median ratio {statistics.median(both):.2f}, least "
            f"{min(both):.2f}; it is faster than ours in {slower} of {len(both)} cases.\n")


def page(records, out):
    parts = [INTRODUCTION]
    units = [records[name] for name in ("units-1", "units-2") if name in records]
    if units:
        parts.append(UNITS.format(**call_times(units[0])))
        parts += [wide_simd(record) for record in units]
        parts += [op_section(record, "Activations and gates", out) for record in units]
    found = [records[f"layer-units-{n}"] for n in (1, 2) if f"layer-units-{n}" in records]
    if found:
        parts.append(LAYER_UNITS)
        parts += [op_section(record, "Layer units", out) for record in found]
    for suite, heading, title in (("norms", "Norms and softmax", "Norms and softmax"),
                                  ("recurrent", "Recurrent layers", "Recurrent layers"),
                                  ("ffn", "Gated feed-forward", "Gated feed-forward")):
        found = [records[f"{suite}-{n}"] for n in (1, 2) if f"{suite}-{n}" in records]
        if found:
            parts.append(f"## {heading}\n\nThe aim: {AIMS[suite]} times PyTorch's speed.\n")
            section = op_section if suite == "norms" else layer_section
            parts += [section(record, title, out) for record in found]
    steps = [step_section(records, mode, out) for mode in ("train", "eval")]
    if any(steps):
        parts.append("## Whole models\n\n`bench/compare_pytorch.py`; each record names its "
                     "commit. PyTorch's convolution is the fastest of three forms.\n")
        parts += steps
    return "\n".join(part.rstrip() + "\n" for part in parts if part)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", default=str(ROOT / "docs"), help="directory of the page (docs)")
    out = pathlib.Path(parser.parse_args().out)
    pictures = out / "benchmarks"
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.svg"):
        old.unlink()
    (out / "benchmarks.md").write_text(page(newest_records(), pictures), encoding="utf-8")


if __name__ == "__main__":
    main()
