#!/usr/bin/python3
"""Writes the checkpoints in import/: `/usr/bin/python3 tests/golden/generate_import.py`.

fairseq is not in Debian: its fconv_lm is written here as its sources state it
(fairseq/models/fconv.py, fconv_lm.py, modules/adaptive_softmax.py), with parameters under its names. The
others are torch.nn's. See README.md here for what the files hold.
"""

import argparse
import collections
import pathlib
import shutil

import numpy as np
import torch
import torch.nn.functional as F

import generate
from generate import write_safetensors

HERE = generate.HERE / "import"
WORDS = [f"word{i}" for i in range(24)]
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
EOS, VOCABULARY, LINES = 2, 28, 6


def normal(random, *shape, scale=0.4):
    return torch.from_numpy((scale * random.standard_normal(shape)).astype(np.float32))


def tokens_of(random, eos, least, vocabulary):
    """A few lines of tokens; each ends with eos."""
    tokens = []
    for _ in range(LINES):
        tokens += [int(x) for x in random.integers(least, vocabulary, random.integers(1, 8))] + [eos]
    return tokens


def weight(state, name, dim):
    """The weight that torch.nn.utils.weight_norm makes of weight_g and weight_v."""
    g, v = state[name + "weight_g"].double(), state[name + "weight_v"].double()
    rest = [d for d in range(v.dim()) if d != dim]
    return g * v / v.pow(2).sum(rest, keepdim=True).sqrt()


def linear(random, state, name, rows, columns):
    state[name + "weight_g"] = normal(random, rows, 1).abs() + 0.5
    state[name + "weight_v"] = normal(random, rows, columns)
    state[name + "bias"] = normal(random, rows)


def fconv(random, layers, dim, version, adaptive, hidden=None):
    """The state dict of a FConvLanguageModel."""
    state = collections.OrderedDict()
    if version is not None:
        state["decoder.version"] = torch.Tensor([version])
    state["decoder.embed_tokens.weight"] = normal(random, VOCABULARY, dim)
    widths = [layers[0][0]]
    linear(random, state, "decoder.fc1.", widths[0], dim)
    for i, (channels, kernel, residual) in enumerate(layers):
        if residual and widths[-residual] != channels:
            linear(random, state, f"decoder.projections.{i}.", channels, widths[-residual])
        name = f"decoder.convolutions.{i}."
        state[name + "weight_v"] = normal(random, kernel, widths[-1], 2 * channels)
        lengths = (1, 1, 2 * channels) if version == 2 else (kernel, 1, 1)
        state[name + "weight_g"] = normal(random, *lengths).abs() + 0.5
        state[name + "bias"] = normal(random, 2 * channels)
        widths.append(channels)
    if adaptive:
        state["decoder.adaptive_softmax.version"] = torch.LongTensor([1])
        bands = adaptive + [VOCABULARY]
        state["decoder.adaptive_softmax.head.weight"] = normal(
            random, adaptive[0] + len(adaptive), widths[-1])
        for i in range(len(adaptive)):
            inner = widths[-1] // 4 ** (i + 1)
            tail = f"decoder.adaptive_softmax.tail.{i}."
            state[tail + "0.weight"] = normal(random, inner, widths[-1], scale=1)
            state[tail + "2.weight"] = normal(random, bands[i + 1] - bands[i], inner, scale=1)
    else:
        linear(random, state, "decoder.fc2.", hidden, widths[-1])
        linear(random, state, "decoder.fc3.", VOCABULARY, hidden)
    return state


def adaptive_log_probs(x, head, tails, bias=None):
    scores = F.log_softmax(x @ head.T + (0 if bias is None else bias), -1)
    first = head.shape[0] - len(tails)
    parts = [scores[:, :first]]
    for i, (inner, outer) in enumerate(tails):
        parts.append(scores[:, first + i:first + i + 1] +
                     F.log_softmax(x @ inner.T @ outer.T, -1))
    return torch.cat(parts, 1)


def fconv_log_probs(state, layers, tokens):
    conv_dim = 2 if "decoder.version" in state else 0
    inputs = torch.tensor([EOS] + tokens[:-1])
    x = state["decoder.embed_tokens.weight"].double()[inputs]

    def project(name, x):
        return x @ weight(state, name, 0).T + state[name + "bias"].double()

    x = project("decoder.fc1.", x)
    residuals = [x]
    for i, (channels, kernel, residual) in enumerate(layers):
        before = residuals[-residual] if residual else None
        if before is not None and before.shape[1] != channels:
            before = project(f"decoder.projections.{i}.", before)
        name = f"decoder.convolutions.{i}."
        w = weight(state, name, conv_dim)
        padded = F.pad(x, (0, 0, kernel - 1, 0))
        z = sum(padded[k:k + len(tokens)] @ w[k] for k in range(kernel))
        x = F.glu(z + state[name + "bias"].double(), -1)
        if before is not None:
            x = (x + before) * 0.5 ** 0.5
        residuals.append(x)
    softmax = "decoder.adaptive_softmax."
    if softmax + "head.weight" not in state:
        return F.log_softmax(project("decoder.fc3.", project("decoder.fc2.", x)), -1)
    tails = []
    while f"{softmax}tail.{len(tails)}.0.weight" in state:
        tails.append([state[f"{softmax}tail.{len(tails)}.{j}.weight"].double() for j in (0, 2)])
    return adaptive_log_probs(x, state[softmax + "head.weight"].double(), tails)


class RNNModel(torch.nn.Module):
    """The model of PyTorch's example of a word language model."""

    def __init__(self, kind, dim, hidden, depth, cutoffs=None):
        super().__init__()
        self.encoder = torch.nn.Embedding(VOCABULARY, dim)
        self.rnn = getattr(torch.nn, kind)(dim, hidden, depth)
        if cutoffs:
            self.decoder = torch.nn.AdaptiveLogSoftmaxWithLoss(hidden, VOCABULARY, cutoffs,
                                                               head_bias=True)
        else:
            self.decoder = torch.nn.Linear(hidden, VOCABULARY)

    def draw(self, random):
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(normal(random, *parameter.shape))
        return self

    def log_probs(self, tokens, eos):
        x = self.encoder(torch.tensor([eos] + tokens[:-1]))
        x = self.rnn(x.unsqueeze(1))[0].squeeze(1)
        if isinstance(self.decoder, torch.nn.Linear):
            return F.log_softmax(self.decoder(x), -1)
        return self.decoder.log_prob(x)


def nll(log_probs, tokens):
    return -log_probs.double()[torch.arange(len(tokens)), torch.tensor(tokens)].detach()


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    random = np.random.Generator(np.random.PCG64(77))
    expected = {}

    def keep(name, tokens, log_probs):
        expected[name + ".tokens"] = torch.tensor(tokens, dtype=torch.int32)
        expected[name + ".nll"] = nll(log_probs, tokens)

    (HERE / "dict.txt").write_text("".join(f"{word} {100 - i}\n" for i, word in enumerate(WORDS)))
    spec = "[(12, 3)] + [(8, 1, 0), (8, 3, 0), (12, 1, 3)] * 2 + [(16, 2)]"
    layers = [(12, 3, 1)] + [(8, 1, 0), (8, 3, 0), (12, 1, 3)] * 2 + [(16, 2, 1)]
    tokens = tokens_of(random, EOS, 3, VOCABULARY)
    state = fconv(random, layers, 10, 2, [10, 20])
    keep("fconv", tokens, fconv_log_probs(state, layers, tokens))
    arguments = argparse.Namespace(arch="fconv_lm", decoder_layers=spec, dropout=0.25,
                                   adaptive_softmax_cutoff="10,20", data="/nowhere", cpu=False)
    optimizer = {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": []}
    torch.save({"args": arguments, "model": state, "optimizer_history": [{"num_updates": 10 ** 12}],
                "last_optimizer_state": optimizer, "extra_state": {"epoch": 3}},
               HERE / "fconv.pt")
    state = fconv(random, layers[:1] + layers[-1:], 12, None, None, hidden=9)
    keep("fconv_legacy", tokens, fconv_log_probs(state, layers[:1] + layers[-1:], tokens))
    configuration = {"model": argparse.Namespace(decoder_layers="[(12, 3)] + [(16, 2)]")}
    torch.save({"cfg": configuration, "model": state}, HERE / "fconv_legacy.pt",
               _use_new_zipfile_serialization=False)

    (HERE / "words.txt").write_text("".join(f"{word}\n" for word in WORDS + ["<eos>", "a", "b",
                                                                              "<unk>"]))
    eos = WORDS.index("word23") + 1
    tokens = tokens_of(random, eos, 0, eos)
    model = RNNModel("LSTM", 8, 12, 2).draw(random)
    keep("lstm", tokens, model.double().log_probs(tokens, eos))
    torch.save(model.float().half().state_dict(), HERE / "lstm_half.pt")
    keep("lstm_half", tokens, model.double().log_probs(tokens, eos))
    model = RNNModel("GRU", 8, 16, 1, [12, 20]).draw(random)
    keep("gru", tokens, model.double().log_probs(tokens, eos))
    # A model saved whole, classes and all, in the old form.
    torch.save(model.float(), HERE / "gru_whole.pt", _use_new_zipfile_serialization=False)
    model = RNNModel("RNN", 8, 12, 1).draw(random)
    keep("rnn", tokens, model.double().log_probs(tokens, eos))
    # Views into one storage, some of them transposed.
    state = model.float().state_dict()
    state["decoder.weight"] = state["decoder.weight"].t().contiguous().t()
    both = torch.cat([state["rnn.bias_ih_l0"], state["rnn.bias_hh_l0"]])
    state["rnn.bias_ih_l0"], state["rnn.bias_hh_l0"] = both[:12], both[12:]
    torch.save({"state_dict": state, "epoch": 3}, HERE / "rnn_views.pt")
    del expected["lstm.tokens"], expected["lstm.nll"]
    write_safetensors("import/expected.safetensors", expected, {})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
