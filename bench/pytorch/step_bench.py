#!/usr/bin/python3
"""Times the PyTorch twin's training and evaluation steps, by the protocol of bench/README.md.

    printf 'go 3\ngo 5\nquit\n' | bench/pytorch/step_bench.py --layers '[(256,4)]*8' --dim 256
"""

import argparse
import json
import math
import sys
import time

import numpy as np
import torch

import twin

RING = 32


def synthetic_batches(batch, context, vocabulary):
    """RING batches [B, T+1] of log-uniform tokens from the generator of bench/README.md."""
    state, tokens = 1, np.empty(RING * batch * (context + 1), np.int64)
    scale = math.log(vocabulary + 1)
    for i in range(len(tokens)):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        u = (state >> 11) * 2.0**-53
        tokens[i] = min(vocabulary - 1, int(math.exp(u * scale)) - 1)
    return torch.from_numpy(tokens.reshape(RING, batch, context + 1))


def peak_rss_bytes():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def loaded_blas():
    """The BLAS library torch runs on: Debian's reference BLAS would make it slow unfairly."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return sorted({line.split()[-1] for line in maps if "blas" in line.split()[-1]})


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    twin.add_model_options(parser)
    parser.add_argument("--vocab", type=int, default=33278)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--mode", choices=["train", "eval"], default="train")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main():
    options = parse_options()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    bf16 = options.precision == "bf16"
    baseline = peak_rss_bytes()
    model = twin.build_model(options, options.vocab)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.99, nesterov=True)
    batches = synthetic_batches(options.batch, options.context, options.vocab)
    contexts, done = None, 0

    def train_step(tokens, targets):
        nonlocal contexts
        loss, contexts = twin.train_step(model, optimizer, tokens, targets, contexts, 0.1, bf16)
        return loss

    @torch.no_grad()
    def eval_step(tokens, targets):
        nonlocal contexts
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            hidden, contexts = model(tokens, contexts)
            return -model.target_log_probs(hidden, targets.reshape(-1)).mean()

    step = train_step if options.mode == "train" else eval_step
    if options.mode == "eval":
        model.freeze()
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["quit"]:
            break
        if len(words) != 2 or words[0] != "go" or not words[1].isdigit() or words[1] == "0":
            sys.exit(f"expected 'go STEPS' or 'quit', got '{line.strip()}'")
        steps = int(words[1])
        begun = time.perf_counter()
        for _ in range(steps):
            data = batches[done % RING]
            loss = step(data[:, :-1], data[:, 1:])
            done += 1
        seconds = time.perf_counter() - begun
        print(json.dumps({
            "seconds": seconds, "tokens": steps * options.batch * options.context,
            "peak_rss_bytes": peak_rss_bytes(), "baseline_rss_bytes": baseline,
            "loss": loss.item(), "parameters": sum(p.numel() for p in model.parameters()),
            "version": f"torch {torch.__version__}", "blas": loaded_blas()}), flush=True)


if __name__ == "__main__":
    main()
