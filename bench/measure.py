"""What the comparisons share: contenders that stay loaded, quartiles, and what a record says of the
machine."""

import datetime
import json
import os
import pathlib
import platform
import re
import shlex
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")


class Program:
    """One contender: a process that answers each line, such as "go STEPS", with a line of JSON."""

    def __init__(self, name, command, environment):
        self.name, self.command = name, command
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env={**os.environ, **environment},
                                        start_new_session=True)  # Ctrl-C is the driver's
        self.replies = []

    def ask(self, line):
        """Sends a line; returns the answer, one line of JSON."""
        try:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            sys.exit(f"{self.name} ended without an answer: {shlex.join(self.command)}")
        return json.loads(answer)

    def go(self, steps):
        return self.ask(f"go {steps}")

    def peak_rss(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def quit(self):
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        self.process.wait(timeout=30)

    def stop(self):
        """Ends it whatever it is doing."""
        self.process.kill()
        self.process.wait()


def machine_cpu_seconds():
    """CPU time the whole machine has spent working, stolen time included."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def git(*arguments):
    result = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True,
                            check=False)
    return result.stdout.strip()


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as cpus:
        return next((line.split(":", 1)[1].strip() for line in cpus
                     if line.startswith("model name")), platform.machine())


def quartiles(values):
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"q1": low, "median": middle, "q3": high}


def environment_of(settings):
    return dict(setting.split("=", 1) for setting in settings)


def spelled(command):
    """A command line as it is typed in the repository's root."""
    return shlex.join(command).replace(f"{ROOT}/", "")


def surroundings():
    """What a record says of the code and the machine."""
    return {"command": spelled(sys.argv), "commit": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--", ".", ":!bench/results",
                              ":!docs/benchmarks*")),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "cpu": cpu_model(), "cpus": os.cpu_count(), "kernel": platform.release(),
            "load_average": os.getloadavg()[0]}


def newest_records():
    """The newest record of each name, by name without date."""
    records = {}
    for path in sorted((ROOT / "bench/results").glob("*.json")):
        name = re.sub(r"^\d{4}-\d\d-\d\d-", "", path.stem)
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("results") != []:
            records[name] = {"file": path.name, **record}
    return records
