#!/usr/bin/python3
"""Times a language model that makes a text token by token in PyTorch, by the protocol of
bench/README.md: the state of the text is kept, each token is the most probable one behind those
before it, and the whole distribution is computed for it. Weights are random: only time is measured.

    printf 'go 50\nquit\n' | bench/pytorch/generate_bench.py --arch gcnn --width 512

--export FILE writes the same step as an ONNX graph, for bench/onnx/generate_bench.mjs.
"""

import argparse
import json
import math
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Distribution(nn.Module):
    """An adaptive softmax (Grave et al. 2017) as products: the most probable token."""

    def __init__(self, width, vocabulary, cutoffs):
        super().__init__()
        ends = [*cutoffs, vocabulary]
        self.first, self.bands = ends[0], len(cutoffs)
        self.head = nn.Linear(width, ends[0] + len(cutoffs))
        self.tails = nn.ModuleList()
        for i in range(len(cutoffs)):
            inner = max(1, width // 4 ** (i + 1))
            self.tails.append(nn.Sequential(nn.Linear(width, inner, bias=False),
                                            nn.Linear(inner, ends[i + 1] - ends[i], bias=False)))

    def forward(self, h):
        head = F.log_softmax(self.head(h), -1)
        parts = [head[:, :self.first]]
        for i, tail in enumerate(self.tails):
            at = self.first + i
            parts.append(F.log_softmax(tail(h), -1) + head[:, at:at + 1])
        return torch.argmax(torch.cat(parts, -1), -1)


class Gcnn(nn.Module):
    """Gated convolutions [(W,4)]*L with residuals; the state is each layer's last 3 inputs. The
    filters lie as one product of the 4 inputs wants them, which is the fastest form here."""

    def __init__(self, options):
        super().__init__()
        width, kernel = options.width, 4
        self.layers = nn.ModuleList(nn.Linear(kernel * width, 2 * width)
                                    for _ in range(options.depth))
        self.start = torch.zeros(options.depth, 1, kernel - 1, width)

    def forward(self, x, state):
        carried = []
        for i, layer in enumerate(self.layers):
            rows = torch.cat([state[i], x.unsqueeze(1)], 1)
            carried.append(rows[:, 1:])
            x = (F.glu(layer(rows.flatten(1)), -1) + x) * math.sqrt(0.5)
        return x, torch.stack(carried)


class Lstm(nn.Module):
    """A stack of LSTM layers; the state is their h and c."""

    def __init__(self, options):
        super().__init__()
        self.lstm = nn.LSTM(options.width, options.width, options.depth)
        self.start = torch.zeros(2, options.depth, 1, options.width)

    def forward(self, x, state):
        y, (h, c) = self.lstm(x.unsqueeze(0), (state[0], state[1]))
        return y[0], torch.stack([h, c])


class Transformer(nn.Module):
    """Pre-norm blocks with rotary positions and a SwiGLU of 8/3; the state are keys, values."""

    def __init__(self, options):
        super().__init__()
        width, inner = options.width, options.width * 8 // 3
        self.heads = width // 64
        self.blocks = nn.ModuleList(
            nn.ModuleList([nn.LayerNorm(width), nn.Linear(width, 3 * width),
                           nn.Linear(width, width), nn.LayerNorm(width),
                           nn.Linear(width, 2 * inner), nn.Linear(inner, width)])
            for _ in range(options.depth))
        self.norm = nn.LayerNorm(width)
        self.register_buffer("frequencies", 10000.0 ** (-torch.arange(0, 64, 2) / 64))
        self.start = torch.zeros(options.depth, 2, self.heads, 0, 64)

    def rotated(self, x, position):
        angle = position * self.frequencies
        cos, sin = torch.cos(angle), torch.sin(angle)
        a, b = x[..., :32], x[..., 32:]
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

    def forward(self, x, state):
        position = state.size(3)
        kept = []
        for i, (norm, qkv, out, second, up, down) in enumerate(self.blocks):
            q, k, v = qkv(norm(x)).view(3, self.heads, 1, 64).unbind(0)
            keys = torch.cat([state[i, 0], self.rotated(k, position)], 1)
            values = torch.cat([state[i, 1], v], 1)
            kept.append(torch.stack([keys, values]))
            weights = torch.softmax(self.rotated(q, position) @ keys.transpose(1, 2) / 8, -1)
            x = x + out((weights @ values).reshape(1, -1))
            a, b = up(second(x)).chunk(2, -1)
            x = x + down(F.silu(a) * b)
        return self.norm(x), torch.stack(kept)


class Step(nn.Module):
    """Token and state to the next token and state."""

    def __init__(self, options):
        super().__init__()
        self.embedding = nn.Embedding(options.vocab, options.width)
        self.stack = {"gcnn": Gcnn, "lstm": Lstm, "transformer": Transformer}[options.arch](options)
        cutoffs = [int(cutoff) for cutoff in options.cutoffs.split(",")]
        self.distribution = Distribution(options.width, options.vocab, cutoffs)

    def forward(self, token, state):
        h, state = self.stack(self.embedding(token), state)
        return self.distribution(h), state


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--arch", choices=["gcnn", "lstm", "transformer"], default="gcnn")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--vocab", type=int, default=33278)
    parser.add_argument("--cutoffs", default="2000,10000")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--export", metavar="FILE.onnx")
    return parser.parse_args()


def export(step, path):
    """The step as a graph, and beside it what its state starts as."""
    dynamic = {"state": {3: "positions"}, "next_state": {3: "positions_and_one"}}
    start = step.stack.start
    shape = list(start.shape)
    grows = shape[3:4] == [0]
    example = torch.zeros(*shape[:3], 5, *shape[4:]) if grows else start
    torch.onnx.export(step, (torch.tensor([1]), example), path, opset_version=13,
                      input_names=["token", "state"], output_names=["next", "next_state"],
                      dynamic_axes=dynamic if grows else None)
    with open(path + ".json", "w", encoding="ascii") as description:
        json.dump({"state": shape}, description)


@torch.inference_mode()
def main():
    options = parse_options()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    step = Step(options).eval()
    if options.export:
        with torch.inference_mode(False), torch.no_grad():
            export(Step(options).eval(), options.export)
        return
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["quit"]:
            break
        token, state = torch.tensor([1]), step.stack.start
        begun = time.perf_counter()
        for _ in range(int(words[1])):
            token, state = step(token, state)
            int(token)  # as whoever prints it would
        print(json.dumps({"seconds": time.perf_counter() - begun, "tokens": int(words[1]),
                          "parameters": sum(p.numel() for p in step.parameters()),
                          "version": f"torch {torch.__version__}"}), flush=True)


if __name__ == "__main__":
    main()
