#!/usr/bin/python3
"""The opponent of `sluice classify` on the lines of bench/classify_languages.py: character n-grams of a language each, with as
many numbers in all as a model has parameters: `bench/classify_ngram.py DATA PARAMETERS`.

Orders 1 to 6, absolute discounting of 0.75 with the lower order behind it (Ney, Essen & Kneser 1994); the n-grams seen
most often are kept, so many that counts and contexts together are PARAMETERS. A label's temperature is found on
DATA/valid.tsv. Prints accuracy, errors, log loss and calibration error (ten bins) on DATA/test.tsv.
"""

import collections
import math
import pathlib
import sys

ORDER = 6
DISCOUNT = 0.75


def rows(path):
    for line in path.read_text().splitlines():
        label, text = line.split("\t")
        yield label, "\n" + text + "\n"


def train(path, size):
    counts = collections.Counter()
    for label, text in rows(path):
        for order in range(1, ORDER + 1):
            for i in range(1, len(text)):
                if i - order + 1 >= 0:
                    counts[label, text[i - order + 1:i + 1]] += 1
    totals = collections.Counter()
    for (label, gram), count in counts.items():
        totals[label, gram[:-1]] += count
    # A context costs a number, too, its share of the lower order; n-grams seen least are the first to go.
    kept, reserves = {}, {}
    for key, count in sorted(counts.items(), key=lambda item: (-item[1], len(item[0][1]))):
        context = (key[0], key[1][:-1])
        if len(kept) + len(reserves) + 2 > size:
            break
        kept[key] = (count - DISCOUNT) / totals[context]
        reserves[context] = reserves.get(context, 1.0) - kept[key]
    return kept, reserves


def log_probability(model, label, text, characters):
    kept, reserves = model
    sum_of_logs = 0
    for i in range(1, len(text)):
        p = 1 / characters
        for order in range(1, ORDER + 1):
            if i - order + 1 < 0:
                break
            context = (label, text[i - order + 1:i])
            if context not in reserves:
                break
            p = kept.get((label, text[i - order + 1:i + 1]), 0) + reserves[context] * p
        sum_of_logs += math.log(p)
    return sum_of_logs


def posterior(logs, temperature):
    most = max(logs)
    powers = [math.exp((x - most) / temperature) for x in logs]
    return [x / sum(powers) for x in powers]


def main():
    data, size = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    model = train(data / "train.tsv", size)
    labels = sorted({label for label, _ in rows(data / "train.tsv")})
    characters = 1 + len({c for _, text in rows(data / "train.tsv") for c in text})
    scored = {part: [(labels.index(label), [log_probability(model, each, text, characters) for each in labels])
                     for label, text in rows(data / f"{part}.tsv")] for part in ("valid", "test")}

    def log_loss(part, temperature):
        return -sum(math.log(max(posterior(logs, temperature)[label], 1e-300))
                    for label, logs in scored[part]) / len(scored[part])

    temperature = min((1.1 ** k for k in range(-20, 60)), key=lambda t: log_loss("valid", t))
    bins = [[0, 0.0, 0] for _ in range(10)]
    for label, logs in scored["test"]:
        p = posterior(logs, temperature)
        taken = bins[min(int(10 * max(p)), 9)]
        taken[0] += 1
        taken[1] += max(p)
        taken[2] += p.index(max(p)) == label
    count, right = len(scored["test"]), sum(each[2] for each in bins)
    error = sum(abs(each[1] - each[2]) for each in bins) / count
    print(f"{len(model[0]) + len(model[1])} numbers, {count} lines: accuracy {right / count:.4f} ({count - right} errors), "
          f"log loss {log_loss('test', temperature):.4f}, calibration error {error:.4f}, temperature {temperature:.2f}")


if __name__ == "__main__":
    main()
