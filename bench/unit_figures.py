#!/usr/bin/python3
"""Adds what was measured to the sections of docs/units.md: the greatest errors over every float, from
what `./dev test --slow` printed, and times, from the benchmarks of units; the newest records of each.

    bench/unit_figures.py docs/units.md        # ./dev docs does it
"""

import argparse
import pathlib
import re

from measure import ROOT, newest_records


def errors():
    """Of each activation: the greatest errors of value and derivative, in ULP beyond what a bound's
    absolute part excuses, and absolute; {} if there is no record."""
    records = sorted((ROOT / "bench/results").glob("*-exhaustive.txt"))
    if not records:
        return {}
    line = re.compile(r"^(?:\d+: )?(\w+)" + r"\s+(\d[\d.e+-]*)" * 4 + "$", re.MULTILINE)
    return {name: numbers for name, *numbers in
            line.findall(records[-1].read_text(encoding="utf-8"))}


def worst(bound, ulp, absolute):
    """The measured error in the terms of its bound, a text of unit_info()."""
    return f"absolute {absolute}" if bound.startswith("absolute") else f"{ulp} ULP"


def error_text(accuracy, numbers):
    """A sentence for the line of an activation's accuracy."""
    value, slope = re.fullmatch(r"Value (.*); derivative (.*)\.", accuracy).groups()
    return (f" Greatest errors over every float: {worst(value, *numbers[:2])}, derivative "
            f"{worst(slope, *numbers[2:])}.")


def nanoseconds(result, key):
    return f"{result[key]['median'] / result['outputs'] * 1e9:.2f}"


def times():
    """Of each unit: a sentence on one thread's times."""
    records = newest_records()
    texts = {}
    for name in ("units-1", "layer-units-1"):
        results = records.get(name, {}).get("results", [])
        found = {(r["op"], r["direction"], r["outputs"]): r for r in results}
        if not found:
            continue
        sizes = sorted({outputs for _, _, outputs in found})
        inside, outside = 2**18, sizes[-1]
        for op in dict.fromkeys(r["op"] for r in results):
            def pair(key, outputs, op=op):
                return " and ".join(nanoseconds(found[op, direction, outputs], key)
                                    for direction in ("forward", "backward"))
            arithmetic = ""
            if "arithmetic_seconds" in found[op, "forward", inside]:
                arithmetic = f"{pair('arithmetic_seconds', inside)} in the first-level cache, "
            texts[op] = (f"{arithmetic}{pair('sluice_seconds', inside)} for 256 Ki outputs, "
                         f"{pair('sluice_seconds', outside)} out of the caches "
                         f"(a copy: {pair('copy_seconds', outside)})")
    return texts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("page", type=pathlib.Path)
    page = parser.parse_args().page
    measured_errors, measured_times = errors(), times()
    lines, unit = [], None
    for line in page.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"### (\w+)", line):
            unit = heading[1]
        if line.startswith("- Accuracy: ") and unit in measured_errors:
            line += error_text(line.removeprefix("- Accuracy: "), measured_errors[unit])
        if line.startswith("- Speed: ") and unit in measured_times:
            line = line.replace("- Speed: ", f"- Speed: {measured_times[unit]}; ")
        lines.append(line)
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
