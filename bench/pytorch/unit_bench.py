#!/usr/bin/python3
"""PyTorch's side of bench/compare_units.py: times one op at a time, called as a user calls it, by
the protocol of bench/README.md.

    printf 'case {"op": "gelu", "direction": "forward", "outputs": 4096, "columns": 512, '\\
           '"threads": 1}\\ngo 100\\nquit\\n' | bench/pytorch/unit_bench.py
"""

import itertools
import json
import math
import re
import sys
import time

import torch
import torch.nn.functional as F

ACTIVATIONS = {
    "celu": F.celu,
    "elu": F.elu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "hardshrink": F.hardshrink,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "leaky_relu": F.leaky_relu,
    "logsigmoid": F.logsigmoid,
    "mish": F.mish,
    "penalized_tanh": lambda x: torch.where(x > 0, torch.tanh(x), 0.25 * torch.tanh(x)),
    "relu": F.relu,
    "relu6": F.relu6,
    "squared_relu": lambda x: F.relu(x).square(),
    "selu": F.selu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "softplus": F.softplus,
    "softshrink": F.softshrink,
    "softsign": F.softsign,
    "tanh": torch.tanh,
    "tanhshrink": F.tanhshrink,
    "threshold": lambda x: F.threshold(x, 1.0, 0.0),
}
GATES = {
    "gtu": ("tanh", "sigmoid"),
    "bilinear": (None, None),
    "reglu": ("relu", None),
    "reglu_sigmoid": ("relu", "sigmoid"),
    "geglu": ("gelu", None),
    "geglu_tanh": ("gelu_tanh", None),
    "swiglu": ("silu", None),
    "seglu": ("selu", None),
    "leglu": ("leaky_relu", None),
}


def gate(f, g):
    """f(a) * g(b) of the halves of z, as one writes it."""
    f, g = ACTIVATIONS.get(f), ACTIVATIONS.get(g)

    def call(z):
        a, b = z.chunk(2, -1)
        return (f(a) if f else a) * (g(b) if g else b)

    return call


def find_unit(name):
    """The function of a unit's name, and how many halves its input has; None if unknown."""
    if name == "glu":
        return F.glu, 2
    if name in ACTIVATIONS:
        return ACTIVATIONS[name], 1
    if name in GATES:
        return gate(*GATES[name]), 2
    generic = re.fullmatch(r"(\w+)\(a\)\*b|a\*(\w+)\(b\)", name)
    if generic and (generic[1] or generic[2]) in ACTIVATIONS:
        return gate(generic[1], generic[2]), 2
    return None, 0


LAYER_UNITS = {  # a function of x, and of one number for each channel where it is learned
    "prelu": (F.prelu, 1, 1),
    "swish": (lambda x, beta: x * torch.sigmoid(beta * x), 1, 1),
    "rrelu": (lambda x: F.rrelu(x, training=True), 1, 0),
    "maxout": (lambda z: z.view(len(z), 2, -1).max(1).values, 2, 0),
}

IMAGE, SMALL_IMAGE = (64, 8, 8), (8, 1, 2)  # channels, height, width


def find_norm(name):
    """A function of x, and as many parameters as it takes; None if unknown. Group and instance norm
    take images, the others rows."""
    def rms_norm(x, weight):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * weight

    def batch_norm(x, weight, bias):
        channels = x.size(1)
        return F.batch_norm(x, torch.zeros(channels), torch.ones(channels), weight, bias, True)

    return {
        "softmax": (lambda x: F.softmax(x, -1), 0),
        "log_softmax": (lambda x: F.log_softmax(x, -1), 0),
        "softmin": (lambda x: F.softmin(x, -1), 0),
        "layer_norm": (lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b), 2),
        "rms_norm": (rms_norm, 1),
        "group_norm": (lambda x, w, b: F.group_norm(x, 8, w, b), 2),
        "instance_norm": (lambda x, w, b: F.instance_norm(x, weight=w, bias=b), 2),
        "batch_norm": (batch_norm, 2),
    }.get(name, (None, 0))


def values(*shape):
    """Uniform in [-3, 3], the same 65,536 numbers over and over."""
    count = math.prod(shape)
    some = torch.rand(min(count, 65536)) * 6 - 3
    return some.repeat(-(-count // len(some)))[:count].reshape(shape)


def is_known(name):
    return (find_norm(name)[0] is not None or name in LAYER_UNITS
            or find_unit(name)[0] is not None)


class Case:
    """An op on made-up inputs, in one direction. Forward records for a gradient, as in training;
    backward is autograd's, through a graph kept from one forward pass."""

    def __init__(self, wanted):
        torch.set_num_threads(wanted["threads"])
        name, outputs = wanted["op"], wanted["outputs"]
        columns = min(outputs // 2, wanted["columns"])
        function, parameters = find_norm(name)
        if name in LAYER_UNITS:
            function, blocks, parameters = LAYER_UNITS[name]
            self.inputs = [values(outputs // columns, blocks * columns)]
            self.inputs += [values(columns) for _ in range(parameters)]
        elif function is None:
            function, halves = find_unit(name)
            self.inputs = [values(outputs // columns, halves * columns)]
        elif name in ("group_norm", "instance_norm"):
            image = IMAGE if outputs >= math.prod(IMAGE) else SMALL_IMAGE
            self.inputs = [values(outputs // math.prod(image), *image)]
            self.inputs += [values(image[0]) for _ in range(parameters)]
        else:
            self.inputs = [values(outputs // columns, columns)]
            self.inputs += [values(columns) for _ in range(parameters)]
        for tensor in self.inputs:
            tensor.requires_grad_()
        self.function = function
        self.backward = wanted["direction"] == "backward"
        if self.backward:
            self.y = function(*self.inputs)
            self.dy = values(*self.y.shape)

    def time(self, calls):
        repeats = itertools.repeat(None, calls)
        if self.backward:
            grad, y, inputs, dy = torch.autograd.grad, self.y, self.inputs, self.dy
            begun = time.perf_counter()
            for _ in repeats:
                grad(y, inputs, dy, retain_graph=True)
        else:
            function, inputs = self.function, self.inputs
            begun = time.perf_counter()
            for _ in repeats:
                function(*inputs)
        return time.perf_counter() - begun


def main():
    torch.manual_seed(1)
    case = None
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "quit":
            break
        if word == "case":
            case = None
            wanted = json.loads(rest)
            reply = {"known": is_known(wanted["op"]),
                     "version": f"torch {torch.__version__}"}
            if reply["known"]:
                case = Case(wanted)
        elif word == "go" and case is not None and rest.isdigit() and int(rest) > 0:
            case.time(1)  # the other program's turn cooled the caches
            reply = {"seconds": case.time(int(rest)), "calls": int(rest)}
        else:
            sys.exit(f"expected 'case', 'go N' or 'quit', got '{line.strip()}'")
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
