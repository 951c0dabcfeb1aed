#!/usr/bin/python3
"""Writes units.safetensors beside this file: `/usr/bin/python3 tests/golden/generate_units.py`; see
README.md here."""

import re

import numpy as np
import torch
import torch.nn.functional as F

from generate import normal, write_safetensors

ROWS, COLUMNS = 5, 9
PLANTED = [-20.0, -8.0, -1.25, 1.25, 8.0, 20.0]
ACTIVATIONS = {
    "identity": lambda x: x,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    # torch 1.13's own derivative takes 1/6 from float32, also in float64.
    "hardsigmoid": lambda x: F.relu6(x + 3) / 6,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": lambda x, beta=1.0: x * torch.sigmoid(beta * x) if beta != 1 else F.silu(x),
    "leaky_relu": lambda x, slope=float(np.float32(0.01)): F.leaky_relu(x, slope),
    "threshold": lambda x, threshold=1.0, value=0.0: F.threshold(x, threshold, value),
    "squared_relu": lambda x: F.relu(x).square(),
    "penalized_tanh": lambda x, a=0.25: torch.where(x > 0, torch.tanh(x), a * torch.tanh(x)),
}
for name in ("relu", "gelu", "logsigmoid", "hardtanh", "tanhshrink", "softsign",
             "softplus", "relu6", "elu", "celu", "selu", "mish", "hardswish", "softshrink",
             "hardshrink"):
    ACTIVATIONS[name] = getattr(F, name)
GATES = {
    "glu": "a*sigmoid(b)", "gtu": "tanh(a)*sigmoid(b)", "bilinear": "a*b", "reglu": "relu(a)*b",
    "reglu_sigmoid": "relu(a)*sigmoid(b)", "geglu": "gelu(a)*b", "geglu_tanh": "gelu_tanh(a)*b",
    "swiglu": "silu(a)*b", "seglu": "selu(a)*b", "leglu": "leaky_relu(a)*b",
}
GENERIC = ["mish(a)*b", "a*softplus(b)", "a*hardsigmoid(b)", "leaky_relu(0.2)(a)*b"]
PARAMETERS = ["silu(1.75)", "hardtanh(-2,0.5)", "softplus(2,10)", "leaky_relu(0.2)", "elu(0.5)",
              "celu(2)", "softshrink(0.25)", "hardshrink(0.25)", "threshold(-0.5,2)",
              "penalized_tanh(0.125)"]
LEARNED = ["prelu", "prelu(shared)", "swish", "swish(shared)", "rrelu", "rrelu(0.25,0.5)", "maxout",
           "maxout(3)"]


def activation(text):
    """name or name(number, ..), its numbers rounded to float32 as ours are."""
    name, arguments = re.fullmatch(r"(\w+)(?:\((.*)\))?", text).groups()
    numbers = [float(np.float32(word)) for word in arguments.split(",")] if arguments else []
    return lambda x: ACTIVATIONS[name](x, *numbers)


def factor(text, argument):
    if text == argument:
        return lambda x: x
    return activation(text[:-len(f"({argument})")])


def unit(name):
    """A function of z, and the factor by which z is wider than the output."""
    formula = GATES.get(name, name)
    if "*" not in formula:
        return activation(formula), 1
    f, g = formula.split("*")
    f, g = factor(f, "a"), factor(g, "b")
    return lambda z: f(z[:, :COLUMNS]) * g(z[:, COLUMNS:]), 2


def learned(name, random):
    """A function of z, the factor, and the parameter or None."""
    if name.startswith("maxout"):
        k = 3 if "3" in name else 2
        return lambda z: z.view(ROWS, k, COLUMNS).max(1).values, k, None
    if name.startswith("rrelu"):
        lower, upper = (0.25, 0.5) if "(" in name else (float(np.float32(1 / 8)),
                                                        float(np.float32(1 / 3)))
        return lambda z: F.rrelu(z, lower, upper, training=False), 1, None
    weight = normal(random, 1 if "shared" in name else COLUMNS).requires_grad_()
    if name.startswith("prelu"):
        return lambda z: F.prelu(z, weight), 1, weight
    return lambda z: z * torch.sigmoid(weight * z), 1, weight


def main():
    random = np.random.Generator(np.random.PCG64(1))
    tensors = {}
    for name in [*GATES, *ACTIVATIONS, *GENERIC, *PARAMETERS, *LEARNED]:
        parameter = None
        if name in LEARNED:
            function, wide, parameter = learned(name, random)
        else:
            function, wide = unit(name)
        z = normal(random, ROWS, wide * COLUMNS) * 2
        for half in range(wide):
            z[half, half * COLUMNS:half * COLUMNS + 6] = torch.tensor(PLANTED)
        z.requires_grad_()
        dy = normal(random, ROWS, COLUMNS)
        y = function(z)
        y.backward(dy)
        tensors.update({f"{name}.z": z, f"{name}.dy": dy, f"{name}.y": y, f"{name}.dz": z.grad})
        if parameter is not None:
            tensors.update({f"{name}.parameter": parameter, f"{name}.dparameter": parameter.grad})
    write_safetensors("units.safetensors", tensors, {"torch": torch.__version__})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
