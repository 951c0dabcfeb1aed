#!/usr/bin/python3
"""Makes the fixture of n-grams: model.arpa, text.txt and kenlm.txt, what KenLM says of them.

    tests/golden/generate_ngram.py PATH/TO/kenlm/query

The text is a random walk of an invented language; the model an interpolated 5-gram with absolute
discounting (Ney et al. 1994) of which some n-grams that nothing longer begins with are left out, as
pruning does, so that n-grams lack their shorter ends. KenLM is github.com/kpu/kenlm at 4cb443e6, its
`query` compiled with g++ 12 and run as `query -v sentence` and `query -v summary`."""

import collections
import math
import pathlib
import random
import subprocess
import sys

HERE = pathlib.Path(__file__).parent / "ngram"
ORDER = 5
DISCOUNT = 0.6


def sentences(rng, words, followers, count):
    for _ in range(count):
        word = rng.choice(words)
        line = []
        while word and len(line) < 14:
            line.append(word)
            word = rng.choice(followers[word] + [""])
        yield line


def main():
    rng = random.Random(7)
    words = ["w%d" % i for i in range(40)] + ["é", "<unk>", "a.b", "漢"]
    followers = {word: rng.sample(words, 4) for word in words}
    train = list(sentences(rng, words, followers, 300))
    test = list(sentences(rng, words, followers, 60))
    for line in test:  # what the model has never seen
        if rng.random() < 0.5:
            line.insert(rng.randrange(len(line) + 1), rng.choice(["strange", "w1x", rng.choice(words)]))
    test.insert(3, [])

    counts = [collections.Counter() for _ in range(ORDER)]
    for line in train:
        padded = ["<s>"] + line + ["</s>"]
        for i in range(1, len(padded)):
            for n in range(1, min(ORDER, i + 1) + 1):
                counts[n - 1][tuple(padded[i + 1 - n:i + 1])] += 1
    vocabulary = sorted(set(words) | {"</s>"})
    probability = [{} for _ in range(ORDER)]
    backoff = [{} for _ in range(ORDER)]
    total = sum(counts[0].values())
    for word in vocabulary:
        probability[0][(word,)] = (counts[0][(word,)] + 0.5) / (total + 0.5 * len(vocabulary))
    for n in range(2, ORDER + 1):
        context_total = collections.Counter()
        kinds = collections.Counter()
        for gram, count in counts[n - 1].items():
            context_total[gram[:-1]] += count
            kinds[gram[:-1]] += 1
        for context in context_total:
            backoff[n - 2][context] = DISCOUNT * kinds[context] / context_total[context]
        for gram, count in sorted(counts[n - 1].items()):
            context = gram[:-1]
            lower = probability[n - 2][gram[1:]]
            probability[n - 1][gram] = (count - DISCOUNT) / context_total[context] + \
                backoff[n - 2][context] * lower
    needed = set()
    for n in range(ORDER, 2, -1):
        for gram in sorted(probability[n - 1]):
            if gram not in needed and rng.random() < 0.3:
                del probability[n - 1][gram]
            else:
                needed.add(gram[:-1])

    with open(HERE / "model.arpa", "w", encoding="utf-8") as out:
        out.write("\n\\data\\\n")
        probability[0][("<s>",)] = 1e-99
        for n in range(ORDER):
            out.write("ngram %d=%d\n" % (n + 1, len(probability[n])))
        for n in range(ORDER):
            out.write("\n\\%d-grams:\n" % (n + 1))
            for gram in rng.sample(sorted(probability[n]), len(probability[n])):
                out.write("%.7g\t%s" % (math.log10(probability[n][gram]), " ".join(gram)))
                if gram in backoff[n] and n + 1 < ORDER:
                    out.write("\t%.7g" % math.log10(backoff[n][gram]))
                out.write("\n")
        out.write("\n\\end\\\n")
    text = "".join(" ".join(line) + "\n" for line in test)
    (HERE / "text.txt").write_text(text, encoding="utf-8")
    answers = [subprocess.run([sys.argv[1], "-v", what, str(HERE / "model.arpa")], input=text.encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
               for what in ("sentence", "summary")]
    (HERE / "kenlm.txt").write_bytes(b"".join(answers))


if __name__ == "__main__":
    main()
