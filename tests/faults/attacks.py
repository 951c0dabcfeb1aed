#!/usr/bin/python3
"""Files, flags and descriptors that somebody means harm with, against every command.

    tests/faults/attacks.py build/release/cli/sluice                     # some of each kind: a minute
    tests/faults/attacks.py build/release/cli/sluice --cases 3600        # of each kind
    tests/faults/attacks.py build/release/cli/sluice --kind models --from 17 --cases 1 --show

Kinds: `usual` runs every command as it is meant; `models` mutates a file of a model's directory (trained, quantised, with labels, of every architecture and
tokenizer) and has every command that reads it read it; `files` does so with texts, lists of hypotheses, n-grams,
tokenizers, word vectors, checkpoints of other programs, claims and settings; `reports` with results, inspections and
claims; `resumes` with what a run needs to go on; `flags` gives every option of every command values beyond its
range; `descriptors` runs every command with closed and full ones; `links` plants links and pipes where a command is
going to write; `endless` names devices and files without end.

However a command is treated: it ends by itself, with status 0, 1 or 2; says at most three lines and 500 characters,
no control characters, nothing of a library's and nothing internal; when it refuses, it takes at most 64 MB more than
when it does not; a model with a damaged file is refused or says what the whole one said; no file is written through
a link. Case N of a kind is always the same. Ends with 1 when anything was found; what was found stays in --keep."""

import argparse
import marshal
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import attack_mutations as mutations  # noqa: E402
import attack_subjects as subjects  # noqa: E402

MEMORY = 64 << 10  # KB
TIMES = re.compile(rb'"(seconds|tokens_per_second|check)":("[0-9a-f]+"|[-+0-9.e]+)|[0-9.,]+ (s|seconds|tokens/s)\b')
INTERNAL = re.compile(rb"internal error|\[json|std::|basic_string|terminate called|what\(\)|vector::|stoi|stod|boost|CLI::"
                      rb"|==\d+==ERROR|runtime error:|AddressSanitizer")


class Outcome:
    def __init__(self, status, out, err, memory, ended):
        self.status, self.out, self.err, self.memory, self.ended = status, out, err, memory, ended


class Spawner:
    """A small process that starts the program: a child of this one would count this one's memory as its own."""

    def __init__(self):
        self.wire, theirs = socket.socketpair()
        os.set_inheritable(theirs.fileno(), True)
        code = os.path.join(os.path.dirname(os.path.abspath(__file__)), "spawner.py")
        self.process = subprocess.Popen([sys.executable, "-I", "-S", code, str(theirs.fileno())],
                                        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()

    def run(self, arguments, environment, directory, closed, seconds, files):
        """The status as of wait4, kilobytes at most, whether it ended by itself."""
        request = marshal.dumps((arguments, environment, directory, list(closed), seconds))
        socket.send_fds(self.wire, [len(request).to_bytes(8, "little")], [file.fileno() for file in files])
        self.wire.sendall(request)
        answer = self.wire.recv(1 << 10)
        if not answer:
            sys.exit("the process that starts others has ended")
        return marshal.loads(answer)


class Attack:
    """What is attacked, and what was found."""

    def __init__(self, options, scratch):
        self.program = os.path.abspath(options.program)
        self.options = options
        self.scratch = scratch
        self.spawner = Spawner()
        self.found, self.commands, self.refused = 0, 0, 0
        self.known = {}

    def run(self, arguments, closed=(), out=None, err=None, stdin=b"", seconds=None):
        """Runs a command; a file that it prints into, or a part of it, may be given."""
        self.commands += 1
        with tempfile.TemporaryFile(dir=self.scratch) as said, tempfile.TemporaryFile(dir=self.scratch) as told, \
                tempfile.TemporaryFile(dir=self.scratch) as given:
            given.write(stdin)
            given.seek(0)
            full = [open(name, "wb") if name else None for name in (out, err)]
            status, memory, ended = self.spawner.run(
                [self.program, *arguments], {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": self.scratch}, self.scratch,
                closed, seconds or self.options.seconds, (given, full[0] or said, full[1] or told))
            for file in full:
                if file:
                    file.close()
            said.seek(0)
            told.seek(0)
            code = os.waitstatus_to_exitcode(status)
            return Outcome(code if code >= 0 else 128 - code, said.read(1 << 24), told.read(1 << 20), memory, ended)

    def good(self, arguments):
        """Runs a command that is to succeed."""
        outcome = self.run([str(a) for a in arguments], seconds=1800)
        if outcome.status != 0:
            sys.exit(f"cannot prepare: sluice {' '.join(map(str, arguments))}: {outcome.err.decode(errors='replace')}")
        return outcome

    def faults(self, outcome, command, messages=True):
        """What is wrong with how a command ended, as a list of sentences."""
        wrong = []
        if not outcome.ended:
            wrong.append("does not end")
        elif outcome.status not in (0, 1, 2):
            wrong.append(f"status {outcome.status}")
        if outcome.status != 0:
            self.refused += 1
        err = outcome.err
        if outcome.status in (1, 2) and messages:
            last = [line for line in err.splitlines() if line.startswith(b"sluice")]
            if not last:
                wrong.append("says nothing")
            if err.count(b"\n") > 3 or len(err) > 500:
                wrong.append(f"says {err.count(10)} lines, {len(err)} bytes")
            if INTERNAL.search(err):
                wrong.append("says something internal")
            if re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", err):
                wrong.append("says control characters")
            usual = self.known.get(command)
            if usual and outcome.memory > usual + MEMORY:
                wrong.append(f"takes {outcome.memory >> 10} MB to refuse, {usual >> 10} MB usually")
        elif INTERNAL.search(err) and b"sluice" in err:
            wrong.append("says something internal")
        return wrong

    def report(self, name, arguments, wrong, outcome, keep=()):
        self.found += 1
        print(f"{name}: {'; '.join(wrong)}: sluice {' '.join(a if len(a) < 60 else a[:50] + '...' for a in arguments)!r}\n"
              f"    {outcome.err[-300:]!r}", flush=True)
        if self.options.keep:
            place = os.path.join(self.options.keep, re.sub(r"[^\w-]", "-", name))
            for path in keep:
                os.makedirs(place, exist_ok=True)
                copy = os.path.join(place, os.path.basename(path))
                if os.path.isdir(path):
                    shutil.rmtree(copy, ignore_errors=True)
                    shutil.copytree(path, copy, symlinks=True)
                elif os.path.isfile(path):
                    shutil.copy(path, copy)

    def cases(self, kind):
        for number in range(self.options.first, self.options.first + self.options.cases):
            self.number = number
            yield number, random.Random(f"{self.options.seed} {kind} {number}")

    # ---- kinds ----

    def usual(self):
        """Every command as it is meant: each is to succeed."""
        out = os.path.join(self.scratch, "out")
        commands = [[a.format(here=self.scratch, out=out) for a in base] for base in subjects.COMMANDS]
        commands += [[a.format(here=self.scratch, out=out, file=os.path.join(self.scratch, subject.file)) for a in template]
                     for subject in subjects.FILES for template in subject.commands]
        for model in subjects.MODELS:
            commands += model.commands(self.scratch, model.directory(self.scratch))
        for arguments in commands:
            self.clean_out()
            outcome = self.run(arguments)
            if outcome.status != 0:
                self.report("usual", arguments, [f"status {outcome.status}"], outcome)

    def models(self):
        known = {}
        for number, rng in self.cases("models"):
            model = subjects.MODELS[number % len(subjects.MODELS)]
            directory = self.fresh(model.directory(self.scratch))
            names = sorted(n for n in os.listdir(directory) if os.path.isfile(os.path.join(directory, n)) and n != ".lock")
            name = names[number // len(subjects.MODELS) % len(names)]
            path = os.path.join(directory, name)
            said, faithful = mutations.mutate_file(rng, path, os.path.join(self.scratch, "precious"))
            commands = model.commands(self.scratch, directory)
            for arguments in rng.sample(commands, min(len(commands), 4)):
                key = (model.name, *arguments)
                if key not in known:
                    whole = [a.replace(directory, model.directory(self.scratch)) for a in arguments]
                    usual = self.run(whole)
                    known[key] = usual.out
                    self.known[key] = usual.memory
                outcome = self.run(arguments)
                wrong = self.faults(outcome, key)
                # Of what damages the bytes; what means something else may say something else.
                same = TIMES.sub(b"", outcome.out) == TIMES.sub(b"", known[key])
                if outcome.status == 0 and faithful and model.fingerprints(name, arguments) and not same:
                    wrong.append("another result")
                if wrong:
                    self.report(f"models {number}", arguments, wrong + [f"{model.name}/{name}: {said}"], outcome, [directory])
            shutil.rmtree(directory)

    def files(self):
        for number, rng in self.cases("files"):
            subject = subjects.FILES[number % len(subjects.FILES)]
            path = os.path.join(self.scratch, "mutated-" + subject.file)
            shutil.copy(os.path.join(self.scratch, subject.file), path)
            said, _ = mutations.mutate_file(rng, path, os.path.join(self.scratch, "precious"))
            for template in subject.commands:
                arguments = [a.format(file=path, out=os.path.join(self.scratch, "out"), here=self.scratch) for a in template]
                key = (subject.file, *template)
                if key not in self.known:
                    self.clean_out()
                    whole = [a.replace(path, os.path.join(self.scratch, subject.file)) for a in arguments]
                    self.known[key] = self.run(whole).memory
                self.clean_out()
                outcome = self.run(arguments)
                wrong = self.faults(outcome, key, messages=not subject.many)
                if said == "a pipe" and not outcome.ended:  # a text may come through one
                    wrong = []
                if outcome.status in (1, 2) and subject.many and INTERNAL.search(outcome.err):
                    wrong.append("says something internal")
                if outcome.status != 0 and os.path.exists(os.path.join(self.scratch, "out.txt")):
                    wrong.append("leaves a file")
                if wrong:
                    self.report(f"files {number}", arguments, wrong + [f"{subject.file}: {said}"], outcome, [path])
            self.remove(path)

    def reports(self):
        for number, rng in self.cases("reports"):
            name = subjects.REPORTS[number % len(subjects.REPORTS)]
            directory = self.fresh(os.path.join(self.scratch, name), small=True)
            names = [n for n in ("results.json", "inspect.json", "claims.json", "surprisal.csv")
                     if os.path.isfile(os.path.join(directory, n))]
            path = os.path.join(directory, rng.choice(names))
            said, _ = mutations.mutate_file(rng, path, os.path.join(self.scratch, "precious"))
            arguments = ["report", directory]
            self.known.setdefault("report", self.run(["report", os.path.join(self.scratch, name)]).memory)
            outcome = self.run(arguments)
            wrong = self.faults(outcome, "report")
            page = os.path.join(directory, "report.html")
            if os.path.isfile(page) and b"<script>attack" in open(page, "rb").read():
                wrong.append("text became markup")
            wrong += self.strays()
            if wrong:
                self.report(f"reports {number}", arguments, wrong + [said], outcome, [directory])
            shutil.rmtree(directory)

    def resumes(self):
        for number, rng in self.cases("resumes"):
            name = subjects.RUNS[number % len(subjects.RUNS)]
            directory = self.fresh(os.path.join(self.scratch, name))
            names = sorted(os.path.relpath(os.path.join(where, n), directory)
                           for where, _, files in os.walk(directory) for n in files)
            name = names[number // len(subjects.RUNS) % len(names)]
            said, _ = mutations.mutate_file(rng, os.path.join(directory, name), os.path.join(self.scratch, "precious"))
            arguments = ["train", "--resume", "--out", directory, "--steps", "8", "--threads", "1"]
            self.known.setdefault("resume", self.run([*arguments[:3], self.fresh(os.path.join(self.scratch, subjects.RUNS[0]), as_="warm"),
                                                      *arguments[4:]]).memory)
            outcome = self.run(arguments)
            wrong = self.faults(outcome, "resume")
            if outcome.status == 0:
                then = self.run(["info", directory])
                if then.status != 0:
                    wrong.append("the model that it saved is refused: " + then.err.decode(errors="replace"))
            wrong += self.strays()
            if wrong:
                self.report(f"resumes {number}", arguments, wrong + [f"{name}: {said}"], outcome, [directory])
            shutil.rmtree(directory)

    def flags(self):
        for number, rng in self.cases("flags"):
            base = rng.choice(subjects.COMMANDS)
            arguments = [a.format(here=self.scratch, out=os.path.join(self.scratch, "out")) for a in base]
            options = self.options_of(base[0])
            for _ in range(rng.choice((1, 1, 1, 2, 3)) if options else 0):
                flag, takes = rng.choice(options)
                arguments += [flag] + ([mutations.odd_value(rng)] if takes else [])
            self.clean_out()
            outcome = self.run(arguments)
            wrong = self.faults(outcome, None)
            if wrong == ["does not end"]:  # as it was asked to
                wrong = [] if base[0] in ("train", "compare", "generate", "claims", "serve", "tasks") else wrong
            wrong += self.strays()
            if wrong:
                self.report(f"flags {number}", arguments, wrong, outcome)

    def options_of(self, command):
        if command not in self.known:
            text = self.run([command, "--help"]).out.decode()
            found = re.findall(r"^  (?:-\w,)?(--[\w-]+)( [A-Z\[][^ ]*)?", text, re.M)
            self.known[command] = [(flag, bool(takes)) for flag, takes in found if flag not in ("--help", "--out", "--data")]
        return self.known[command]

    def descriptors(self):
        ways = [((0,), None, None), ((1,), None, None), ((2,), None, None), ((0, 1, 2), None, None), ((1, 2), None, None),
                ((), "/dev/full", None), ((), None, "/dev/full"), ((), "/dev/full", "/dev/full"), ((0,), "/dev/full", None)]
        for number, _ in self.cases("descriptors"):
            if number >= len(ways) * len(subjects.COMMANDS):
                break
            closed, out, err = ways[number % len(ways)]
            arguments = [a.format(here=self.scratch, out=os.path.join(self.scratch, "out"))
                         for a in subjects.COMMANDS[number // len(ways)]]
            self.clean_out()
            outcome = self.run(arguments, closed=closed, out=out, err=err)
            wrong = self.faults(outcome, None, messages=not err and 2 not in closed)
            if (err or 2 in closed) and not out and 1 not in closed and 0 not in closed and outcome.status != 0:
                wrong.append(f"status {outcome.status} for what could not be said")
            wrong += self.strays()
            if wrong:
                self.report(f"descriptors {number}", arguments, wrong, outcome)

    def links(self):
        precious = os.path.join(self.scratch, "precious")
        for number, rng in self.cases("links"):
            base = subjects.WRITERS[number % len(subjects.WRITERS)]
            out = os.path.join(self.scratch, "out")
            arguments = [a.format(here=self.scratch, out=out) for a in base]
            self.clean_out()
            if base not in self.known:
                self.run(arguments)
                self.known[base] = sorted(os.path.relpath(os.path.join(where, n), self.scratch)
                                          for where, directories, names in os.walk(self.scratch)
                                          for n in names + directories
                                          if os.path.relpath(where, self.scratch).split("/")[0].startswith("out")
                                          or n.startswith("out"))
            if not self.known[base]:
                continue
            name = rng.choice(self.known[base])
            if rng.random() < 0.5:  # beside what is there
                pass
            else:
                self.clean_out()
            place = os.path.join(self.scratch, name)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            self.remove(place)
            way = rng.choice(("link", "dangling", "pipe", "directory link", "socket"))
            if way == "link":
                os.symlink(precious, place)
            elif way == "dangling":
                os.symlink(os.path.join(self.scratch, "nowhere"), place)
            elif way == "pipe":
                os.mkfifo(place)
            elif way == "directory link":
                os.symlink(os.path.join(self.scratch, "elsewhere"), place)
            else:
                os.mknod(place, 0o600 | 0o140000)
            outcome = self.run(arguments)
            wrong = self.faults(outcome, None)
            # A directory may be elsewhere, when its owner has it so.
            allowed = way == "directory link" and name in ("out", "out/cache")
            wrong += [] if allowed else self.strays()
            if os.path.exists(os.path.join(self.scratch, "nowhere")):
                wrong.append("wrote through a dangling link")
                self.remove(os.path.join(self.scratch, "nowhere"))
            if wrong:
                self.report(f"links {number}", arguments, wrong + [f"{way} at {name}"], outcome)
            self.reset_elsewhere()

    def endless(self):
        scratch = self.scratch
        with open(os.path.join(scratch, "sparse"), "wb") as file:
            file.truncate(3 << 30)
        with open(os.path.join(scratch, "line"), "wb") as file:
            for _ in range(400):
                file.write(b"a" * (1 << 20))
        os.path.exists(os.path.join(scratch, "pipe")) or os.mkfifo(os.path.join(scratch, "pipe"))
        os.path.lexists(os.path.join(scratch, "loop")) or os.symlink("loop", os.path.join(scratch, "loop"))
        names = ["/dev/zero", "/dev/full", "/dev/urandom", f"{scratch}/sparse", f"{scratch}/line", f"{scratch}/loop", scratch,
                 "/proc/self/mem", "/proc/self/pagemap", "/dev/tty", "/proc/kmsg", "", "nul\tl"]
        readers = [(subject, template) for subject in subjects.FILES for template in subject.commands]
        for number, _ in self.cases("endless"):
            if number >= len(names) * len(readers):
                break
            subject, template = readers[number // len(names)]
            name = names[number % len(names)]
            out = os.path.join(scratch, "out")
            arguments = [a.format(file=name, out=out, here=scratch) for a in template]
            self.clean_out()
            whole = [a.format(file=os.path.join(scratch, subject.file), out=out, here=scratch) for a in template]
            key = ("endless", *whole)
            if key not in self.known:
                self.known[key] = self.run(whole).memory
                self.clean_out()
            outcome = self.run(arguments)
            wrong = self.faults(outcome, key)
            if wrong:
                self.report(f"endless {number}", arguments, wrong, outcome)
        self.remove(os.path.join(scratch, "sparse"))
        self.remove(os.path.join(scratch, "line"))

    # ---- the place ----

    def prepare(self):
        subjects.prepare(self.scratch, self.good)
        with open(os.path.join(self.scratch, "precious"), "w") as file:
            file.write("precious")
        self.reset_elsewhere()

    def reset_elsewhere(self):
        shutil.rmtree(os.path.join(self.scratch, "elsewhere"), ignore_errors=True)
        os.mkdir(os.path.join(self.scratch, "elsewhere"))
        for name in ("mine.csv", "config.json", "model.safetensors", "report.html"):
            with open(os.path.join(self.scratch, "elsewhere", name), "w") as file:
                file.write("mine")

    def strays(self):
        """What was written where nothing should be."""
        wrong = []
        with open(os.path.join(self.scratch, "precious"), "r+") as file:
            if file.read() != "precious":
                wrong.append("wrote through a link")
        elsewhere = os.path.join(self.scratch, "elsewhere")
        names = sorted(os.listdir(elsewhere)) if os.path.isdir(elsewhere) else []
        if names != ["config.json", "mine.csv", "model.safetensors", "report.html"] or any(
                open(os.path.join(elsewhere, name)).read() != "mine" for name in names):
            wrong.append("wrote into or removed from a directory behind a link")
        if wrong:
            with open(os.path.join(self.scratch, "precious"), "w") as file:
                file.write("precious")
            self.reset_elsewhere()
        return wrong

    def fresh(self, directory, small=False, as_="mutated"):
        copy = os.path.join(self.scratch, as_)
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("runs", "report") if small else None)
        return copy

    def remove(self, path):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        elif os.path.lexists(path):
            os.remove(path)

    def clean_out(self):
        for name in os.listdir(self.scratch):
            if name.startswith("out"):
                self.remove(os.path.join(self.scratch, name))


KINDS = ("usual", "models", "files", "reports", "resumes", "flags", "descriptors", "links", "endless")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--cases", type=int, default=30, help="of each kind (default 30)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="number of the first case")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--seconds", type=float, default=1800, help="that a command may take")
    parser.add_argument("--keep", help="directory for what was found")
    options = parser.parse_args()
    # Told to end, it says how far it came.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"ended in case {attack.number}: {attack.commands} commands, "
                                                      f"{attack.refused} refused, {attack.found} findings"))
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 30, 3 << 30))
    found = 0
    with tempfile.TemporaryDirectory(prefix="sluice-attacks-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as scratch:
        attack = Attack(options, os.path.realpath(scratch))
        attack.prepare()
        for kind in options.kind or KINDS:
            attack.found = attack.commands = attack.refused = 0
            getattr(attack, kind)()
            found += attack.found
            print(f"{kind}: {attack.commands} commands, {attack.refused} refused, {attack.found} findings", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
