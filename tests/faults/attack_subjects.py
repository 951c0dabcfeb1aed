"""What attacks.py attacks: models, files, runs and results, and the commands that read and write them."""

import gzip
import os

SPARE = ["--threads", "1"]
TINY = ["--steps", "4", "--batch", "4", "--context", "16", "--log-every", "1", "--validate-every", "2", "--checkpoint-every", "1",
        "--schedule", "constant", *SPARE]


class Model:
    """A model directory, and what reads it."""

    def __init__(self, name, training=(), more=()):
        self.name, self.training, self.more = name, training, more

    def directory(self, here):
        return os.path.join(here, "model-" + self.name)

    def commands(self, here, directory):
        if self.name == "ngram":
            directory = os.path.join(directory, "ngram.bin")
            return [["score", directory, f"{here}/lines.txt", *SPARE], ["next", directory, "the", *SPARE]]
        common = [["eval", directory, f"{here}/few.txt", "--json", *SPARE], ["score", directory, f"{here}/lines.txt", "--words", *SPARE],
                  ["info", directory], ["generate", directory, "--tokens", "5", "--prompt", "the", *SPARE],
                  ["next", directory, "the", "--top", "3", *SPARE],
                  ["rescore", directory, f"{here}/nbest.txt", "--format", "moses", *SPARE]]
        own = [[a.format(directory=directory, here=here) for a in template] for template in self.more]
        return common + own

    def fingerprints(self, name, arguments):
        """Whether damage to the file must not change what the command says."""
        return arguments[0] in ("eval", "score", "generate", "next", "rescore", "classify")


INSPECT = ["inspect", "{directory}", "--text", "{here}/few.txt", "--out", "{here}/out", "--tokens", "50", *SPARE]
EXPORT = ["export", "{directory}", "--out", "{here}/out", "--overwrite"]
TORCH = [*EXPORT, "--to", "torch"]
QUANTIZE = ["quantize", "{directory}", "--out", "{here}/outq", *SPARE]
PLAN = ["plan", "{directory}"]
CLASSIFY = ["classify", "{directory}", "{here}/lines.txt", *SPARE]
FROM = ["train", "--from", "{directory}", "--data", "{here}/few.txt", "--out", "{here}/out", "--overwrite", "--steps", "1", *SPARE]

MODELS = [
    Model("word", ["--layers", "[(4,2)]*2", "--dim", "4", "--tokenizer", "word"], [INSPECT, EXPORT, QUANTIZE, PLAN, FROM]),
    Model("bpe", ["--layers", "[(4,2)]", "--dim", "4", "--tokenizer", "bpe", "--vocab", "300"], [QUANTIZE, TORCH]),
    Model("lstm", ["--arch", "lstm", "--hidden", "6", "--depth", "1", "--dim", "6", "--tokenizer", "char"], [INSPECT, EXPORT, TORCH]),
    Model("transformer", ["--arch", "transformer", "--dim", "8", "--depth", "1", "--heads", "2", "--window", "8", "--tokenizer", "unigram",
                          "--vocab", "300"], [EXPORT, INSPECT]),
    Model("int8", (), []),
    Model("labels", ["--condition", "1", "--layers", "[(4,2)]", "--dim", "4", "--tokenizer", "word"], [CLASSIFY, QUANTIZE]),
    Model("ngram"),
    Model("indrnn", ["--arch", "indrnn", "--hidden", "6", "--depth", "2", "--dim", "6", "--norm", "batch", "--tokenizer", "byte"], [INSPECT]),
]


class File:
    """A file, and what reads it. `many`: a message for each bad line is right."""

    def __init__(self, file, *commands, many=False):
        self.file, self.commands, self.many = file, [tuple(command) for command in commands], many


WORD = "{here}/model-word"
TRAIN = ["train", "--out", "{out}", "--overwrite", "--layers", "[(4,2)]", "--dim", "4", "--steps", "1", "--batch", "2", "--context", "8", *SPARE]
FILES = [
    File("few.txt", ["eval", WORD, "{file}", "--json"], [*TRAIN, "--data", "{file}"], ["tokenizer", "train", "--data", "{file}", "--out", "{out}", "--tokenizer", "bpe", "--vocab", "300"],
         ["vocabulary", WORD, "{file}"]),
    File("lines.txt", ["score", WORD, "{file}"], ["tokenize", WORD, "{file}"], ["generate", WORD, "--prompts", "{file}", "--tokens", "2"],
         ["next", WORD, "the", "--candidates", "{file}"], ["mix", WORD, "--tune", "{file}"], many=True),
    File("few.txt.gz", ["eval", WORD, "{file}"], ["score", WORD, "{file}"]),
    File("labels.tsv", [*TRAIN, "--data", "{file}", "--condition", "1"],
         ["classify", "{here}/model-labels", "{file}", "--condition", "1"], ["score", WORD, "{file}", "--format", "tsv", "--no-header", "--column", "2"], many=True),
    File("texts.jsonl", ["eval", WORD, "{file}", "--field", "text"], [*TRAIN, "--data", "{file}", "--field", "text", "--condition", "label"],
         ["score", WORD, "{file}", "--format", "jsonl"], many=True),
    File("nbest.txt", ["rescore", WORD, "{file}", "--format", "moses", "--best"], ["rescore", WORD, "{file}", "--format", "moses", "--tune", "{here}/references.txt"],
         ["rescore", WORD, "{file}", "--format", "moses", "--given", "LM0=0.5"], many=True),
    File("references.txt", ["rescore", WORD, "{here}/nbest.txt", "--format", "moses", "--tune", "{file}"]),
    File("kaldi.txt", ["rescore", WORD, "{file}", "--format", "kaldi"], many=True),
    File("costs.txt", ["rescore", WORD, "{here}/kaldi.txt", "--format", "kaldi", "--costs", "{file}", "--best"], many=True),
    File("nbest.jsonl", ["rescore", WORD, "{file}", "--format", "jsonl", "--weight", "2"], many=True),
    File("ngram.arpa", ["score", "{file}", "{here}/lines.txt"], ["arpa", "{file}", "--out", "{out}.txt"], ["next", "{file}", "the"]),
    File("word.json", ["tokenize", "{file}", "{here}/lines.txt"], [*TRAIN, "--data", "{here}/few.txt", "--tokenizer", "{file}"]),
    File("bpe.model", ["tokenize", "{file}", "{here}/lines.txt"], [*TRAIN, "--data", "{here}/few.txt", "--tokenizer", "{file}"]),
    File("hugging_face.json", ["tokenize", "{file}", "{here}/lines.txt"], [*TRAIN, "--data", "{here}/few.txt", "--tokenizer", "{file}"]),
    File("dict.txt", ["tokenize", "{file}", "{here}/lines.txt"], ["import", "{here}/fconv.pt", "--dictionary", "{file}", "--out", "{out}"]),
    File("fconv.pt", ["import", "{file}", "--dictionary", "{here}/dict.txt", "--out", "{out}"]),
    File("fconv_legacy.pt", ["import", "{file}", "--dictionary", "{here}/dict.txt", "--out", "{out}"]),
    File("lstm_half.pt", ["import", "{file}", "--dictionary", "{here}/words.txt", "--out", "{out}"]),
    File("vectors.txt", [*TRAIN, "--data", "{here}/few.txt", "--vectors", "{file}"]),
    File("settings.json", ["train", "--config", "{file}", "--data", "{here}/few.txt", "--out", "{out}", "--overwrite", "--steps", "1", *SPARE]),
    File("claim.json", ["claims", "plan", "{file}", "--quick", "--data", "{here}/text.txt", "--out", "{out}"], ["claims", "show", "{file}"]),
    File("ids.txt", ["detokenize", WORD, "{file}"], many=True),
]

REPORTS = ["comparison", "inspection", "claims"]
RUNS = ["model-word", "model-lstm", "model-labels", "model-transformer"]

WRITERS = [
    ("train", "--data", "{here}/few.txt", "--out", "{out}", "--overwrite", "--layers", "[(4,2)]", "--dim", "4", "--profile", "1", *TINY),
    ("train", "--data", "{here}/few.txt.gz", "--out", "{out}", "--resume-if-possible", "--layers", "[(4,2)]", "--dim", "4", *TINY),
    ("quantize", "{here}/model-word", "--out", "{out}", *SPARE),
    ("export", "{here}/model-word", "--out", "{out}", "--overwrite"),
    ("export", "{here}/model-lstm", "--out", "{out}", "--overwrite", "--to", "torch"),
    ("export", "{here}/model-word", "--out", "{out}", "--overwrite", "--to", "vectors"),
    ("import", "{here}/fconv.pt", "--dictionary", "{here}/dict.txt", "--out", "{out}"),
    ("inspect", "{here}/model-word", "--text", "{here}/few.txt", "--out", "{out}", "--tokens", "50", *SPARE),
    ("compare", "--data", "{here}/text.txt", "--out", "{out}", "--vary", "unit=glu,gtu", "--seeds", "1", "--lr-grid", "0.01", "--layers",
     "[(4,2)]", "--batch", "4", "--context", "16", "--steps", "2", "--jobs", "1", *SPARE),
    ("tokenizer", "train", "--data", "{here}/few.txt", "--out", "{out}", "--tokenizer", "word"),
    ("tasks", "copy", "--out", "{out}.txt", "--lines", "20"),
    ("arpa", "{here}/ngram.arpa", "--out", "{out}.txt"),
    ("units", "--plot", "{out}"),
]

COMMANDS = [
    *WRITERS,
    ("eval", "{here}/model-word", "{here}/few.txt", *SPARE),
    ("eval", "{here}/model-int8", "{here}/few.txt", "--json", *SPARE),
    ("score", "{here}/model-word", "{here}/lines.txt", *SPARE),
    ("score", "{here}/model-word", *SPARE),
    ("rescore", "{here}/model-word", "{here}/nbest.txt", "--format", "moses", *SPARE),
    ("next", "{here}/model-word", "the", *SPARE),
    ("mix", "{here}/model-word", "--tune", "{here}/few.txt", *SPARE),
    ("generate", "{here}/model-word", "--tokens", "5", *SPARE),
    ("classify", "{here}/model-labels", "{here}/lines.txt", *SPARE),
    ("info", "{here}/model-word"),
    ("plan", "{here}/model-word"),
    ("units",),
    ("report", "{here}/comparison"),
    ("claims", "list"),
    ("claims", "show", "gates-help"),
    ("claims", "plan", "gates-help", "--quick", "--data", "{here}/text.txt", "--out", "{out}"),
    ("tokenize", "{here}/model-word", "{here}/lines.txt"),
    ("detokenize", "{here}/model-word", "{here}/ids.txt"),
    ("vocabulary", "{here}/model-word", "{here}/few.txt"),
]


def sample_text(lines, seed=1):
    """Lines of a small invented language."""
    subjects_ = ["the cat", "a dog", "the old man", "a bird", "the ship", "my friend", "every queen", "some jury", "this wizard"]
    verbs = ["saw", "found", "heard", "followed", "left", "expects", "quickly buys", "might fix"]
    objects = ["the sea", "a house", "the mat", "an apple", "nothing", "a caf\u00e9", "twelve jugs", "their violin", "big boxes"]
    state = seed
    out = []
    for _ in range(lines):
        picks = []
        for words in (subjects_, verbs, objects):
            state = (state * 1103515245 + 12345) % 2**31
            picks.append(words[state // 65536 % len(words)])
        out.append(" ".join(picks) + " .")
    return "\n".join(out) + "\n"


def prepare(here, good):
    """Makes everything below `here`; good() runs a command that must succeed."""
    golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")

    def put(name, text):
        with open(os.path.join(here, name), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return os.path.join(here, name)

    def take(name, path):
        with open(os.path.join(golden, path), "rb") as file:
            return put(name, file.read())

    text = put("text.txt", sample_text(1000))
    few = sample_text(100, 7)
    put("few.txt", few)
    put("few.txt.gz", gzip.compress(few.encode(), mtime=0))
    lines = few.split("\n")[:6]
    put("lines.txt", "\n".join(lines) + "\n")
    labelled = put("labels.tsv", "".join(f"{'ab'[i % 2]}\t{line}\n" for i, line in enumerate(few.split("\n")[:-1])))
    put("texts.jsonl", "".join(f'{{"text": "{line}", "label": "{"ab"[i % 2]}", "id": {i}}}\n' for i, line in enumerate(lines)))
    put("nbest.txt", "".join(f"{i // 3} ||| {line} ||| LM0= -{i}.5 ||| -{i}\n" for i, line in enumerate(lines)))
    put("references.txt", "the cat saw the sea .\na dog left nothing .\n")
    put("kaldi.txt", "".join(f"utt{i // 3}-{i % 3 + 1} {line}\n" for i, line in enumerate(lines)))
    put("costs.txt", "".join(f"utt{i // 3}-{i % 3 + 1} {i}.25\n" for i in range(len(lines))))
    put("nbest.jsonl", "".join(f'{{"id": "u{i // 3}", "text": "{line}", "score": -{i}.5}}\n' for i, line in enumerate(lines)))
    put("vectors.txt", "3 4\nthe 0.1 0.2 0.3 0.4\ncat 1 2 3 4\nsea -1 0 1e-3 0.5\n")
    put("ids.txt", "1 2 3\n4 5\n")
    take("ngram.arpa", "ngram/model.arpa")
    take("hugging_face.json", "../fuzz/corpus/tokenizer_file/hugging_face")
    for name in ("dict.txt", "words.txt", "fconv.pt", "fconv_legacy.pt", "lstm_half.pt"):
        take(name, "import/" + name)
    for model in MODELS:
        if model.training:
            data = labelled if model.name == "labels" else text
            good(["train", "--data", data, "--out", model.directory(here), *TINY, *model.training])
    good(["quantize", f"{here}/model-word", "--out", f"{here}/model-int8", *SPARE])
    good(["classify", f"{here}/model-labels", labelled, "--condition", "1", "--calibrate", *SPARE])
    os.mkdir(f"{here}/model-ngram")
    good(["arpa", f"{here}/ngram.arpa", "--out", f"{here}/model-ngram/ngram.bin"])
    for name, path in (("word.json", "model-word/tokenizer.json"), ("bpe.model", "model-bpe/tokenizer.model"), ("settings.json", "model-word/config.json")):
        with open(os.path.join(here, path), "rb") as file:
            put(name, file.read())
    put("claim.json", good(["claims", "show", "gates-help"]).out)
    good(["compare", "--data", text, "--out", f"{here}/comparison", "--vary", "unit=glu,gtu", "--seeds", "2", "--lr-grid", "0.01", "--layers", "[(4,2)]", "--batch",
          "4", "--context", "16", "--steps", "3", "--jobs", "1", *SPARE])
    good(["inspect", f"{here}/model-word", "--text", f"{here}/few.txt", "--out", f"{here}/inspection", "--tokens", "100", *SPARE])
    good(["claims", "run", "gates-help", "--quick", "--data", text, "--out", f"{here}/claims", "--seeds", "2", *SPARE])
