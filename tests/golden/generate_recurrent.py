#!/usr/bin/python3
"""Writes recurrent.safetensors: `/usr/bin/python3 tests/golden/generate_recurrent.py`.

The oracle is torch.nn.RNN, LSTM and GRU where PyTorch has the cell, and otherwise the cell's
formulas written step by step for torch's autograd. See README.md here for what the file holds.
"""

import numpy as np
import torch

from generate import normal, write_safetensors

BATCH, TIME, INPUT, HIDDEN, LAYERS = 3, 5, 6, 7, 2


def gru_before(x, h, p, _):
    """Cho et al. 2014, eqs. 5 to 8, z as PyTorch has it."""
    n = h.shape[1]
    a = x @ p["weight_ih"].T + p["bias_ih"]
    w = p["weight_hh"]
    r = torch.sigmoid(a[:, :n] + h @ w[:n].T)
    z = torch.sigmoid(a[:, n:2 * n] + h @ w[n:2 * n].T)
    candidate = torch.tanh(a[:, 2 * n:] + (r * h) @ w[2 * n:].T)
    return (1 - z) * candidate + z * h, None


def mut1(x, h, p, _):
    """Jozefowicz et al. 2015, section 4; weight_ih r, z (, x'), weight_hh r, h, bias r, z, h."""
    n = h.shape[1]
    w, u, b = p["weight_ih"], p["weight_hh"], p["bias_ih"]
    r = torch.sigmoid(x @ w[:n].T + h @ u[:n].T + b[:n])
    z = torch.sigmoid(x @ w[n:2 * n].T + b[n:2 * n])
    projected = x if x.shape[1] == n else x @ w[2 * n:].T
    return torch.tanh((r * h) @ u[n:].T + torch.tanh(projected) + b[2 * n:]) * z + h * (1 - z), None


def indrnn(x, h, p, _):
    """Li et al. 2018, eq. 2."""
    return torch.relu(x @ p["weight_ih"].T + p["weight_hh"] * h + p["bias_ih"]), None


def lstm_without(removed):
    """An LSTM whose gates named in `removed` are 1; blocks i, f, g, o without those."""
    def step(x, h, p, c):
        n = h.shape[1]
        a = x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias_ih"]
        names = [name for name in "ifgo" if name not in removed]
        gate = {name: a[:, k * n:(k + 1) * n] for k, name in enumerate(names)}
        i, f, o = (torch.sigmoid(gate[name]) if name in gate else torch.ones_like(h)
                   for name in "ifo")
        c = f * c + i * torch.tanh(gate["g"])
        return o * torch.tanh(c), c
    return step


def stepwise(step, x, states, parameters):
    """Layers of a cell given as a function of one step."""
    last = []
    for layer, p in enumerate(parameters):
        h, c, outputs = states["h"][layer], states["c"][layer], []
        for t in range(x.shape[1]):
            h, c = step(x[:, t], h, p, c)
            outputs.append(h)
        x = torch.stack(outputs, 1)
        last.append(h)
    return x, torch.stack(last)


def module(kind, **options):
    def run(x, states, parameters):
        net = kind(INPUT, HIDDEN, LAYERS, batch_first=True, **options).double()
        for name, _ in list(net.named_parameters()):
            base, layer = name.rsplit("_l", 1)
            delattr(net, name)
            setattr(net, name, parameters[int(layer)][base])
        net._flat_weights = [getattr(net, name) for name in net._flat_weights_names]
        first = (states["h"], states["c"]) if kind is torch.nn.LSTM else states["h"]
        y, last = net(x, first)
        return y, last[0] if kind is torch.nn.LSTM else last
    return run


def blocks(ih, hh, bias, second=False):
    """Shapes of a layer's parameters in multiples of H."""
    def shapes(inputs):
        found = {"weight_ih": (ih * HIDDEN, inputs),
                 "weight_hh": (hh * HIDDEN, HIDDEN) if hh else (HIDDEN,),
                 "bias_ih": (bias * HIDDEN,)}
        return found | ({"bias_hh": (bias * HIDDEN,)} if second else {})
    return shapes


def mut1_shapes(inputs):
    return blocks(2 if inputs == HIDDEN else 3, 2, 3)(inputs)


def by_steps(step):
    return lambda x, states, parameters: stepwise(step, x, states, parameters)


CASES = {
    "rnn_tanh": (blocks(1, 1, 1, True), module(torch.nn.RNN, nonlinearity="tanh")),
    "rnn_relu": (blocks(1, 1, 1, True), module(torch.nn.RNN, nonlinearity="relu")),
    "lstm": (blocks(4, 4, 4, True), module(torch.nn.LSTM)),
    "lstm_i": (blocks(3, 3, 3), by_steps(lstm_without("i"))),
    "lstm_f": (blocks(3, 3, 3), by_steps(lstm_without("f"))),
    "lstm_o": (blocks(3, 3, 3), by_steps(lstm_without("o"))),
    "lstm_ifo": (blocks(1, 1, 1), by_steps(lstm_without("ifo"))),
    "gru": (blocks(3, 3, 3, True), module(torch.nn.GRU)),
    "gru_before": (blocks(3, 3, 3), by_steps(gru_before)),
    "mut1": (mut1_shapes, by_steps(mut1)),
    "indrnn": (blocks(1, 0, 1), by_steps(indrnn)),
}


def main():
    torch.set_num_threads(1)
    tensors = {}
    for seed, (name, (shapes, run)) in enumerate(CASES.items()):
        random = np.random.Generator(np.random.PCG64(1000 + seed))
        x = normal(random, BATCH, TIME, INPUT).requires_grad_()
        dy = normal(random, BATCH, TIME, HIDDEN)
        states = {key: 0.5 * normal(random, LAYERS, BATCH, HIDDEN) for key in "hc"}
        parameters = [{key: (0.5 * normal(random, *shape)).requires_grad_()
                       for key, shape in shapes(HIDDEN if layer else INPUT).items()}
                      for layer in range(LAYERS)]
        y, last = run(x, states, parameters)
        y.backward(dy)
        tensors.update({f"{name}.x": x, f"{name}.dy": dy, f"{name}.h": states["h"],
                        f"{name}.c": states["c"], f"{name}.y": y, f"{name}.last": last,
                        f"{name}.dx": x.grad})
        for layer, p in enumerate(parameters):
            for key, value in p.items():
                tensors[f"{name}.{layer}.{key}"] = value
                tensors[f"{name}.{layer}.d{key}"] = value.grad
    write_safetensors("recurrent.safetensors", tensors, {"cases": ",".join(CASES)})


if __name__ == "__main__":
    main()
