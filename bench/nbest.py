#!/usr/bin/python3
"""Makes n-best lists as a recogniser of speech or print leaves them, for the recipes of docs/using.md.

    bench/nbest.py TEXT --out DIR [--lists 400]

TEXT is a text of words, a paragraph a line. Of every paragraph the first words are taken, and
hypotheses made of them by exchanging words for others of the text that are spelled nearly alike (one
letter more, less or another). Writes, in Kaldi's form, DIR/nbest (hypotheses), DIR/costs (what each
costs the recogniser: noise, a little lower for fewer wrong words) and DIR/references."""

import argparse
import collections
import pathlib
import random

WORDS = 20
HYPOTHESES = 25
# A wrong word costs this much more on average, against noise of the deviation below.
COST_OF_A_WORD, NOISE = 0.6, 2.0


def alike(words):
    """{word: others that are equal when one letter of each is left out}"""
    families = collections.defaultdict(set)
    for word in words:
        for i in range(len(word)):
            families[word[:i] + "\0" + word[i + 1:]].add(word)
        for i in range(len(word) + 1):
            families[word[:i] + "\0" + word[i:]].add(word)
    found = collections.defaultdict(set)
    for family in families.values():
        for word in family:
            found[word] |= family - {word}
    return {word: sorted(others) for word, others in found.items() if others}


def hypotheses(rng, reference, neighbours):
    """Different lines, the reference's among them nearly always, with the number of wrong words."""
    places = [i for i, word in enumerate(reference) if word in neighbours]
    made = {}
    for _ in range(4 * HYPOTHESES):
        if len(made) == HYPOTHESES:
            break
        line = list(reference)
        for place in rng.sample(places, min(len(places), rng.randint(0, 5))):
            line[place] = rng.choice(neighbours[line[place]])
        made[tuple(line)] = sum(a != b for a, b in zip(line, reference))
    return list(made.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--lists", type=int, default=400)
    options = parser.parse_args()
    rng = random.Random(1)
    lines = [line.split() for line in options.text.read_text(encoding="utf-8").splitlines()]
    paragraphs = [line[:WORDS] for line in lines if len(line) >= WORDS and line[0] != "="]
    neighbours = alike({word for line in lines for word in line if word.isalpha()})
    options.out.mkdir(parents=True, exist_ok=True)
    with open(options.out / "nbest", "w", encoding="utf-8") as nbest, \
            open(options.out / "costs", "w", encoding="utf-8") as costs, \
            open(options.out / "references", "w", encoding="utf-8") as references:
        for number, reference in enumerate(rng.sample(paragraphs, options.lists)):
            references.write(f"utt{number} {' '.join(reference)}\n")
            ranked = sorted((100 + COST_OF_A_WORD * wrong + rng.gauss(0, NOISE), line)
                            for line, wrong in hypotheses(rng, reference, neighbours))
            for rank, (cost, line) in enumerate(ranked, 1):
                nbest.write(f"utt{number}-{rank} {' '.join(line)}\n")
                costs.write(f"utt{number}-{rank} {cost:.2f}\n")


if __name__ == "__main__":
    main()
