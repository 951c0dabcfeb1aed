#!/usr/bin/python3
"""Sluice against PyTorch, op by op: activations, gates, softmax, norms, recurrent layers and the
gated feed-forward, alternating in one run.

    bench/compare_units.py --quick                   # a look at every activation and gate
    bench/compare_units.py --units glu,gelu --sizes 4Ki,16Mi --threads 1
    bench/compare_units.py --suite recurrent
    bench/compare_units.py --all                     # every suite, one and two threads, then the page

What is timed on either side, and how: bench/README.md. Writes one record per suite and number of
threads to bench/results/, DATE-SUITE-THREADS.json.
"""

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time

from measure import ROOT, Program, machine_cpu_seconds, quartiles, spelled, surroundings

BUILD = ROOT / "build/bench/bench"
PYTHON = "/usr/bin/python3"
SIZES = "4Ki,32Ki,256Ki,2Mi,16Mi,64Mi"
FEWER_SIZES = "4Ki,32Ki,256Ki,2Mi,16Mi"
QUICK_SIZES = "4Ki,256Ki,16Mi"
COLUMNS = 512
# The smallest case: what it takes is the call, not the arithmetic.
CALL_OUTPUTS = 16

# glibc gives freed memory back eagerly and page faults would make PyTorch several times slower
# outside caches; with these it keeps what it frees, as our allocator does.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**34),
               "MALLOC_TOP_PAD_": str(2**28)}

TRIVIAL = {"relu", "relu6", "leaky_relu", "prelu", "hardtanh", "hardsigmoid", "hardswish",
           "hardshrink", "softshrink", "softsign", "threshold", "squared_relu", "maxout",
           "rrelu", "bilinear", "reglu", "leglu"}
LAYER_UNITS = ["prelu", "swish", "rrelu", "maxout"]
NORMS = ["softmax", "log_softmax", "softmin", "layer_norm", "rms_norm", "group_norm",
         "instance_norm", "batch_norm"]


def parse_size(text):
    for suffix, factor in (("Ki", 2**10), ("Mi", 2**20)):
        if text.endswith(suffix):
            return int(text[:-2]) * factor
    return int(text)


def opponents():
    """PyTorch as it is, and with the SIMD width it supports but does not choose by itself."""
    forms = {"pytorch": {}}
    with open("/proc/cpuinfo", encoding="utf-8") as cpus:
        if " avx512vl " in cpus.read():
            forms["pytorch_avx512"] = {"ATEN_CPU_CAPABILITY": "avx512"}
    return forms


class Contender:
    """A program on one case, and how many calls make one measurement."""

    def __init__(self, program, word="go"):
        self.program, self.word, self.seconds, self.calls = program, word, [], 1

    def measure(self, calls):
        reply = self.program.ask(f"{self.word} {calls}")
        return reply["seconds"] / calls

    def calibrate(self, target):
        """Sets how many calls take `target` seconds; returns the seconds of a call."""
        each = self.measure(1)
        if each < target / 4:
            each = self.measure(max(1, int(target / 4 / each)))
        self.calls = max(1, round(target / each))
        return each

    def turn(self):
        self.seconds.append(self.measure(self.calls))


def alternate(contenders, options, estimate):
    """Measures the contenders in turn, changing who goes first: as many pairs as fit, 3 to
    --pairs."""
    pairs = max(3, min(options.pairs, int(options.patience / max(estimate, 1e-9))))
    for pair in range(pairs):
        for contender in contenders if pair % 2 == 0 else reversed(contenders):
            time.sleep(options.pause)  # the other's idle threads stop spinning
            contender.turn()


def ratios(of, to):
    return quartiles([theirs / ours for ours, theirs in zip(of, to)])


class OpSuite:
    """Ops served by one pair of programs that are told each case."""

    def __init__(self, options, threads):
        self.options, self.threads = options, threads
        self.ours = Program("sluice", [options.ours or str(BUILD / "unit_bench")], {})
        command = [PYTHON, str(ROOT / "bench/pytorch/unit_bench.py")]
        self.theirs = {form: Program(form, command, {**KEEP_MEMORY, **environment})
                       for form, environment in opponents().items()}
        self.version = None
        self.results = []

    def programs(self):
        return [self.ours, *self.theirs.values()]

    def names(self):
        if self.options.units:
            return self.options.units.split(",")
        if self.options.suite == "norms":
            return NORMS
        if self.options.suite == "layer-units":
            return LAYER_UNITS
        return self.ours.ask("names")["names"]

    def sizes(self):
        """The given ones; else, 64 Mi only with several threads: it takes long, and with one thread
        16 Mi are out of the caches just as well."""
        if self.options.sizes:
            return self.options.sizes
        if self.options.suite != "units" or self.threads == 1:
            return FEWER_SIZES
        return SIZES

    def cases(self):
        sizes = [parse_size(size) for size in self.sizes().split(",")]
        return itertools.product([CALL_OUTPUTS, *sizes], self.names(),
                                 self.options.directions.split(","))

    def run(self):
        calls = {}
        for outputs, name, direction in self.cases():
            result = self.run_case(outputs, name, direction)
            if result is None:
                continue
            if outputs == CALL_OUTPUTS:
                calls[name, direction] = result
                continue
            self.add_net(result, calls[name, direction])
            self.add_ceiling(result, calls[name, direction])
            self.results.append(result)
            print(line_of(result), flush=True)

    def record(self):
        return {"pytorch_version": self.version, "columns": COLUMNS,
                "pytorch_environment": KEEP_MEMORY, "pytorch_forms": opponents(),
                "results": self.results}

    def run_case(self, outputs, name, direction):
        case = "case " + json.dumps({"op": name, "direction": direction, "outputs": outputs,
                                     "columns": COLUMNS, "threads": self.threads})
        answers = [program.ask(case) for program in self.theirs.values()]
        self.version = answers[0]["version"]
        if not answers[0]["known"]:
            return None
        total = self.ours.ask(case)["bytes"]
        contenders = {"sluice": Contender(self.ours)}
        contenders.update((form, Contender(program)) for form, program in self.theirs.items())
        copies = {}
        if outputs != CALL_OUTPUTS:
            copies = {word: Contender(self.ours, word) for word in ("memcpy", "stream")}
        elif self.options.suite == "units":
            contenders["arithmetic"] = Contender(self.ours, "arithmetic")
        turns = [*contenders.values(), *copies.values()]
        target = self.options.measure_ms / 1e3
        alternate(turns, self.options,
                  sum(contender.calibrate(target) * contender.calls for contender in turns))
        ours = contenders.pop("sluice").seconds
        result = {"op": name, "direction": direction, "outputs": outputs, "bytes": total,
                  "trivial": is_trivial(name), "pairs": len(ours),
                  "sluice_seconds": quartiles(ours)}
        if "arithmetic" in contenders:
            arithmetic = contenders.pop("arithmetic")
            result["arithmetic_seconds"] = {
                part: seconds / arithmetic.program.ask("arithmetic 1")["outputs"]
                for part, seconds in quartiles(arithmetic.seconds).items()}
        for form, contender in contenders.items():
            result[f"{form}_seconds"] = quartiles(contender.seconds)
            result[f"{form}_ratio"] = ratios(ours, contender.seconds)
        if copies:
            best = min(copies, key=lambda word: quartiles(copies[word].seconds)["median"])
            result.update(copy_seconds=quartiles(copies[best].seconds), copy_by=best,
                          copy_fraction=ratios(ours, copies[best].seconds))
        return result

    @staticmethod
    def add_net(result, call):
        """Ratios of what is left for the arithmetic without the time of the call."""
        def net(side):
            result[f"{side}_call_seconds"] = call[f"{side}_seconds"]["median"]
            return result[f"{side}_seconds"]["median"] - result[f"{side}_call_seconds"]

        ours = net("sluice")
        for form in opponents():
            theirs = net(form)
            if ours > 0 and theirs > 0:
                result[f"{form}_net_ratio"] = theirs / ours

    def add_ceiling(self, result, call):
        """What the kernel's arithmetic takes for as many outputs on as many threads, nothing else
        in the way."""
        if "arithmetic_seconds" in call:
            share = result["outputs"] / self.threads
            result["arithmetic_seconds"] = {part: seconds * share for part, seconds in
                                            call["arithmetic_seconds"].items()}


class StepSuite:
    """Layers, each case a pair of programs started for it that take the same arguments; PyTorch's
    in the fastest of its `forms`, further arguments."""

    def __init__(self, options, threads, ours, theirs, cases, forms=((),)):
        self.options, self.threads, self.cases, self.forms = options, threads, cases, forms
        self.our_command = [options.ours or str(BUILD / ours)]
        self.their_command = [PYTHON, str(ROOT / "bench/pytorch" / theirs)]
        self.running, self.results = [], []

    def programs(self):
        return self.running

    def run(self):
        for name, arguments in self.cases:
            if self.options.units and name not in self.options.units.split(","):
                continue
            result = self.run_case(name, [*arguments, "--threads", str(self.threads)])
            self.results.append(result)
            print(line_of(result), flush=True)

    def record(self):
        return {"pytorch_environment": KEEP_MEMORY, "results": self.results}

    def run_case(self, name, arguments):
        self.running = [Program("sluice", self.our_command + arguments, {}),
                        self.fastest_form(arguments)]
        contenders = [Contender(program) for program in self.running]
        contenders[0].measure(2)
        estimate = sum(contender.calibrate(self.options.measure_ms / 1e3) * contender.calls
                       for contender in contenders)
        alternate(contenders, self.options, estimate)
        ours, theirs = (contender.seconds for contender in contenders)
        result = {"op": name, "arguments": arguments, "pairs": len(ours),
                  "sluice_seconds": quartiles(ours), "pytorch_seconds": quartiles(theirs),
                  "pytorch_ratio": ratios(ours, theirs),
                  "pytorch_command": spelled(self.running[1].command),
                  "sluice_peak_rss_bytes": self.running[0].peak_rss(),
                  "pytorch_peak_rss_bytes": self.running[1].peak_rss()}
        for program in self.running:
            program.quit()
        self.running = []
        return result

    def fastest_form(self, arguments):
        """PyTorch's program in the form that takes the least time for a call."""
        programs = [Program("pytorch", [*self.their_command, *arguments, *form], KEEP_MEMORY)
                    for form in self.forms]
        if len(programs) == 1:
            programs[0].go(2)
            return programs[0]
        times = []
        for program in programs:
            program.go(2)
            times.append(min(Contender(program).measure(1) for _ in range(3)))
        fastest = programs[times.index(min(times))]
        for program in programs:
            if program is not fastest:
                program.quit()
        return fastest


def is_trivial(name):
    inner = name.replace("(a)*b", "").replace("a*", "").replace("(b)", "")
    return inner in TRIVIAL


def recurrent_cases():
    """The layers of issue 4's targets."""
    return [(f"{cell} {hidden}", ["--cell", cell, "--hidden", str(hidden), "--batch", "16",
                                  "--context", "128"])
            for cell in ("lstm", "gru") for hidden in (256, 512, 1024)]


def ffn_cases():
    return [("swiglu 512-1365-512", ["--unit", "swiglu", "--dim", "512", "--width", "1365",
                                     "--tokens", "2048"])]


SUITES = {
    "units": OpSuite,
    "layer-units": OpSuite,
    "norms": OpSuite,
    "recurrent": lambda options, threads: StepSuite(
        options, threads, "recurrent_bench", "recurrent_bench.py", recurrent_cases(),
        (("--layout", "batch"), ("--layout", "time"))),
    "ffn": lambda options, threads: StepSuite(
        options, threads, "ffn_bench", "ffn_bench.py", ffn_cases()),
}


def microseconds(seconds):
    return f"{seconds['median'] * 1e6:11.1f}"


def line_of(result):
    """One result as a line of the printed table."""
    where = f"{result['op']:22}"
    if "direction" in result:
        where += f" {result['direction']:8} {result['outputs']:9}"
    ratio = result["pytorch_ratio"]
    text = (f"{where} {microseconds(result['sluice_seconds'])} us "
            f"{microseconds(result['pytorch_seconds'])} us  {ratio['median']:6.2f}x "
            f"({ratio['q1']:.2f} to {ratio['q3']:.2f})")
    if "pytorch_net_ratio" in result:
        text += f"  net {result['pytorch_net_ratio']:5.2f}x"
    if "pytorch_avx512_ratio" in result:
        text += f"  avx512 {result['pytorch_avx512_ratio']['median']:5.2f}x"
    if "copy_fraction" in result:
        text += f"  {result['copy_fraction']['median']:5.2f} of copy"
    return text


def run_suite(options, threads):
    """Runs a suite with a number of threads and writes its record."""
    suite = SUITES[options.suite](options, threads)
    about = surroundings()
    begun, working = time.perf_counter(), machine_cpu_seconds()
    idle = os.times()
    print(f"{options.suite}, {threads} thread(s), load average {about['load_average']:.2f}")
    complete = True
    try:
        suite.run()
    except KeyboardInterrupt:  # what was measured is worth keeping
        complete = False
    record = {"suite": options.suite, "threads": threads, **about, "complete": complete,
              **suite.record()}
    record["seconds"] = round(time.perf_counter() - begun, 1)
    ours = sum(program.cpu_seconds() for program in suite.programs())
    children = os.times().children_user - idle.children_user
    children += os.times().children_system - idle.children_system
    others = machine_cpu_seconds() - working - ours - children
    record["other_processes_cpus"] = round(max(0.0, others) / record["seconds"], 3)
    record["load_average_after"] = os.getloadavg()[0]
    for program in suite.programs():
        program.stop()
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    suffix = f"-{options.suffix}" if options.suffix else ""
    path = out / f"{record['date'][:10]}-{options.suite}-{threads}{suffix}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{spelled([str(path)])}: {len(record['results'])} cases in {record['seconds']:.0f} s; "
          f"other processes used {record['other_processes_cpus']:.2f} CPUs meanwhile")
    if not complete:
        sys.exit("interrupted")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--suite", choices=SUITES, default="units")
    parser.add_argument("--all", action="store_true",
                        help="every suite with one and two threads, then docs/benchmarks.md")
    parser.add_argument("--units", help="comma-separated names instead of all of the suite")
    parser.add_argument("--sizes", help=f"outputs, comma-separated ({SIZES}; with one thread, and for "
                        "norms, not the last)")
    parser.add_argument("--directions", default="forward,backward")
    parser.add_argument("--threads", default="1,2", help="comma-separated (1,2)")
    parser.add_argument("--pairs", type=int, default=9, help="measurements of each at most (9)")
    parser.add_argument("--patience", type=float, default=0.5,
                        help="seconds for one case's pairs, of which there are at least 3 (0.5)")
    parser.add_argument("--measure-ms", type=float, default=3.0,
                        help="milliseconds a measurement takes at least, about (3)")
    parser.add_argument("--pause", type=float, default=0.002, help="seconds between two (0.002)")
    parser.add_argument("--quick", action="store_true",
                        help=f"sizes {QUICK_SIZES}, 5 pairs, writes nowhere unless --out")
    parser.add_argument("--ours", help="our program (build/bench/bench/...)")
    parser.add_argument("--suffix", help="added to the names of the records")
    parser.add_argument("--out", help="directory of records (bench/results)")
    options = parser.parse_args()
    if options.quick:
        options.pairs = min(options.pairs, 5)
        options.out = options.out or "/tmp"
        options.sizes = options.sizes or QUICK_SIZES
    options.out = options.out or str(ROOT / "bench/results")
    return options


def main():
    options = parse_options()
    suites = list(SUITES) if options.all else [options.suite]
    for suite in suites:
        options.suite = suite
        for threads in map(int, options.threads.split(",")):
            run_suite(options, threads)
    if options.all:
        subprocess.run([sys.executable, str(ROOT / "bench/make_page.py")], check=True)


if __name__ == "__main__":
    main()
