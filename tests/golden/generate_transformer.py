#!/usr/bin/python3
"""Writes transformer.safetensors beside this file; see README.md here for what it holds."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from generate import normal, write_safetensors

ACTIVATIONS = {"swiglu": F.silu, "geglu": F.gelu, "relu": F.relu}
# heads, window, rows of context, rotary
ATTENTION = {"plain": (2, 100, 0, False), "window": (2, 4, 0, False), "context": (1, 6, 9, False),
             "rotary": (2, 5, 3, True)}
DIM, HEADS, WINDOW, WIDTH = 12, 3, 5, 10


def feed_forward(x, w_in, b_in, w_out, b_out, unit):
    """The three Linears of Shazeer 2020 (two without a gate)."""
    act = ACTIVATIONS[unit]
    if unit == "relu":
        return F.linear(act(F.linear(x, w_in, b_in)), w_out, b_out)
    (w, v), (b, c) = w_in.chunk(2), b_in.chunk(2)
    return F.linear(act(F.linear(x, w, b)) * F.linear(x, v, c), w_out, b_out)


def rotate(x, heads, first):
    """GPT-NeoX's rotary embedding of x [B, T, D] from position `first` on."""
    batch, time, dim = x.shape
    d = dim // heads
    frequency = 10000.0 ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = torch.outer(torch.arange(first, first + time, dtype=x.dtype), frequency)
    cos, sin = (torch.cat((f(angle), f(angle)), -1)[:, None] for f in (torch.cos, torch.sin))
    y = x.view(batch, time, heads, d)
    half = torch.cat((-y[..., d // 2:], y[..., :d // 2]), -1)
    return (y * cos + half * sin).view(batch, time, dim)


def attention(q, k, v, heads, window, rotary):
    """softmax(QK^T / sqrt(d) + mask) V; k and v begin with the context."""
    (batch, time, dim), keys = q.shape, k.shape[1]
    if rotary:
        q, k = rotate(q, heads, keys - time), rotate(k, heads, 0)
    q, k, v = (x.view(batch, -1, heads, dim // heads).transpose(1, 2) for x in (q, k, v))
    query, key = torch.arange(keys - time, keys)[:, None], torch.arange(keys)
    hidden = (key > query) | (key <= query - window)
    mask = torch.zeros(time, keys, dtype=q.dtype).masked_fill(hidden, -math.inf)
    y = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(dim // heads) + mask, -1) @ v
    return y.transpose(1, 2).reshape(batch, time, dim)


def gradients(prefix, tensors, inputs, y, dy):
    """Stores inputs, the output, its gradient and those of the inputs that require one."""
    y.backward(dy)
    tensors.update({prefix + "y": y.float(), prefix + "dy": dy.float()})
    for name, value in inputs.items():
        tensors[prefix + name] = value.float()
        if value.grad is not None:
            tensors[f"{prefix}d.{name}"] = value.grad.float()


def leaf(random, *shape, scale=1.0):
    return (scale * normal(random, *shape)).float().double().requires_grad_()


def feed_forwards(random, tensors):
    for unit in ACTIVATIONS:
        m = 7 if unit == "relu" else 14
        inputs = {"x": leaf(random, 9, 6), "w_in": leaf(random, m, 6), "b_in": leaf(random, m),
                  "w_out": leaf(random, 5, 7), "b_out": leaf(random, 5)}
        y = feed_forward(*inputs.values(), unit)
        gradients(f"ffn.{unit}.", tensors, inputs, y, normal(random, 9, 5))


def attentions(random, tensors):
    for name, (heads, window, context, rotary) in ATTENTION.items():
        q, k, v = (leaf(random, 2, 11, 8) for _ in range(3))
        inputs = {"q": q, "k": k, "v": v}
        if context:
            inputs["k_context"], inputs["v_context"] = (normal(random, 2, context, 8)
                                                        for _ in range(2))
            k = torch.cat((inputs["k_context"], k), 1)
            v = torch.cat((inputs["v_context"], v), 1)
        y = attention(q, k, v, heads, window, rotary)
        gradients(f"attention.{name}.", tensors, inputs, y, normal(random, 2, 11, 8))


def block(random, tensors):
    """A pre-norm block with rotary positions, SwiGLU and a context."""
    inputs = {"x": leaf(random, 2, 9, DIM), "context": normal(random, 2, 3, 2 * DIM)}
    shapes = {"attention.qkv": (3 * DIM, DIM), "attention.out": (DIM, DIM),
              "ffn.in": (2 * WIDTH, DIM), "ffn.out": (DIM, WIDTH)}
    for norm in ("attention_norm", "ffn_norm"):
        inputs[f"{norm}.weight"] = (1 + leaf(random, DIM, scale=0.2)).detach().float().double() \
            .requires_grad_()
        inputs[f"{norm}.bias"] = leaf(random, DIM, scale=0.2)
    for name, shape in shapes.items():
        inputs[name + ".weight"] = leaf(random, *shape, scale=0.4)
        inputs[name + ".bias"] = leaf(random, shape[0], scale=0.2)

    def norm(x, name):
        return F.layer_norm(x, (DIM,), inputs[name + ".weight"], inputs[name + ".bias"])

    def linear(x, name):
        return F.linear(x, inputs[name + ".weight"], inputs[name + ".bias"])

    x = inputs["x"]
    q, k, v = linear(norm(x, "attention_norm"), "attention.qkv").chunk(3, -1)
    k_context, v_context = inputs["context"].chunk(2, -1)
    seen = attention(q, torch.cat((k_context, k), 1), torch.cat((v_context, v), 1), HEADS, WINDOW,
                     True)
    x = x + linear(seen, "attention.out")
    y = x + feed_forward(norm(x, "ffn_norm"), inputs["ffn.in.weight"], inputs["ffn.in.bias"],
                         inputs["ffn.out.weight"], inputs["ffn.out.bias"], "swiglu")
    gradients("block.", tensors, inputs, y, normal(random, 2, 9, DIM))


def main():
    torch.set_num_threads(1)
    random = np.random.Generator(np.random.PCG64(41))
    tensors = {}
    feed_forwards(random, tensors)
    attentions(random, tensors)
    for first in (0, 1000):
        inputs = {"x": leaf(random, 2, 5, 12)}
        gradients(f"rotary.{first}.", tensors, inputs, rotate(inputs["x"], 2, first),
                  normal(random, 2, 5, 12))
    block(random, tensors)
    metadata = {f"attention.{name}": " ".join(map(str, map(int, settings)))
                for name, settings in ATTENTION.items()}
    metadata["block"] = f"{HEADS} {WINDOW} {WIDTH}"
    write_safetensors("transformer.safetensors", tensors, metadata)


if __name__ == "__main__":
    main()
