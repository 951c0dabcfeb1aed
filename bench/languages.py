#!/usr/bin/python3
"""What default settings make of texts in many languages, and of what is no language.

    apt-get install debian-handbook iso-codes gettext unicode-data
    bench/languages.py --make texts          # writes texts/NAME.txt, about 1 MB each
    bench/languages.py --texts texts --minutes 2 --jobs 2

Each text is learnt twice in the same time: by default settings, and with the char tokenizer. Printed
are the vocabulary that was chosen and the bits that each character of the held-out end costs.
"""

import argparse
import concurrent.futures
import glob
import html
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
BYTES = 1_000_000


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return done.stdout


def handbook(language):
    """The Debian Administrator's Handbook as lines of text."""
    files = sorted(glob.glob(f"/usr/share/doc/debian-handbook/html/{language}/*.html"))
    if not files:
        sys.exit(f"debian-handbook in {language} is missing: apt-get install debian-handbook")
    lines = []
    for file in files:
        text = pathlib.Path(file).read_text(encoding="utf-8", errors="replace")
        for part in re.findall(r"<p[ >].*?</p>|<dd.*?</dd>|<h\d.*?</h\d>", text, re.S):
            line = " ".join(html.unescape(re.sub(r"<[^>]*>", "", part)).split())
            if line:
                lines.append(line)
    return "\n".join(lines) + "\n"


def thai():
    """Thai names of the world's languages and countries, in sentences of several."""
    names = []
    for file in glob.glob("/usr/share/locale/th/LC_MESSAGES/iso_*.mo"):
        names += re.findall(r'^msgstr "(.+)"$', run(["msgunfmt", file]), re.M)
    draw = random.Random(1)
    return "".join("".join(draw.sample(names, draw.randint(3, 8))) + "\n" for _ in range(12_000))


def emoji():
    """Moods that go on for a while, with a word now and then."""
    groups, group = [], []
    for line in pathlib.Path("/usr/share/unicode/emoji/emoji-test.txt").read_text().splitlines():
        if line.startswith("# subgroup"):
            group = []
            groups.append(group)
        elif "fully-qualified" in line:
            group.append("".join(chr(int(code, 16)) for code in line.split(";")[0].split()))
    groups = [group for group in groups if len(group) >= 4][:40]
    draw, text = random.Random(2), []
    for _ in range(40_000):
        favourites = draw.choice(groups)[:4]
        text.append("".join(draw.choices(favourites, [4, 3, 2, 1], k=draw.randint(2, 9)))
                    + draw.choice(["", " ok", " so good", " no"]))
    return "\n".join(text) + "\n"


def dna():
    """Genes of a Markov chain of order 3, repeated with mutations."""
    draw = random.Random(3)
    chain = {}
    gene = lambda: "".join(chain.setdefault(tuple(context), draw.choices(
        "ACGT", [8, 3, 2, 1], k=7))[draw.randrange(7)] for context in [draw.choices("ACGT", k=3)
                                                                      for _ in range(600)])
    genes = [gene() for _ in range(60)]
    text = []
    for _ in range(1700):
        base = list(draw.choice(genes))
        for _ in range(12):
            base[draw.randrange(len(base))] = draw.choice("ACGT")
        text.append("".join(base))
    return "\n".join(text) + "\n"


def source():
    files = sorted(glob.glob("/usr/include/c++/*/bits/*.h"))
    return "".join(pathlib.Path(file).read_text(errors="replace") for file in files)


def logs():
    draw, text, second = random.Random(4), [], 0
    for _ in range(14_000):
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


TEXTS = {"Chinese": lambda: handbook("zh-CN"), "Japanese": lambda: handbook("ja-JP"), "Thai": thai,
         "Arabic": lambda: handbook("ar-MA"), "emoji": emoji, "DNA": dna, "source code": source,
         "logs": logs}


def make(directory):
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in TEXTS.items():
        data = text().encode()[:BYTES].decode(errors="ignore")
        (directory / f"{name}.txt").write_text(data, encoding="utf-8")
        print(f"{name}: {len(data.encode()):,} bytes, {data.count(chr(10)):,} lines")


def learn(options, text, tokenizer, scratch):
    out = pathlib.Path(scratch) / f"{text.stem}-{tokenizer or 'default'}"
    kind = ["--tokenizer", tokenizer] if tokenizer else []
    run([options.sluice, "train", "--data", text, "--out", out, *kind, "--minutes",
         str(options.minutes), "--threads", str(options.threads)])
    info = json.loads(run([options.sluice, "info", out, "--json"]))
    held = out / "held-out.txt"
    data = text.read_bytes()
    held.write_bytes(data[data.find(b"\n", int(len(data) * 0.95)) + 1:])
    result = json.loads(run([options.sluice, "eval", out, held, "--json"]))
    return {"tokenizer": info["tokenizer"]["kind"], "vocabulary": info["model"]["vocabulary"],
            "bits": result["bits_per_character"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--make", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--texts", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sluice", default=str(HERE.parent / "build/release/cli/sluice"))
    options = parser.parse_args()
    if options.make:
        make(options.make)
    if not options.texts:
        return
    texts = sorted(options.texts.glob("*.txt"))
    with tempfile.TemporaryDirectory(prefix="sluice-languages-") as scratch, \
            concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = [(text, pool.submit(learn, options, text, None, scratch),
                 pool.submit(learn, options, text, "char", scratch)) for text in texts]
        print("| text | default tokenizer | vocabulary | bits per character | char tokenizer's |")
        print("| --- | --- | --- | --- | --- |")
        for text, default, char in jobs:
            chosen, plain = default.result(), char.result()
            print(f"| {text.stem} | {chosen['tokenizer']} | {chosen['vocabulary']:,} | "
                  f"{chosen['bits']:.3f} | {plain['bits']:.3f} |", flush=True)


if __name__ == "__main__":
    main()
