#!/usr/bin/python3
"""Writes conditions.safetensors beside this file:
`/usr/bin/python3 tests/golden/generate_conditions.py`; see README.md here."""

import numpy as np
import torch

from generate import normal, write_safetensors

BATCH, TIME, CHANNELS, OUTPUTS, KERNEL, LABELS = 2, 7, 5, 4, 3, 3
UNITS = {
    "gtu": lambda a, b: torch.tanh(a) * torch.sigmoid(b),  # van den Oord et al. 2016, eq. 4
    "glu": lambda a, b: a * torch.sigmoid(b),
    "reglu": lambda a, b: torch.relu(a) * b,
}


def conditional_gate(x, values, labels, unit):
    """unit(W * x + b + V h), W = g v / |v|, over a causal convolution of x [B, T, C]."""
    v = values["weight_v"]
    weight = values["weight_g"] * v / v.flatten(1).norm(dim=1).view(-1, 1, 1)
    padded = torch.nn.functional.pad(x.movedim(2, 1), (KERNEL - 1, 0))
    z = torch.nn.functional.conv1d(padded, weight, values["bias"]).movedim(1, 2)
    hot = torch.nn.functional.one_hot(labels, LABELS + 1).double()
    a, b = (z + hot @ values["condition.weight"]).chunk(2, dim=-1)
    return UNITS[unit](a, b)


def main():
    random = np.random.Generator(np.random.PCG64(41))
    tensors = {}
    for unit in UNITS:
        values = {
            "x": normal(random, BATCH, TIME, CHANNELS),
            "weight_v": normal(random, 2 * OUTPUTS, CHANNELS, KERNEL),
            "weight_g": (1 + 0.2 * normal(random, 2 * OUTPUTS, 1, 1)).float().double(),
            "bias": normal(random, 2 * OUTPUTS),
            "condition.weight": normal(random, LABELS + 1, 2 * OUTPUTS),
        }
        for value in values.values():
            value.requires_grad_()
        labels = torch.from_numpy(random.integers(0, LABELS + 1, (BATCH, TIME)))
        dy = normal(random, BATCH, TIME, OUTPUTS)
        y = conditional_gate(values["x"], values, labels, unit)
        y.backward(dy)
        values.update({f"d{key}": value.grad for key, value in list(values.items())})
        values.update({"labels": labels.int(), "dy": dy, "y": y})
        tensors.update({f"{unit}.{key}": value for key, value in values.items()})
    write_safetensors("conditions.safetensors", tensors, dict(kernel=KERNEL, labels=LABELS))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
