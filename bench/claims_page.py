#!/usr/bin/python3
"""Writes docs/claims/: a page and a picture for every claim that was run, and a table of all, from a directory of
sluice claims run. Claims that have a page from an earlier run on the same text keep it, as long as their files ask
for the same (Claim::design; --program tells it): what has been put into other words is said in the new ones.

    sluice claims run --all --until-decided --budget 2h --data wikitext-2/train.txt --out claims
    bench/claims_page.py claims [--note "what readers should know of the machine"]
    bench/claims_page.py          # nothing new was run: the pages again, from docs/claims/verdicts.json
"""

import argparse
import json
import pathlib
import re
import shlex
import subprocess
import sys
import textwrap

from charts import COLOURS, FAINT, INK, plt
from matplotlib.ticker import MaxNLocator
from measure import ROOT, cpu_model

PAGE = ROOT / "docs/claims"
# What a page says before the claim, so that nobody takes for a fact what is none.
LEADS = {"fails": "**Fails here.** ", "equal": "**Equal here, within a stated bound.** ",
         "inconclusive": "**Not decided here.** "}
VERDICTS = {"holds": COLOURS[2], "fails": COLOURS[5], "equal": COLOURS[0], "inconclusive": COLOURS[6]}
DIGITS = 4
# From gates to recurrent cells to training and speed; claims that are not here come behind, by name.
ORDER = ["gates-help", "linear-path", "glu-at-equal-time", "glu-beats-gtu", "glu-doubled-width", "bilinear",
         "bilinear-words", "dauphin-figure-1", "saturation", "vanishing-gradients", "adding-problem",
         "copying", "brackets", "exploding-gradients", "clipping-too-often", "deep-indrnn",
         "decay-over-layers", "forget-gate", "forget-bias-xml", "forget-bias-arithmetic", "gru-lstm-mut1",
         "gru-on-xml", "gru-on-arithmetic", "small-batches", "batch-norm-speeds", "group-norm-groups",
         "initialisation", "dying-relu", "elu-mean", "relu-sparsity", "learned-slope", "gelu-smooth",
         "sigmoid-is-slow", "gated-feed-forward", "shazeer-table", "context-flattens", "parallel-speed"]
# As the program's default_most_seeds.
MOST_SEEDS = 40
# The error that verdicts of all claims together may have.
LEVEL = 0.05
# Values of a ratio that are farther apart than this lie on a logarithmic axis.
LINEAR_SPAN = 100


def number(value):
    """Short, for people: "404,553", "1.688", "0.00013"."""
    if value is None:
        return "none"
    return f"{value:,.0f}" if abs(value) >= 10000 else f"{value:.{DIGITS}g}"


def interval(part):
    if part["low"] is None and part["high"] is None:
        return ""
    return f" ({number(part['low'])} to {number(part['high'])})"


def effect(part):
    """What was found: "0.674 times (0.604 to 0.752)"."""
    if part["effect"] is None:
        return "cannot be told"
    unit = {"ratio": "times", "share": "of the runs"}.get(part["kind"], part["unit"])
    by = {"trimmed": ", trimmed mean", "median": ", median"}.get(part.get("statistic"), "")
    return f"{number(part['effect'])} {unit}{interval(part)}{by}"


def claimed(part):
    words = {"less": "below", "greater": "above", "within": "nearer to no effect than"}
    bound = f", equal within {number(part['bound'])}" if part.get("bound") is not None else ""
    return f"{words[part['expect']]} {number(part['threshold'])}{bound}"


def corrected(claims):
    """The claims' p-values, in their order, after Holm's correction for their number."""
    order = sorted(range(len(claims)), key=lambda i: claims[i].get("p", 1))
    highest, out = 0.0, [1.0] * len(claims)
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(claims) - rank) * claims[i].get("p", 1)))
        out[i] = highest
    return out


def over_text(part):
    """The interval over blocks of the text, where there is one."""
    if not part.get("text_blocks") or part.get("statistic", "mean") != "mean":
        return ""
    return f"; over blocks of the text {number(part['text_low'])} to {number(part['text_high'])}"


def listed(program):
    """What the program says of the claims' files, by name: their designs, and what they take."""
    files = sorted(str(path) for path in (ROOT / "claims").glob("*.json"))
    told = subprocess.run([program, "claims", "list", "--json", *files], stdout=subprocess.PIPE, check=True)
    return {claim["name"]: claim for claim in json.loads(told.stdout)["claims"]}


def asks_the_same(claim, shipped):
    """Whether the sentence and the terms of the parts are the file's."""
    def terms(part, threshold):
        return [part["statement"], part["measure"], part["expect"], threshold, part.get("bound"),
                part.get("statistic", "mean")]
    # A threshold that a file leaves out is no effect.
    asked = [terms(part, part.get("threshold", 1 if found["kind"] == "ratio" else 0))
             for part, found in zip(shipped["parts"], claim["parts"])]
    return (claim["statement"] == shipped["statement"] and len(claim["parts"]) == len(shipped["parts"])
            and asked == [terms(part, part["threshold"]) for part in claim["parts"]])


def took_as_much(claim, shipped, now):
    """Whether tokens, pilots, runs and looks of a result could be the file's."""
    tokens = re.search(r" of ([\d,]+)(?: to ([\d,]+))? tokens", claim["budget"])
    ends = [int(end.replace(",", "")) for end in tokens.groups(tokens.group(1))]
    pilots = {comparison.get("pilots", 0) for comparison in shipped["comparisons"].values()}
    if ends != [min(now["tokens"]), max(now["tokens"])] or claim["runs"] < (now["runs"] if "--seeds" not in
                                                                            claim["command"] else 0):
        return False
    if len(pilots) == 1 and (claim["search_runs"] % max(pilots) if max(pilots) else claim["search_runs"]):
        return False
    for part, asked in zip(claim["parts"], shipped["parts"]):
        name = asked["a"].get("comparison", next(iter(shipped["comparisons"])))
        seeds, looks = shipped["comparisons"][name]["seeds"], part["looks"]
        if "--seeds" not in claim["command"] and looks[0] != seeds:
            return False
        if len(looks) > 1 and looks[-1] != shipped.get("most_seeds", MOST_SEEDS):
            return False
    return True


def is_current(claim, shipped, now):
    """Whether what was run is the claim as its file stands. Results of before there were designs are, unless one can
    tell that they are not."""
    if "design" in claim:
        return claim["design"] == now["design"]
    return asks_the_same(claim, shipped) and took_as_much(claim, shipped, now)


def brought_up_to_date(claim, shipped, now):
    """A result of the claim as it stands, in its file's words."""
    if "design" not in claim:
        for part in claim["parts"]:
            # 0 said that no seeds would tell it, and that this was never asked.
            if not part.get("seeds_to_tell"):
                part["seeds_to_tell"] = None
    claim["design"] = now["design"]
    claim |= {key: shipped[key] for key in ("title", "statement", "source", "plain", "limits")}
    for part, asked in zip(claim["parts"], shipped["parts"]):
        part["statement"] = asked["statement"]
    if " step" not in claim["budget"]:
        ends = [f"{end:,}" for end in (min(now["steps"]), max(now["steps"]))]
        claim["budget"] = claim["budget"].replace("tokens", f"tokens ({' to '.join(dict.fromkeys(ends))} steps)", 1)
    claim["command"] = command_anywhere(claim["command"], claim["name"])
    return claim


def place(claim):
    name = claim["name"]
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


def is_wide(part):
    values = [v for side in ("values_a", "values_b") for v in part[side] if v is not None]
    return (part["kind"] == "ratio" and bool(values) and min(values) > 0
            and max(values) > LINEAR_SPAN * min(values))


def draw_part(axes, part):
    """The values of both sides, a seed's two joined."""
    sides = [("side_a", "values_a")] + ([("side_b", "values_b")] if part.get("side_b") else [])
    at = {}
    for row, (_, values) in enumerate(sides):
        for seed, value in enumerate(part[values]):
            if value is not None:
                at.setdefault(seed, []).append((value, row))
    for points in at.values():
        axes.plot(*zip(*points), color=FAINT, lw=0.8, zorder=1)
    for row, (_, values) in enumerate(sides):
        known = [v for v in part[values] if v is not None]
        axes.scatter(known, [row] * len(known), s=22, color=COLOURS[0 if row == 0 else 3], alpha=0.8,
                     zorder=2, lw=0)
        if len(known) > 1 and len(set(known)) == 1:
            axes.annotate(f"{len(known)} runs", (known[0], row), (0, 13), textcoords="offset points", ha="center",
                          fontsize=7)
        mean = part[values.replace("values_", "")]
        if mean is not None:
            axes.vlines(mean, row - 0.28, row + 0.28, color=INK, lw=1.6, zorder=3)
    axes.set_yticks(range(len(sides)),
                    ["\n".join(textwrap.wrap(part[side].replace("|", " or "), 34)) for side, _ in sides], fontsize=8)
    axes.set_ylim(len(sides) - 0.4, -0.6)
    axes.set_title("\n".join(textwrap.wrap(part["statement"], 70)), loc="left", fontsize=9)
    axes.text(1.02, 0.5, "\n".join([part["verdict"].upper(), *textwrap.wrap(f"found {effect(part)}", 26),
                                    *textwrap.wrap(f"claimed {claimed(part)}", 26)]),
              transform=axes.transAxes, va="center", fontsize=8, color=INK,
              bbox={"boxstyle": "round,pad=0.4", "fc": "none", "ec": VERDICTS[part["verdict"]],
                    "lw": 1.5})
    better = " (lower is better)" if part["measure"] == "final_loss" and " less " not in part["side_a"] else ""
    axes.set_xlabel(f"{part['measure']}, {part['unit']}{better}", fontsize=7.5)
    if is_wide(part):
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:,.4g}k" if abs(x) >= 10000 else f"{x:.4g}")
    tidy(axes)


def draw_curves(axes, results, title):
    """Validation loss against tokens, mean and 95% band over the seeds, each at its best rate."""
    # Variants that no open part of the claim read have fewer.
    unequal = len({len(variant["loss"]["values"]) for variant in results["variants"]}) > 1
    for k, variant in enumerate(results["variants"]):
        curve = curve_of(variant)
        if curve is None:
            continue
        colour = COLOURS[k % len(COLOURS)]
        axes.plot(curve["x"], curve["mean"], color=colour, lw=1.3,
                  ls="-" if k < len(COLOURS) else "--",
                  label=f"{variant['name']}, rate {variant['lr']:g}"
                        + (f", {len(variant['loss']['values'])} seeds" if unequal else ""))
        if all(v is not None for v in curve["low"] + curve["high"]):
            axes.fill_between(curve["x"], curve["low"], curve["high"], color=colour, alpha=0.2, lw=0)
    axes.set_title(title, loc="left", fontsize=9)
    axes.set_xlabel("tokens trained on", fontsize=7.5)
    axes.set_ylabel("validation loss (lower is better)", fontsize=7.5)
    if len(results["variants"]) <= 12:
        axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:,.0f}k" if x else "0")
    tidy(axes)


def tidy(axes):
    axes.grid(axis="x", color=FAINT, lw=0.6, zorder=0)
    axes.tick_params(length=0, labelsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def curve_of(variant):
    """Validation loss against tokens; None unless there is a line to draw."""
    curve = variant["curves"]["validation"].get("tokens")
    return curve if curve and len(curve["x"]) > 1 else None


def has_lengths(results):
    """Whether variants differ in the length of their chunks."""
    return len({variant["fields"].get("context") for variant in results["variants"]}) > 1


def draw_times(axes, results, title):
    """The time of a training step against the length of its chunks, a line for each model."""
    lines = {}
    for variant in results["variants"]:
        fields = dict(variant["fields"])
        length = fields.pop("context")
        step = variant["training"]["batch"] * length * 1000 / variant["tokens_per_second"]["mean"]
        lines.setdefault(" ".join(f"{key}={value}" for key, value in fields.items()), []).append((length, step))
    for (name, points), colour in zip(lines.items(), COLOURS):
        axes.plot(*zip(*sorted(points)), color=colour, lw=1.3, marker="o", ms=3.5, label=name)
    axes.set_title(title, loc="left", fontsize=9)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.set_xlabel("length of a chunk, in tokens", fontsize=7.5)
    axes.set_ylabel("milliseconds a step", fontsize=7.5)
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    tidy(axes)


def draw(path, claim, out):
    comparisons = []
    for directory in claim["directories"]:
        results = json.loads((out / directory / "results.json").read_text(encoding="utf-8"))
        name = pathlib.PurePath(directory).name
        where = "" if name == claim["name"] else f", comparison {name}"
        if any(curve_of(variant) for variant in results["variants"]):
            comparisons.append((draw_curves, results, f"Learning{where}"))
        elif has_lengths(results):
            comparisons.append((draw_times, results, f"Time against length{where}"))
    heights = [1.0] * len(claim["parts"]) + [2.2] * len(comparisons)
    fig, rows = plt.subplots(len(heights), 1, figsize=(6.4, sum(heights) + 0.75 * len(heights)),
                             height_ratios=heights, squeeze=False, layout="constrained")
    rows = rows[:, 0]
    for axes, part in zip(rows, claim["parts"]):
        draw_part(axes, part)
    for axes, (drawing, results, title) in zip(rows[len(claim["parts"]):], comparisons):
        drawing(axes, results, title)
    fig.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(fig)


def what_would_tell(part):
    if not part["n"]:
        return "some run has no such value, so that no number of seeds would tell it"
    if part.get("seeds_to_tell") is None:
        return f"{part['n']} of at most {part['looks'][-1]} seeds"
    if not part["seeds_to_tell"]:
        return f"{part['looks'][-1]} seeds would hardly tell it"
    return f"{part['seeds_to_tell']} seeds would tell it in four of five cases"


def left_open(claim):
    """What would tell an inconclusive claim; nothing for others."""
    told = [f"{part['statement']} ({what_would_tell(part)})"
            for part in claim["parts"] if part["verdict"] == "inconclusive"]
    return [f"Left open: {'; '.join(told)}.", ""] if told and claim["verdict"] == "inconclusive" else []


def rates_of(part, side):
    """"unit=glu: 0.054", and whether that was an end of those tried."""
    rates = part[f"rates_{side}"]
    name = part[f"side_{side}"].replace("|", " or ")
    at_edge = " (an end of those tried)" if rates["at_edge"] else ""
    return f"{name}: {' or '.join(number(lr) for lr in rates['lr'])}{at_edge}"


def command_anywhere(command, name):
    """Paths of the machine it ran on, by what they end in: the text's directory and name, the output's name; the
    file of a claim that is as the program's own, by its name."""
    words = shlex.split(command)
    for i, word in enumerate(words):
        if word.endswith(f"/{name}.json"):
            words[i] = name
        elif word.startswith("/"):
            words[i] = "/".join(pathlib.PurePath(word).parts[-1 if words[i - 1] == "--out" else -2:])
    return shlex.join(words)


def minutes_of(claim):
    """"23 minutes, two runs at a time"."""
    words = shlex.split(claim["command"])
    jobs = int(words[words.index("--jobs") + 1]) if "--jobs" in words else 1
    return f"{claim['seconds'] / 60:.0f} minutes, {['one run', 'two runs'][jobs - 1] if jobs < 3 else f'{jobs} runs'} at a time"


def learning_rates(claim):
    """The rates of all sides, each once, in the order of the parts."""
    found = dict.fromkeys(rates_of(part, side) for part in claim["parts"] for side in ("a", "b")
                          if part.get(f"rates_{side}"))
    return "; ".join(found)


def opening(claim):
    """The claim for newcomers, and what came of it where that is not that it holds."""
    lead = LEADS.get(claim["verdict"])
    if not lead:
        return claim["plain"]
    return f"{lead}{'The question' if claim['plain'].endswith('?') else 'The claim'}: {claim['plain']}"


def page(claim):
    """The claim's own page: what it says, its picture, then what was found and how."""
    lines = [f"# {claim['title']}", "", opening(claim), "",
             f"![{claim['title']}: each seed's values, and learning curves]({claim['name']}.svg)", "",
             "A dot is a run, a grey line joins two runs of one seed, a bar is the mean; below, if there are curves, "
             "the seeds' mean and its 95% interval, each model at its best learning rate.", "",
             f"**{claim['verdict'].capitalize()}.** What was tested: {claim['statement']} ({claim['source']})", "",
             "| part | a | b | effect and interval | claimed | seeds | verdict |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    for part in claim["parts"]:
        sides = [part["side_a"], part.get("side_b") or ""]
        values = [part["a"], part["b"]]
        shown = [f"{side.replace('|', ' or ')}: {number(value)}" if side else ""
                 for side, value in zip(sides, values)]
        lines.append(f"| {part['statement']} | {' | '.join(shown)} | {effect(part)}{over_text(part)} | "
                     f"{claimed(part)} | {part['n']} | {part['verdict']} |")
    lines += ["", *left_open(claim), f"What this does not show: {claim['limits']}", "",
              f"Learning rates: {learning_rates(claim)}.", "",
              f"Budget: {claim['budget']}; {minutes_of(claim)}. Command:", "",
              f"    {claim['command']}", "",
              "[All claims](README.md), [how they are reached](../claims.md)", ""]
    return "\n".join(lines)


def table_of(claims):
    lines = ["| claim | what it says, in plain words | verdict | runs | minutes | from |", "| --- | --- | --- | --- | --- | --- |"]
    for claim in claims:
        lines.append(f"| [{claim['title']}]({claim['name']}.md) | {claim['plain']} | {claim['verdict']} | "
                     f"{claim['runs']} | {claim['seconds'] / 60:.0f} | {claim['source']} |")
    return lines


def index(record, claims, waiting):
    # Those that are still to be run count: they are asked, too.
    stand = sum(p <= LEVEL and c["verdict"] != "inconclusive"
                for c, p in zip(claims, corrected(claims + [{"p": 1}] * len(waiting))))
    counts = {v: sum(c["verdict"] == v for c in claims) for v in VERDICTS}
    lines = ["# Verdicts", "",
             "Written by `bench/claims_page.py` from what `sluice claims run` found "
             f"({record['date'][:10]}, Sluice {record['version']}, {record['machine']}). What "
             "claims and verdicts are, and how they are reached, is in [claims.md](../claims.md); all "
             "numbers are in [verdicts.json](verdicts.json). A verdict is about this text, these "
             "sizes and this budget.", ""]
    if record["note"]:
        lines += [record["note"], ""]
    lines += [f"Of {len(claims) + len(waiting)} claims {len(claims)} have been run in full: "
              f"{counts['holds']} hold, {counts['fails']} fail, {counts['equal']} equal within a stated "
              f"bound, {counts['inconclusive']} inconclusive. {stand} of these verdicts stand when they "
              f"are corrected for {len(claims) + len(waiting)} claims (Holm).", "", *table_of(claims), ""]
    if waiting:
        lines += ["## Not run in full yet", "", "This command runs them:", "",
                  "    sluice claims run --all --until-decided --budget 2h --data wikitext-2/train.txt --out claims", "",
                  "| claim | what it says, in plain words | minutes, estimated | from |", "| --- | --- | --- | --- |"]
        lines += [f"| {claim['title']} | {claim['plain']} | {claim['minutes']:g} | {claim['source']} |"
                  for claim in waiting] + [""]
    return "\n".join(lines)


def published(record):
    """The claims that have a page already and are not among those just run, on the same text by the same rules."""
    before = verdicts()
    if before is None or any(before[key] != record[key] for key in ("data", "format_version", "version")):
        return []
    ran = {claim["name"] for claim in record["claims"]}
    return [claim for claim in before["claims"] if claim["name"] not in ran]


def verdicts():
    """What is published; None before anything is."""
    path = PAGE / "verdicts.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def results_of(out):
    """What the directory says, or what is published."""
    path = out / "claims.json" if out else PAGE / "verdicts.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    if record["quick"]:
        sys.exit(f"{path} is of a --quick run, whose verdicts are for trying "
                 "things out: run the claims without --quick")
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, nargs="?", help="--out of sluice claims run")
    parser.add_argument("--note", help="a paragraph for the table of all (default: the one it has)")
    parser.add_argument("--program", default=str(ROOT / "build/release/cli/sluice"))
    flags = parser.parse_args()
    record = results_of(flags.out)
    PAGE.mkdir(exist_ok=True)
    record["data"]["files"] = [pathlib.PurePath(file).name for file in record["data"]["files"]]
    before = verdicts() or {}
    record["note"] = flags.note if flags.note is not None else before.get("note", "")
    record["machine"] = cpu_model() if flags.out else before.get("machine", cpu_model())
    shipped = {path.stem: json.loads(path.read_text(encoding="utf-8")) | {"name": path.stem}
               for path in (ROOT / "claims").glob("*.json")}
    now = listed(flags.program)
    ran = {claim["name"] for claim in record["claims"]} if flags.out else set()
    found = [c for c in record["claims"] + published(record) if c["name"] in shipped]
    claims = [c for c in found if is_current(c, shipped[c["name"]], now[c["name"]])]
    for claim in found:
        if claim not in claims:
            print(f"{claim['name']}: was run when its file asked for something else, and is not shown",
                  file=sys.stderr)
    record["claims"] = [brought_up_to_date(c, shipped[c["name"]], now[c["name"]]) for c in claims]
    (PAGE / "verdicts.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    claims = sorted(record["claims"], key=place)
    for claim in claims:
        if claim["name"] in ran:
            draw(PAGE / f"{claim['name']}.svg", claim, flags.out)
        (PAGE / f"{claim['name']}.md").write_text(page(claim), encoding="utf-8")
    done = {claim["name"] for claim in claims}
    for name in shipped.keys() - done:  # pages of what has been changed since it was run
        for kind in ("md", "svg"):
            (PAGE / f"{name}.{kind}").unlink(missing_ok=True)
    waiting = sorted((c for name, c in shipped.items() if name not in done), key=place)
    (PAGE / "README.md").write_text(index(record, claims, waiting), encoding="utf-8")


if __name__ == "__main__":
    main()
