#!/usr/bin/python3
"""Applies the mutations listed beside this file, one by one: some test must fail of each.

    ./dev mutate                     # all of them
    ./dev mutate trainer kernels     # those whose room, file or id has one of these words
    ./dev mutate --check             # only whether each can still be applied

Works on a copy of the tree in build/mutate, whose build is optimised little and joins no sources, so
that a mutation costs a compilation or two, a link and the tests named in it. Findings are kept
there: a run that was stopped goes on where it was, and what has not changed is not tried again.
`--again` tries everything. Ends with 1 when a mutation survives or can no longer be applied.

A list is a text file per room. Entries are separated by empty lines:

    id: dropout-step              one word, its own in all lists
    file: src/training/loop.cpp
    in: forward_backward          where needed: the mutated lines follow the only line with this text
    - .step = step,               the old lines, unique then, whatever their indentation
    + .step = 0,                  the new ones; none: they are deleted
    test: training_test Golden*   who notices: program, its tests (GoogleTest's filter)
"""

import argparse
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = ROOT / "build/mutate"
PARTS = ("CMakeLists.txt", "bench", "claims", "cli", "cmake", "docs", "examples", "include", "src", "tests")
CAUGHT, SURVIVED, STALE, BROKEN = "caught", "SURVIVED", "STALE", "DOES NOT COMPILE"
# A program that runs longer hangs: it had as long, many times over, without the mutation.
TEST_SECONDS = 300
TIMES_AS_LONG = 20
# Of whole programs of tests, whose usual time is not known.
WHOLE_SECONDS = 3600


@dataclasses.dataclass
class Mutation:
    room: str
    id: str = ""
    file: str = ""
    within: str = ""
    old: list = dataclasses.field(default_factory=list)
    new: list = dataclasses.field(default_factory=list)
    tests: list = dataclasses.field(default_factory=list)

    def matches(self, words):
        return not words or any(word in (self.room, self.id) or word in self.file or
                                word in self.id for word in words)

    def programs(self):
        return list(dict.fromkeys(program for program, _ in self.tests))

    def digest(self):
        return hashlib.sha256(repr(dataclasses.astuple(self)).encode()).hexdigest()


class Stale(Exception):
    """A mutation that can no longer be applied."""


def parse(path):
    """The mutations of one list."""
    found, current = [], None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            current = None
            continue
        if line.startswith("#"):
            continue
        if current is None:
            current = Mutation(path.stem)
            found.append(current)
        key, _, value = line.partition(" ")
        value = value.strip()
        if key == "-":
            current.old.append(value)
        elif key == "+":
            current.new.append(value)
        elif key == "test:":
            program, _, tests = value.partition(" ")
            current.tests.append((program, tests.strip() or "*"))
        elif key in ("id:", "file:", "in:"):
            setattr(current, {"in:": "within"}.get(key, key[:-1]), value)
        else:
            sys.exit(f"{path.name}:{number}: expected 'id:', 'file:', 'in:', '-', '+' or 'test:', "
                     f"got '{line}'")
    for each in found:
        if not (each.id and each.file and each.old and each.tests):
            sys.exit(f"{path.name}: '{each.id or each.file}' lacks its id, file, old lines or test")
    return found


def read_lists():
    every = [each for path in sorted(HERE.glob("*.txt")) for each in parse(path)]
    ids = [each.id for each in every]
    for one in ids:
        if ids.count(one) > 1:
            sys.exit(f"tests/mutations: two mutations have the id '{one}'")
    return every


def places(lines, wanted, start):
    stripped = [line.strip() for line in lines]
    return [at for at in range(start, len(lines) - len(wanted) + 1)
            if stripped[at:at + len(wanted)] == wanted]


def mutated(mutation, content):
    """The file's content with the mutation; throws Stale."""
    lines = content.splitlines(keepends=True)
    start = 0
    if mutation.within:
        contexts = [at for at, line in enumerate(lines) if mutation.within in line]
        if len(contexts) != 1:
            raise Stale(f"'{mutation.within}' stands on {len(contexts)} lines of {mutation.file}")
        start = contexts[0]
    found = places(lines, mutation.old, start)
    if not found or (len(found) > 1 and not mutation.within):
        raise Stale(f"'{mutation.old[0]}' is found {len(found)} times in {mutation.file}")
    at = found[0]
    indent = lines[at][:len(lines[at]) - len(lines[at].lstrip())]
    lines[at:at + len(mutation.old)] = [f"{indent}{line}\n" for line in mutation.new]
    return "".join(lines)


def apply(mutation, root):
    """Writes the mutated file; returns what it held."""
    file = root / mutation.file
    if not file.exists():
        raise Stale(f"there is no {mutation.file}")
    content = file.read_text(encoding="utf-8")
    file.write_text(mutated(mutation, content), encoding="utf-8")
    return content


def sync(tree):
    """Makes `tree` a copy of the parts that are built; what is the same keeps its time. Returns a
    digest of everything in it."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others",
                             "--exclude-standard", "--", *PARTS], capture_output=True, check=True)
    names = sorted(name for name in listed.stdout.decode().split("\0")
                   if name and (ROOT / name).is_file())
    digest = hashlib.sha256()
    for name in names:
        content = (ROOT / name).read_bytes()
        if not name.startswith(("docs/", "bench/", "tests/mutations/")):
            digest.update(name.encode() + b"\0" + content)
        copy = tree / name
        if not copy.exists() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
    kept = set(names)
    for copy in [each for each in tree.rglob("*") if each.is_file()]:
        if str(copy.relative_to(tree)) not in kept:
            copy.unlink()
    return digest.hexdigest()


class Builder:
    """Builds and runs test programs of the copy."""

    def __init__(self, tree):
        self.tree, self.build, self.jobs = tree, WORK / "build", os.environ.get("SLUICE_JOBS", "")
        # Seconds that tests take without a mutation, by program and filter.
        self.usual = {}
        self.environment = {**os.environ, "OMP_WAIT_POLICY": "passive",
                            "CCACHE_BASEDIR": str(WORK), "CCACHE_NOHASHDIR": "1"}

    def configure(self):
        command = ["cmake", "-G", "Ninja", "-S", str(self.tree), "-B", str(self.build),
                   "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=-O1", "-DSLUICE_JOIN_SOURCES=OFF"]
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              env=self.environment)
        if done.returncode != 0:
            sys.exit(f"the copy cannot be configured:\n{done.stdout}{done.stderr}")

    def compile(self, programs):
        """What the compiler said when it failed, else None."""
        command = ["cmake", "--build", str(self.build), "-j", self.jobs or str(os.cpu_count()),
                   "--target", *programs]
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              env=self.environment)
        return None if done.returncode == 0 else done.stdout + done.stderr

    def failure(self, program, tests):
        """The first test that fails, or how the program ended; None when all pass."""
        found = list((self.build / "tests").rglob(program))
        file = next(each for each in found if each.is_file() and os.access(each, os.X_OK))
        command = [str(file), f"--gtest_filter={tests}", "--gtest_brief=1", "--gtest_fail_fast"]
        limit = WHOLE_SECONDS
        if (program, tests) in self.usual:
            limit = max(TEST_SECONDS, TIMES_AS_LONG * self.usual[program, tests])
        begun = time.monotonic()
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False,
                                  errors="replace", timeout=limit, env=self.environment,
                                  cwd=self.build, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return f"{program} ran longer than {limit:.0f} s"
        self.usual.setdefault((program, tests), time.monotonic() - begun)
        if done.returncode == 0:
            if re.search(r"^\[==========\] 0 tests", done.stdout, re.MULTILINE):
                return f"NO TEST: {program} has none named {tests}"
            return None
        failed = re.search(r"^\[  FAILED  \] ([\w./]+)", done.stdout, re.MULTILINE)
        return failed.group(1) if failed else f"{program} ended with {done.returncode}"


def try_mutation(builder, mutation):
    """(verdict, what noticed it or went wrong)"""
    try:
        original = apply(mutation, builder.tree)
    except Stale as error:
        return STALE, str(error)
    try:
        if error := builder.compile(mutation.programs()):
            lines = [line for line in error.splitlines() if "error" in line]
            return BROKEN, lines[0] if lines else error[-300:]
        for program, tests in mutation.tests:
            if failed := builder.failure(program, tests):
                return CAUGHT, failed
        # Others than those named may notice it.
        for program in mutation.programs():
            if failed := builder.failure(program, "*"):
                return CAUGHT, f"{failed} (not by the tests named)"
        return SURVIVED, "every test passes"
    finally:
        (builder.tree / mutation.file).write_text(original, encoding="utf-8")


def check_tests_pass(builder, mutations):
    """Without mutations the tests named must pass: else they would notice everything."""
    programs = sorted({program for each in mutations for program in each.programs()})
    print(f"building {', '.join(programs)}", flush=True)
    if error := builder.compile(programs):
        sys.exit(f"the copy does not compile:\n{error[-3000:]}")
    for program in programs:
        filters = {tests for each in mutations for name, tests in each.tests if name == program}
        for tests in sorted(filters):
            if failed := builder.failure(program, tests):
                sys.exit(f"without any mutation: {failed}")


def check(mutations):
    """Says which mutations can no longer be applied; how many."""
    stale = 0
    for mutation in mutations:
        try:
            mutated(mutation, (ROOT / mutation.file).read_text(encoding="utf-8"))
        except (Stale, FileNotFoundError) as error:
            stale += 1
            print(f"{mutation.room}.txt: {mutation.id}: {error}")
    print(f"{len(mutations)} mutations, {stale} of them stale")
    return stale


class Findings:
    """What earlier runs found, by mutation and state of the tree."""

    def __init__(self, file, tree):
        self.file, self.tree = file, tree
        self.known = json.loads(file.read_text()) if file.exists() else {}

    def get(self, mutation):
        return self.known.get(f"{mutation.digest()} {self.tree}")

    def put(self, mutation, finding):
        self.known[f"{mutation.digest()} {self.tree}"] = finding
        written = self.file.with_suffix(".new")
        written.write_text(json.dumps(self.known))
        written.replace(self.file)


def try_all(mutations, again):
    """{verdict: how many}"""
    tree = WORK / "tree"
    tree.mkdir(parents=True, exist_ok=True)
    findings = Findings(WORK / "findings.json", sync(tree))
    builder = Builder(tree)
    to_try = [each for each in mutations if again or not findings.get(each)]
    if to_try:
        builder.configure()
        check_tests_pass(builder, to_try)
    counts = {}
    for mutation in mutations:
        kept = None if again else findings.get(mutation)
        start = time.monotonic()
        verdict, detail = kept or try_mutation(builder, mutation)
        findings.put(mutation, (verdict, detail))
        counts[verdict] = counts.get(verdict, 0) + 1
        spent = "   kept" if kept else f"{time.monotonic() - start:5.0f} s"
        print(f"{spent}  {verdict:9} {mutation.room}/{mutation.id}: {detail}", flush=True)
    return counts


def main():
    parser = argparse.ArgumentParser(prog="./dev mutate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="a room, or part of a file or an id")
    parser.add_argument("--check", action="store_true", help="only look which are stale")
    parser.add_argument("--again", action="store_true", help="also those already tried")
    parser.add_argument("--list", action="store_true", help="name them")
    options = parser.parse_args()
    mutations = [each for each in read_lists() if each.matches(options.words)]
    if not mutations:
        sys.exit("no mutation has that in its room, file or id; see ./dev mutate --list")
    if options.list:
        for each in mutations:
            print(f"{each.room}/{each.id}  {each.file}")
        return 0
    if options.check:
        return int(check(mutations) > 0)
    start = time.monotonic()
    counts = try_all(mutations, options.again)
    print(f"{len(mutations)} mutations in {(time.monotonic() - start) / 60:.1f} min: " +
          ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return int(set(counts) != {CAUGHT})


if __name__ == "__main__":
    sys.exit(main())
