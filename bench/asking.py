#!/usr/bin/python3
"""How fast a model answers what is asked of it.

    bench/asking.py MODEL --text TEXT [--old PROGRAM] [--ngram FILE] [--chars MODEL]

- `score` line by line: one line of 10 words goes into a pipe, the answer is awaited, the next program
  follows after a pause, since idle threads may wait actively; each precision, and with --old another
  program in float32.
- `rescore`: lists of 100 hypotheses that share prefixes, against the same hypotheses scored as lines, all
  at once (both without the time to load the model, which an empty list has) and one after the other.
- `next --top 10` with --chars: milliseconds from a text to its words.
- `eval` with --ngram: tokens a second.

Prints medians and quartiles as JSON."""

import argparse
import json
import random
import statistics
import subprocess
import time

PAUSE = 0.03  # seconds


def spread(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 4), "quartiles": [round(low, 4), round(high, 4)]}


class Pipe:
    """A program that answers line by line."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def ask(self, line):
        begin = time.perf_counter()
        self.process.stdin.write((line + "\n").encode())
        self.process.stdout.readline()
        return 1000 * (time.perf_counter() - begin)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def words_of(path):
    with open(path, encoding="utf-8") as text:
        return [word for line in text for word in line.split() if word != "|||"]


def line_by_line(program, old, model, words):
    commands = {precision: [program, "score", model, "--precision", precision]
                for precision in ("f32", "bf16", "int8")}
    if old:
        commands["old, f32"] = [old, "score", model]
    pipes = {name: Pipe(*command) for name, command in commands.items()}
    times = {name: [] for name in pipes}
    for i in range(120):
        line = " ".join(words[10 * i:10 * i + 10])
        for name, pipe in pipes.items():
            time.sleep(PAUSE)
            times[name].append(pipe.ask(line))
    for pipe in pipes.values():
        pipe.close()
    return {name: spread(list_[20:]) for name, list_ in times.items()}


def nbest_lists(words, count):
    """Lists of 100 hypotheses of 20 words with some places at which there is a choice."""
    rng = random.Random(3)
    for i in range(count):
        sentence = words[20 * i:20 * i + 20]
        places = sorted(rng.sample(range(20), 7))
        choices = [[sentence[place], rng.choice(words)] for place in places]
        seen = []
        while len(seen) < 100:
            other = list(sentence)
            for place, choice in zip(places, choices):
                other[place] = choice[rng.random() < 0.4]
            if other not in seen:
                seen.append(other)
        yield [" ".join(one) for one in seen]


def timed(command, text):
    begin = time.perf_counter()
    subprocess.run(command, input=text.encode(), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def rescoring(program, model, words, precision):
    lists = list(nbest_lists(words, 4))
    nbest = "".join(f"{i} ||| {text} ||| f= 0\n" for i, one in enumerate(lists) for text in one)
    lines = "".join(f"{text}\n" for one in lists for text in one)
    shared, together, alone = [], [], []
    flags = [model, "--precision", precision]
    for _ in range(5):
        idle = timed([program, "score", *flags], "")
        shared.append(timed([program, "rescore", *flags, "--format", "moses"], nbest) - idle)
        together.append(timed([program, "score", *flags], lines) - idle)
        pipe = Pipe(program, "score", *flags)
        pipe.ask(lines.split("\n", 1)[0])
        begin = time.perf_counter()
        for line in lines.splitlines():
            pipe.ask(line)
        alone.append(time.perf_counter() - begin)
        pipe.close()
    return {"lists": len(lists), "seconds_shared": spread(shared), "seconds_together": spread(together),
            "seconds_alone": spread(alone),
            "times_together": spread([a / s for a, s in zip(together, shared)]),
            "times_alone": spread([a / s for a, s in zip(alone, shared)])}


def next_words(program, model, texts):
    pipe = Pipe(program, "next", model, "-", "--top", "10", "--json")
    times = [pipe.ask(text) for text in texts]
    pipe.close()
    return spread(times[5:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--text", required=True, help="a text whose words are used")
    parser.add_argument("--program", default="build/release/cli/sluice")
    parser.add_argument("--old", help="another program, for lines in float32")
    parser.add_argument("--ngram", help="an n-gram to evaluate on the text")
    parser.add_argument("--chars", help="a model of characters")
    parser.add_argument("--precision", default="f32")
    options = parser.parse_args()
    words = words_of(options.text)
    result = {"line_by_line_ms": line_by_line(options.program, options.old, options.model, words),
              "rescore": rescoring(options.program, options.model, words, options.precision)}
    if options.chars:
        texts = [" ".join(words[i:i + 8]) for i in range(0, 400, 8)]
        result["next_ms"] = next_words(options.program, options.chars, texts)
    if options.ngram:
        speeds = [json.loads(subprocess.run([options.program, "eval", options.ngram, options.text, "--json"],
                                            stdout=subprocess.PIPE, check=True).stdout)["tokens_per_second"]
                  for _ in range(5)]
        result["ngram_tokens_per_second"] = spread(speeds)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
