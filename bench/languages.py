#!/usr/bin/python3
"""What default settings make of texts in many languages, and of what is no language.

    apt-get install debian-handbook manpages-zh manpages-ja iso-codes gettext unicode-data
    bench/languages.py --make texts --texts texts --out runs --jobs 2

--make writes texts/NAME.txt, about 2 MB each. Each text is learnt twice in the same passes over it
(--epochs), by a model of the same shape (--layers): with subwords and with characters. Printed are
the vocabularies, the bits that each character of the held-out end costs, the processor time of both,
which of the two default settings choose, and the measure that they go by, where it was taken. What is
in the directory of runs is not trained again, so that what was stopped goes on.
"""

import argparse
import concurrent.futures
import glob
import gzip
import html
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
BYTES = 2_000_000


def run(command):
    """What a command prints, and the seconds of processor time that it took."""
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True,
                          errors="replace") as process:
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}")
    return printed, usage.ru_utime + usage.ru_stime


def handbook(language):
    """The Debian Administrator's Handbook as lines of text."""
    files = sorted(glob.glob(f"/usr/share/doc/debian-handbook/html/{language}/*.html"))
    if not files:
        sys.exit(f"debian-handbook in {language} is missing: apt-get install debian-handbook")
    for file in files:
        text = pathlib.Path(file).read_text(encoding="utf-8", errors="replace")
        for part in re.findall(r'<div class="para">.*?</div>|<dd.*?</dd>|<h\d.*?</h\d>', text, re.S):
            yield " ".join(html.unescape(re.sub(r"<[^>]*>", "", part)).split())


def manuals(language):
    """Manual pages without their markup."""
    for file in sorted(glob.glob(f"/usr/share/man/{language}/man*/*.gz")):
        for line in gzip.decompress(pathlib.Path(file).read_bytes()).decode(
                errors="replace").splitlines():
            if not line.startswith(("'", ".\\")):
                yield re.sub(r"\\f.|\\|^\.\w+ ", "", line).strip()


def messages(language):
    """What programs of this machine say in a language."""
    for file in sorted(glob.glob(f"/usr/share/locale/{language}/LC_MESSAGES/*.mo")):
        text, _ = run(["msgunfmt", "--no-wrap", file])
        for line in re.findall(r'^(?:msgstr(?:\[\d\])? )?"(.+)"$', text, re.M):
            yield line.replace("\\n", "").replace('\\"', '"').strip()


def written_in(letters, *sources):
    """Lines, each once, of whose characters a third are `letters`."""
    lines = dict.fromkeys(line for source in sources for line in source)
    return "\n".join(line for line in lines
                     if len(line) > 4 and len(re.findall(letters, line)) * 3 > len(line)) + "\n"


def thai():
    """Thai names of the world's languages and countries, in sentences of several."""
    names = []
    for file in sorted(glob.glob("/usr/share/locale/th/LC_MESSAGES/iso_*.mo")):
        names += re.findall(r'^msgstr "(.+)"$', run(["msgunfmt", file])[0], re.M)
    draw = random.Random(1)
    return "".join("".join(draw.sample(names, draw.randint(3, 8))) + "\n" for _ in range(12_000))


def emoji():
    """Moods that go on for a while, with a word now and then."""
    groups, group = [], []
    for line in pathlib.Path("/usr/share/unicode/emoji/emoji-test.txt").read_text().splitlines():
        if line.startswith("# subgroup"):
            group = []
            groups.append(group)
        elif "; fully-qualified" in line:
            group.append("".join(chr(int(code, 16)) for code in line.split(";")[0].split()))
    groups = [group for group in groups if len(group) >= 4][:40]
    draw, text = random.Random(2), []
    for _ in range(80_000):
        favourites = draw.choice(groups)[:4]
        text.append("".join(draw.choices(favourites, [4, 3, 2, 1], k=draw.randint(2, 9)))
                    + draw.choice(["", " ok", " so good", " no"]))
    return "\n".join(text) + "\n"


def dna():
    """Genes of a Markov chain of order 3, repeated with mutations."""
    draw = random.Random(3)
    likely = {}

    def gene():
        bases = draw.choices("ACGT", k=3)
        while len(bases) < 600:
            order = likely.setdefault("".join(bases[-3:]), draw.sample("ACGT", 4))
            bases += draw.choices(order, [8, 3, 2, 1])
        return bases

    genes = [gene() for _ in range(60)]
    text = []
    for _ in range(3400):
        bases = list(draw.choice(genes))
        for _ in range(12):
            bases[draw.randrange(len(bases))] = draw.choice("ACGT")
        text.append("".join(bases))
    return "\n".join(text) + "\n"


def source():
    """The headers of the C++ library."""
    files = sorted(glob.glob("/usr/include/c++/*/bits/*.h"))
    return "".join(pathlib.Path(file).read_text(errors="replace") for file in files)


def logs():
    """Lines of a system's log."""
    draw, text, second = random.Random(4), [], 0
    for _ in range(28_000):
        second += draw.randrange(40)
        clock = f"{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}"
        host = f"web{draw.randrange(4)}"
        text.append(draw.choice([
            f"{clock} {host} sshd[{draw.randrange(900, 999)}]: Accepted publickey for deploy from "
            f"10.0.{draw.randrange(4)}.{draw.randrange(256)} port {draw.randrange(30000, 60000)}",
            f"{clock} {host} nginx: GET /items/{draw.randrange(500)} 200 {draw.randrange(90, 4000)}",
            f"{clock} {host} kernel: eth0: link up, {draw.choice([100, 1000])} Mbps, full duplex",
            f"{clock} {host} cron[{draw.randrange(1000, 9999)}]: (root) CMD (run-parts /etc/cron.hourly)"]))
    return "\n".join(text) + "\n"


HAN, KANA, ARABIC = "[\u4e00-\u9fff]", "[\u3040-\u30ff\u4e00-\u9fff]", "[\u0600-\u06ff]"
TEXTS = {
    "Chinese": lambda: written_in(HAN, handbook("zh-CN"), manuals("zh_CN"), messages("zh_CN")),
    "Japanese": lambda: written_in(KANA, handbook("ja-JP"), manuals("ja"), messages("ja")),
    "Thai": thai,
    "Arabic": lambda: written_in(ARABIC, handbook("ar-MA"), handbook("fa-IR"), messages("ar"),
                                 messages("fa")),
    "emoji": emoji, "DNA": dna, "source code": source, "logs": logs}


def make(directory):
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in TEXTS.items():
        data = text().encode()[:BYTES].decode(errors="ignore")
        (directory / f"{name}.txt").write_text(data, encoding="utf-8")
        print(f"{name}: {len(data.encode()):,} bytes, {data.count(chr(10)):,} lines", flush=True)


def chosen(options, text):
    """The kind of tokenizer that default settings choose for a text, and what its subwords cost
    over its characters."""
    with tempfile.TemporaryDirectory() as out:
        printed, _ = run([options.sluice, "tokenizer", "train", "--data", text, "--out", out + "/made"])
    costs = re.search(r"costs ([0-9.]+) bits in subwords, ([0-9.]+) after", printed)
    ratio = f"{float(costs[1]) / float(costs[2]):.2f}" if costs else ""
    return f"{printed.splitlines()[-1].split()[0]} | {ratio}"


def learn(options, text, tokenizer):
    """What a tokenizer makes of a text; kept beside the run."""
    out = options.out / f"{text.stem}-{tokenizer}"
    record = out.with_suffix(".json")
    if record.exists():
        return json.loads(record.read_text())
    _, seconds = run([options.sluice, "train", "--data", text, "--out", out, "--tokenizer",
                      tokenizer, "--layers", options.layers, "--epochs", options.epochs,
                      "--threads", options.threads, "--resume-if-possible"])
    info = json.loads(run([options.sluice, "info", out, "--json"])[0])
    data = text.read_bytes()
    held = out.with_suffix(".held-out.txt")
    held.write_bytes(data[data.find(b"\n", int(len(data) * 0.95)) + 1:])
    result = json.loads(run([options.sluice, "eval", out, held, "--json"])[0])
    found = {"vocabulary": info["model"]["vocabulary"], "bits": result["bits_per_character"],
             "seconds": seconds}
    record.write_text(json.dumps(found))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--make", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--texts", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("languages"),
                        metavar="DIR", help="of the runs (default languages)")
    parser.add_argument("--layers", default="[(128,4)]*4")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sluice", default=str(HERE.parent / "build/release/cli/sluice"))
    options = parser.parse_args()
    if options.make:
        make(options.make)
    if not options.texts:
        return
    options.out.mkdir(parents=True, exist_ok=True)
    texts = sorted(options.texts.glob("*.txt"))
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = [(text, pool.submit(learn, options, text, "bpe"),
                 pool.submit(learn, options, text, "char")) for text in texts]
        print("| text | characters | bpe: tokens | bits per character | CPU s | char: tokens | bits | "
              "CPU s | default | subwords over characters |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for text, *both in jobs:
            columns = " | ".join(
                f"{found['vocabulary']:,} | {found['bits']:.3f} | {found['seconds']:.0f}"
                for found in (job.result() for job in both))
            print(f"| {text.stem} | {len(text.read_text()):,} | {columns} | "
                  f"{chosen(options, text)} |", flush=True)


if __name__ == "__main__":
    main()
