#!/usr/bin/python3
"""Lines of eight languages from Debian's translated manual pages, for `sluice train --condition 1` and
`sluice classify`: `bench/classify_languages.py DIRECTORY OUT` writes OUT/train.tsv, OUT/valid.tsv and OUT/test.tsv,
a line each as LANGUAGE<TAB>TEXT of at most 60 characters.

DIRECTORY holds the packages, as `apt-get download PACKAGE` leaves them: manpages, manpages-dev (English),
manpages-{de,es,fr,it,nl,pl,pt-br} and manpages-{de,es,fr,it,nl,pl,pt-br}-dev.

A page and its translations are on one side: which, the page's name says (one in ten each for validation and
test). Of a page its running text alone is kept, without formatting and without lines that have an address of mail
(translators' names have no language). Translations leave passages in English: lines that stand in two languages' pages
are dropped, and those of other languages' pages with three words in a row that stand in an English page, too, or with a
word that only English has (the, this, that, which, these, and, from, with, are, been, when, should; of and is, but for
Dutch, which has them, too). So are lines seen before. Every language gives as many lines as the one with the fewest, in
an order drawn from a fixed seed.
"""

import collections
import gzip
import hashlib
import io
import pathlib
import random
import re
import subprocess
import sys
import tarfile

LANGUAGES = ["de", "en", "es", "fr", "it", "nl", "pl", "pt_BR"]
WIDTH = 60
LEAST = 45


def pages(package):
    """(language, name, source) of each manual page of a Debian package."""
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            found = re.fullmatch(r"\./usr/share/man/(?:(\w+)/)?man\d\w*/(.+)\.gz", member.name)
            if not member.isfile() or not found:
                continue
            language = found[1] or "en"
            if language in LANGUAGES:
                text = gzip.decompress(archive.extractfile(member).read()).decode("utf-8", "replace")
                yield language, found[2], text


def paragraphs(source):
    """Running text of a page in roff, without requests and escapes."""
    words, verbatim = [], False
    for line in source.splitlines():
        if re.match(r"[.'] ?(nf|EX|TS|ps 8)\b", line):
            verbatim = True
        elif re.match(r"[.'] ?(fi|EE|TE)\b", line):
            verbatim = False
        if line[:1] in ".'" or verbatim:
            request = re.match(r"[.'] ?(SH|SS|PP|P|LP|TP|IP|HP|TH|nf|EX|TS|br|sp)\b", line)
            if request and words:
                yield " ".join(words)
                words = []
            continue
        line = re.sub(r"\\f(\(..|\[[^]]*\]|.)|\\s[-+]?\d+|\\[&|^%:/,cd]", "", line)
        line = re.sub(r"\\\((bu|co|em|en|lq|rq|oq|cq|aq|dq|hy|mi|ga|ha|ti|rs|la|ra|Fo|Fc|fo|fc)", " ", line)
        line = re.sub(r"\\\[[^]]*\]", " ", line).replace("\\-", "-").replace("\\e", "\\").replace("\\ ", " ")
        words += line.split()
    if words:
        yield " ".join(words)


def lines(source):
    for paragraph in paragraphs(source):
        line = ""
        for word in paragraph.split():
            if len(line) + 1 + len(word) > WIDTH:
                yield line
                line = ""
            line = f"{line} {word}".strip()
        yield line


def prose(line):
    letters = sum(c.isalpha() or c == " " for c in line)
    return LEAST <= len(line) <= WIDTH and letters >= 0.85 * len(line) and "\\" not in line and "@" not in line


ENGLISH = re.compile(r"\b(the|this|that|which|these|and|from|with|are|been|when|should)\b", re.IGNORECASE)


def runs_of_words(text):
    """Every three words in a row."""
    words = text.lower().split()
    return set(zip(words, words[1:], words[2:]))


def untranslated(language, line, english):
    """Whether a line of another language's page is, or has, English; `english` has three words in a row of English pages."""
    if language == "en":
        return False
    if ENGLISH.search(line) or (language != "nl" and re.search(r"\b(of|is)\b", line, re.IGNORECASE)):
        return True
    return not english.isdisjoint(runs_of_words(line))


def part_of(name):
    digit = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10
    return {0: "valid", 1: "test"}.get(digit, "train")


def main():
    directory, out = map(pathlib.Path, sys.argv[1:3])
    found = {part: collections.defaultdict(dict) for part in ("train", "valid", "test")}
    languages_of = collections.defaultdict(set)
    all_pages = [page for package in sorted(directory.glob("manpages*.deb")) for page in pages(package)]
    english = set()
    for language, _, source in all_pages:
        if language == "en":
            for paragraph in paragraphs(source):
                english |= runs_of_words(paragraph)
    for language, name, source in all_pages:
        for line in filter(prose, lines(source)):
            if not untranslated(language, line, english):
                languages_of[line].add(language)
                found[part_of(name)][language][line] = None
    out.mkdir(parents=True, exist_ok=True)
    used = set()
    for part in ("test", "valid", "train"):
        kept = {language: [line for line in found[part][language]
                           if len(languages_of[line]) == 1 and line not in used]
                for language in LANGUAGES}
        least = min(map(len, kept.values()))
        rows = []
        for language in LANGUAGES:
            chosen = random.Random(f"{part} {language}").sample(kept[language], least)
            rows += [(language, line) for line in chosen]
        used |= {line for _, line in rows}
        random.Random(part).shuffle(rows)
        (out / f"{part}.tsv").write_text("".join(f"{language}\t{line}\n" for language, line in rows))
        print(f"{part}: {least} lines of each of {len(LANGUAGES)} languages")


if __name__ == "__main__":
    main()
