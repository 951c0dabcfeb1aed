#!/usr/bin/python3
"""Writes norms.safetensors and softmax.safetensors beside this file:
`/usr/bin/python3 tests/golden/generate_norms.py`; see README.md here."""

import json

import numpy as np
import torch

from generate import normal, write_safetensors

SHAPES = {"rows": (7, 6), "sequence": (3, 5, 6), "image": (2, 6, 3, 5)}
GROUPS = 3


class RMSNorm(torch.nn.Module):
    """Zhang & Sennrich 2019, over `dims`, one weight per channel of dimension 1."""

    def __init__(self, channels, dims, affine):
        super().__init__()
        self.dims = dims
        self.weight = torch.nn.Parameter(torch.ones(channels)) if affine else None

    def forward(self, x):
        y = x * torch.rsqrt((x * x).mean(self.dims, keepdim=True) + 1e-5)
        if self.weight is None:
            return y
        return y * self.weight.view(1, -1, *[1] * (x.dim() - 2))


class ChannelsLastLayerNorm(torch.nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def module(kind, form, affine, channels):
    """For [N, C, ...] inputs, as PyTorch has them."""
    image = form == "image"
    if kind == "batch":
        return (torch.nn.BatchNorm2d if image else torch.nn.BatchNorm1d)(channels, affine=affine)
    if kind == "layer":
        if image:
            return torch.nn.GroupNorm(1, channels, affine=affine)
        return ChannelsLastLayerNorm(channels, elementwise_affine=affine)
    if kind == "instance":
        return (torch.nn.InstanceNorm2d if image else torch.nn.InstanceNorm1d)(channels,
                                                                               affine=affine)
    if kind == "group":
        return torch.nn.GroupNorm(GROUPS, channels, affine=affine)
    return RMSNorm(channels, (1, 2, 3) if image else (1,), affine)


def norms():
    random = np.random.Generator(np.random.PCG64(21))
    tensors, cases = {}, []
    for form, shape in SHAPES.items():
        channels = shape[1] if form == "image" else shape[-1]
        for kind in ("batch", "layer", "instance", "group", "rms"):
            if kind == "instance" and form == "rows":
                continue
            for affine in (True, False):
                norm = module(kind, form, affine, channels).double()
                name = f"{kind}.{form}.{'affine' if affine else 'plain'}"
                cases.append(name)
                values = {"x": (normal(random, *shape) * 2 + 0.5).float().double(), "dy": normal(random, *shape)}
                for key, parameter in norm.named_parameters():
                    with torch.no_grad():
                        parameter.copy_(normal(random, channels) + (1 if key == "weight" else 0))
                    values[key] = parameter
                # PyTorch's sequences have channels second.
                turn = (lambda t: t.movedim(-1, 1)) if form == "sequence" else (lambda t: t)
                back = (lambda t: t.movedim(1, -1)) if form == "sequence" else (lambda t: t)
                modes = ("train", "eval") if kind == "batch" else ("train",)
                for mode in modes:  # batch norm: two steps of training, then evaluation
                    norm.train(mode == "train")
                    if kind == "batch" and mode == "train":
                        norm(turn(values["dy"] * 3 + 1))
                    norm.zero_grad()
                    x = values["x"].clone().requires_grad_()
                    y = back(norm(turn(x)))
                    y.backward(values["dy"])
                    values.update({f"{mode}.y": y, f"{mode}.dx": x.grad})
                    values.update({f"{mode}.d{key}": parameter.grad.clone()
                                   for key, parameter in norm.named_parameters()})
                    if kind == "batch":
                        values.update({f"{mode}.{key}": buffer.clone()
                                       for key, buffer in norm.named_buffers()
                                       if key != "num_batches_tracked"})
                tensors.update({f"{name}.{key}": value for key, value in values.items()})
    write_safetensors("norms.safetensors", tensors,
                      {"cases": json.dumps(cases), "groups": GROUPS})


def softmax():
    random = np.random.Generator(np.random.PCG64(22))
    tensors = {}
    x = normal(random, 6, 21) * 3
    x[1] = normal(random, 21) * 1e4
    x[2, ::2] = -np.inf
    x[3] = -np.inf
    x[4, 5] = np.nan
    x[5, 7] = 1e4
    x = x.float().double()
    dy = normal(random, 6, 21)
    functions = {"softmax": torch.nn.functional.softmax,
                 "log_softmax": torch.nn.functional.log_softmax,
                 "softmin": torch.nn.functional.softmin}
    tensors.update(x=x, dy=dy)
    for name, function in functions.items():
        # softmin of -Inf is 1 over the number of infinities in the limit, NaN in PyTorch.
        leaf = x.clone().requires_grad_()
        y = function(leaf, -1)
        y.backward(dy)
        tensors.update({f"{name}.y": y, f"{name}.dx": leaf.grad})
    write_safetensors("softmax.safetensors", tensors, {})


if __name__ == "__main__":
    torch.set_num_threads(1)
    norms()
    softmax()
