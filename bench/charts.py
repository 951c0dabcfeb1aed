"""Bar charts of the benchmark page: SVG on a light card of their own, so that they read on light and
dark pages alike."""

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

CARD, INK, FAINT = "#fbfbf8", "#20242a", "#c9ccd1"
# Distinct for colour-blind readers too (Okabe & Ito 2008).
COLOURS = ["#0072b2", "#56b4e9", "#009e73", "#e69f00", "#cc79a7", "#d55e00", "#999999"]
TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500]

plt.rcParams.update({"svg.hashsalt": "sluice", "svg.fonttype": "path", "font.size": 9,
                     "text.color": INK, "axes.edgecolor": FAINT, "axes.labelcolor": INK,
                     "xtick.color": INK, "ytick.color": INK, "figure.facecolor": CARD,
                     "axes.facecolor": CARD, "savefig.facecolor": CARD})


def bars(path, labels, series, title, note, aims, log=True):
    """Horizontal bars: `series` is [(name, values, (low, high) or None)], a value for each label or
    None; `aims` is [(x, text)], lines down the chart."""
    height = 0.8 / len(series)
    fig, axes = plt.subplots(figsize=(8, 1.2 + len(labels) * max(0.26, 0.11 * len(series))))
    for k, (name, values, spread) in enumerate(series):
        at = [i for i, value in enumerate(values) if value is not None]
        y = [i + (k - (len(series) - 1) / 2) * height for i in at]
        shown = [values[i] for i in at]
        axes.barh(y, shown, height * 0.92, color=COLOURS[k % len(COLOURS)], label=name, zorder=2)
        if spread:
            low, high = spread
            axes.hlines(y, [low[i] for i in at], [high[i] for i in at], color=INK, lw=0.8,
                        zorder=3)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(TICKS))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        least = min(v for _, values, _ in series for v in values if v is not None)
        axes.set_xlim(left=min(0.5, least * 0.8))
    else:
        axes.set_xlim(left=0)
    for x, text in aims:
        axes.axvline(x, color=INK, lw=1, ls="-" if x == 1 else "--", zorder=1,
                     label=text)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="x", color=FAINT, lw=0.6, zorder=0)
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", pad=8)
    axes.set_xlabel(note, fontsize=7.5)
    axes.legend(fontsize=7.5, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    fig.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(fig)


def note_of(record):
    return f"{record['cpu']}, {record['date'][:10]}, commit {record['commit'][:7]}; lines: quartiles"


def of_sizes(results, ops, outputs, key):
    """A series over ops: the values of `key` at one size, with quartiles."""
    found = {r["op"]: r[key] for r in results if r["outputs"] == outputs and key in r}
    values = [found[op]["median"] if op in found else None for op in ops]
    low = [found[op]["q1"] if op in found else None for op in ops]
    high = [found[op]["q3"] if op in found else None for op in ops]
    return values, (low, high)


def ratios(path, results, size_name, title, record):
    """Speed ratios of ops: the smallest size net of the call, a size in the caches, the largest."""
    ops = list(dict.fromkeys(r["op"] for r in results))
    sizes = sorted({r["outputs"] for r in results})
    small, large = sizes[0], sizes[-1]
    net = {r["op"]: r["pytorch_net_ratio"] for r in results
           if r["outputs"] == small and "pytorch_net_ratio" in r}
    series = [(f"{size_name(small)} outputs, as called", *of_sizes(results, ops, small,
                                                                  "pytorch_ratio"))]
    if net:
        series.append((f"{size_name(small)}, net of the call", [net.get(op) for op in ops], None))
    for outputs in sorted({sizes[len(sizes) // 2], large}):
        if outputs != small:
            series.append((f"{size_name(outputs)} outputs",
                           *of_sizes(results, ops, outputs, "pytorch_ratio")))
    aims = [(1, "as fast as PyTorch")]
    aims.append((2, "twice") if record["suite"] == "units" else (1.5, "aim"))
    bars(path, ops, series, title, note_of(record), aims)


def copies(path, results, title, record):
    """Parts of a copy's bandwidth, forward and backward."""
    ops = list(dict.fromkeys(r["op"] for r in results))
    series = []
    for direction in ("forward", "backward"):
        found = [r for r in results if r["direction"] == direction]
        if found:
            series.append((direction, *of_sizes(found, ops, found[0]["outputs"],
                                                "copy_fraction")))
    bars(path, ops, series, title, note_of(record), [(1, "a copy"), (0.9, "aim")], log=False)


def layers(path, results, title, record):
    names = [r["op"] for r in results]
    ratio = [r["pytorch_ratio"] for r in results]
    series = [("forward and backward", [r["median"] for r in ratio],
               ([r["q1"] for r in ratio], [r["q3"] for r in ratio]))]
    bars(path, names, series, title, note_of(record),
         [(1, "as fast as PyTorch"), (1.2, "aim")], log=False)


def steps(path, rows, title):
    ratio = [row["ratio"] for row in rows]
    series = [("Sluice", [r["median"] for r in ratio],
               ([r["q1"] for r in ratio], [r["q3"] for r in ratio]))]
    bars(path, [row["label"] for row in rows], series, title,
         "width-precision-what differs; lines: quartiles", [(1, "as fast as PyTorch")], log=False)
