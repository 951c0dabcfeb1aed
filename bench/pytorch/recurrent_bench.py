#!/usr/bin/python3
"""Times forward and backward of one of PyTorch's recurrent layers, by the protocol of
bench/README.md.

    printf 'go 3\ngo 5\nquit\n' | bench/pytorch/recurrent_bench.py --cell lstm --hidden 512
"""

import argparse
import json
import sys
import time

import torch


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cell", choices=["rnn", "lstm", "gru"], default="lstm")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--mode", choices=["train", "eval"], default="train")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layout", choices=["batch", "time"], default="batch",
                        help="which dimension comes first")
    return parser.parse_args()


def main():
    options = parse_options()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[options.cell]
    batch_first = options.layout == "batch"
    layer = kind(options.hidden, options.hidden, batch_first=batch_first)
    first = (options.batch, options.context) if batch_first else (options.context, options.batch)
    x = torch.randn(*first, options.hidden, requires_grad=True)
    dy = torch.randn(*first, options.hidden)

    def train_step():
        x.grad = None
        layer.zero_grad(set_to_none=True)
        y, _ = layer(x)
        y.backward(dy)
        return y

    @torch.no_grad()
    def eval_step():
        return layer(x)[0]

    step = train_step if options.mode == "train" else eval_step
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
        print(json.dumps({"seconds": seconds,
                          "tokens": steps * options.batch * options.context,
                          "loss": (y.detach() * dy).sum().item(),
                          "version": f"torch {torch.__version__}"}), flush=True)


if __name__ == "__main__":
    main()
