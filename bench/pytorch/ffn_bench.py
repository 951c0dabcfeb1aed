#!/usr/bin/python3
"""Times PyTorch's feed-forward layer: forward, or forward and backward, by the protocol of
bench/README.md.

    printf 'go 3\\ngo 5\\nquit\\n' | bench/pytorch/ffn_bench.py --unit swiglu --dim 512 --width 1365
"""

import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F

from step_bench import loaded_blas, peak_rss_bytes

ACTIVATIONS = {"swiglu": F.silu, "geglu": F.gelu, "reglu": F.relu, "glu": torch.sigmoid,
               "relu": F.relu, "gelu": F.gelu, "silu": F.silu}
GATES = ("swiglu", "geglu", "reglu", "glu")


class FeedForward(torch.nn.Module):
    """(f(xW) * xV) W2 of Shazeer 2020 (for glu: xW * f(xV)), or f(xW) W2."""

    def __init__(self, unit, dim, width, bias):
        super().__init__()
        self.act, self.unit = ACTIVATIONS[unit], unit
        self.first = torch.nn.Linear(dim, width, bias=bias)
        self.gate = torch.nn.Linear(dim, width, bias=bias) if unit in GATES else None
        self.second = torch.nn.Linear(width, dim, bias=bias)

    def forward(self, x):
        a = self.first(x)
        if self.gate is None:
            return self.second(self.act(a))
        b = self.gate(x)
        return self.second(a * self.act(b) if self.unit == "glu" else self.act(a) * b)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--unit", choices=sorted(ACTIVATIONS), default="swiglu")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--width", type=int, default=1365)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--bias", action="store_true")
    parser.add_argument("--mode", choices=["train", "eval"], default="train")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main():
    options = parse_options()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    baseline = peak_rss_bytes()
    train = options.mode == "train"
    model = FeedForward(options.unit, options.dim, options.width, options.bias)
    x = torch.randn(options.tokens, options.dim, requires_grad=train)
    dy = torch.randn(options.tokens, options.dim)

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.precision == "bf16"), \
                torch.set_grad_enabled(train):
            y = model(x)
        if train:
            for variable in (x, *model.parameters()):
                variable.grad = None
            y.backward(dy.to(y.dtype))
        return y

    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["quit"]:
            break
        if len(words) != 2 or words[0] != "go" or not words[1].isdigit() or words[1] == "0":
            sys.exit(f"expected 'go STEPS' or 'quit', got '{line.strip()}'")
        steps = int(words[1])
        begun = time.perf_counter()
        for _ in range(steps):
            y = step()
        seconds = time.perf_counter() - begun
        print(json.dumps({
            "seconds": seconds, "tokens": steps * options.tokens,
            "peak_rss_bytes": peak_rss_bytes(), "baseline_rss_bytes": baseline,
            "mean_square": float((y.detach().float() ** 2).mean()),
            "parameters": sum(p.numel() for p in model.parameters()), "blas": loaded_blas()}))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
