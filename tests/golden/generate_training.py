#!/usr/bin/python3
"""Writes training.safetensors: `/usr/bin/python3 tests/golden/generate_training.py`.

A whole training of every architecture, with dropout, weight decay, a norm, clipping, warm-up and
carried state, in float64 by PyTorch's autograd and optimizers. Dropout's masks come from the
counter-based generator that Sluice uses (Philox4x32-10, Salmon et al. 2011), written anew here. See
README.md here for what the file holds.
"""

import json
import math

import numpy as np
import torch
import torch.nn.functional as F

from generate import draw_tokens, normal, write_safetensors
from generate_recurrent import indrnn, mut1
from generate_transformer import attention, feed_forward

VOCABULARY, DIM, BATCH, CONTEXT, STEPS, EVERY = 30, 12, 4, 8, 24, 12
TRAIN, VALID, SEED = 330, 90, 3
ADAMW = {"optimizer": "adamw", "lr": 0.02, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-8,
         "weight_decay": 0.3, "clip": 0.25}
ADAM = ADAMW | {"optimizer": "adam", "weight_decay": 0.02}
NESTEROV = {"optimizer": "nesterov", "lr": 0.2, "momentum": 0.9, "weight_decay": 0.02, "clip": 0.25}
SGD = NESTEROV | {"optimizer": "sgd"}

RECURRENT = {"depth": 2, "hidden": DIM, "residual": False, "variational": False}
# Model and optimizer of each architecture: a norm each, and what else can be told apart.
CASES = {
    "gcnn": ({"norm": "weight", "layers": "[(12,3),(8,1,0),(12,3,2)]", "unit": "glu",
              "softmax": "adaptive", "cutoffs": [12]}, NESTEROV),
    "rnn": ({"norm": "layer", **RECURRENT, "unit": "tanh"}, SGD),
    "lstm": ({"norm": "layer", **RECURRENT, "variational": True, "forget_bias": 1.0,
              "removed_gates": [], "tie": True}, ADAMW),
    "gru": ({"norm": "rms", **RECURRENT, "reset": "after"}, ADAMW),
    "indrnn": ({"norm": "batch", **RECURRENT, "depth": 3, "residual": True, "bound": 0.9}, ADAM),
    "mut1": ({"norm": "group", "groups": 3, **RECURRENT}, ADAMW),
    "transformer": ({"norm": "layer", "depth": 2, "heads": 2, "window": 6, "positions": "rotary",
                     "ffn": "swiglu", "ffn_width": 10, "softmax": "adaptive", "cutoffs": [10]},
                    ADAMW),
}
DROPOUT = 0.25


def philox(counter, key):
    """Words [n, 4] of the blocks whose counters are [n, 4], uint32."""
    counter, low = [counter[:, i].astype(np.uint64) for i in range(4)], np.uint64(0xFFFFFFFF)
    for _ in range(10):
        product0, product1 = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(product1 >> 32) ^ counter[1] ^ key[0], product1 & low,
                   (product0 >> 32) ^ counter[3] ^ key[1], product0 & low]
        key = ((key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF)
    return np.stack(counter, 1).astype(np.uint32)


def mask(n, stream, step):
    """What n elements are multiplied by: 0, or 1 over the probability of staying."""
    blocks = np.zeros(((n + 3) // 4, 4), np.uint64)
    blocks[:, 0], blocks[:, 2], blocks[:, 3] = np.arange(len(blocks)), stream, step
    words = philox(blocks, (SEED & 0xFFFFFFFF, SEED >> 32)).reshape(-1)[:n]
    kept = words >= math.ceil(DROPOUT * 2**32)
    return torch.from_numpy(kept.astype(np.float64)) / (1 - DROPOUT)


class Pass:
    """One forward pass: its dropout and what it carries."""

    def __init__(self, step, state, settings, variational=False):
        self.step, self.settings, self.variational = step, settings, variational
        self.before, self.after = state, []

    @property
    def training(self):
        return self.step is not None

    def drop(self, x, stream):
        if not self.training:
            return x
        if self.variational:  # one mask for all steps
            return x * mask(x[:, 0].numel(), stream, self.step).view_as(x[:, 0])[:, None]
        return x * mask(x.numel(), stream, self.step).view_as(x)

    def carried(self, otherwise):
        """The next thing that the chunk before left."""
        return self.before[len(self.after)] if self.before else otherwise

    def leave(self, value):
        self.after.append(value.detach())


def normalised(x, p, prefix, run):
    """Norm over the channels of each position, or batch norm over all positions."""
    weight, bias = p[prefix + "weight"], p.get(prefix + "bias")
    kind, channels = run.settings["norm"], x.shape[-1:]
    if kind == "rms":
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5) * weight
    if kind == "layer":
        return F.layer_norm(x, channels, weight, bias)
    flat = x.reshape(-1, x.shape[-1])
    if kind == "group":
        return F.group_norm(flat, run.settings["groups"], weight, bias).view_as(x)
    return F.batch_norm(flat, p[prefix + "running_mean"], p[prefix + "running_var"], weight, bias,
                        run.training).view_as(x)


def gcnn(x, p, run):
    """Dauphin et al. 2017; each residual is r - 1 layers back, scaled by the root of a half."""
    inputs = [x]
    layers = [(12, 3, 1), (8, 1, 0), (12, 3, 2)]
    for i, (channels, kernel, residual) in enumerate(layers):
        x = run.drop(inputs[-1], i)
        if kernel > 1:
            context = run.carried(x.new_zeros(len(x), kernel - 1, x.shape[2]))
            x = torch.cat((context, x), 1)
            run.leave(x[:, -(kernel - 1):])
        v, g = p[f"layers.{i}.weight_v"], p[f"layers.{i}.weight_g"]
        weight = g * v / v.flatten(1).norm(dim=1)[:, None, None]
        z = F.conv1d(x.transpose(1, 2), weight, p[f"layers.{i}.bias"]).transpose(1, 2)
        y = F.glu(z, 2)
        if residual:
            y = (y + inputs[-residual]) * math.sqrt(0.5)
        assert y.shape[2] == channels
        inputs.append(y)
    return run.drop(inputs[-1], len(layers))


def gru(x, h, p, _):
    """torch.nn.GRU's step."""
    a, b = x @ p["weight_ih"].T + p["bias_ih"], h @ p["weight_hh"].T + p["bias_hh"]
    (ar, az, an), (br, bz, bn) = a.chunk(3, 1), b.chunk(3, 1)
    z = torch.sigmoid(az + bz)
    return (1 - z) * torch.tanh(an + torch.sigmoid(ar + br) * bn) + z * h, None


def lstm(x, h, p, c):
    """torch.nn.LSTM's step, the two biases as one."""
    i, f, g, o = (x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias_ih"]).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def rnn(x, h, p, _):
    return torch.tanh(x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias_ih"]), None


CELLS = {"rnn": (rnn, {"weight_ih": 1, "weight_hh": 1, "bias_ih": 1}),
         "lstm": (lstm, {"weight_ih": 4, "weight_hh": 4, "bias_ih": 4}),
         "gru": (gru, {"weight_ih": 3, "weight_hh": 3, "bias_ih": 3, "bias_hh": 3}),
         "indrnn": (indrnn, {"weight_ih": 1, "weight_hh": 0, "bias_ih": 1}),
         "mut1": (mut1, {"weight_ih": 2, "weight_hh": 2, "bias_ih": 3})}


def recurrent(cell):
    step = CELLS[cell][0]

    def forward(x, p, run):
        y = run.drop(x, 0)
        for layer in range(run.settings["depth"]):
            own = {name.split(".", 2)[2]: value for name, value in p.items()
                   if name.startswith(f"layers.{layer}.")}
            x = normalised(y, own, "norm.", run)
            if layer:
                x = run.drop(x, layer)
            h = run.carried(x.new_zeros(len(x), DIM))
            c = run.before[len(run.after) + 1] if run.before else x.new_zeros(len(x), DIM)
            outputs = []
            for t in range(x.shape[1]):
                h, c = step(x[:, t], h, own, c)
                outputs.append(h)
            run.leave(h)
            run.leave(c if c is not None else h)
            out = torch.stack(outputs, 1)
            y = out + y if run.settings["residual"] else out
        return run.drop(y, run.settings["depth"])
    return forward


def transformer(x, p, run):
    """Pre-norm blocks with rotary positions and SwiGLU."""
    settings, x, stream = run.settings, run.drop(x, 0), 1

    def linear(x, name):
        return F.linear(x, p[name + ".weight"], p[name + ".bias"])

    for i in range(settings["depth"]):
        block = f"blocks.{i}."
        q, k, v = linear(normalised(x, p, block + "attention_norm.", run),
                         block + "attention.qkv").chunk(3, -1)
        before = run.carried(x.new_zeros(len(x), 0, 2 * DIM))
        kv = torch.cat((before, torch.cat((k, v), -1)), 1)
        run.leave(kv[:, -(settings["window"] - 1):])
        k, v = kv.chunk(2, -1)
        seen = attention(q, k, v, settings["heads"], settings["window"], True)
        x = x + run.drop(linear(seen, block + "attention.out"), stream)
        added = feed_forward(normalised(x, p, block + "ffn_norm.", run),
                             *(p[f"{block}ffn.{name}"] for name in
                               ("in.weight", "in.bias", "out.weight", "out.bias")), "swiglu")
        x = x + run.drop(added, stream + 1)
        stream += 2
    return run.drop(normalised(x, p, "norm.", run), stream)


STACKS = {"gcnn": gcnn, "transformer": transformer, **{cell: recurrent(cell) for cell in CELLS}}


def shapes(arch, settings):
    """Names and shapes of the parameters, as model files have them."""
    found = {"embedding.weight": (VOCABULARY, DIM)}
    if settings.get("cutoffs"):
        ends = [*settings["cutoffs"], VOCABULARY]
        head = ends[0] + len(ends) - 1
        found |= {"softmax.head.weight": (head, DIM), "softmax.head.bias": (head,)}
        for i in range(len(ends) - 1):
            width = max(1, DIM // 4 ** (i + 1))
            found |= {f"softmax.tails.{i}.projection.weight": (width, DIM),
                      f"softmax.tails.{i}.output.weight": (ends[i + 1] - ends[i], width)}
    else:
        found |= {"softmax.bias": (VOCABULARY,)}
        if not settings.get("tie"):
            found |= {"softmax.weight": (VOCABULARY, DIM)}

    def norm(prefix):
        names = {"rms": ["weight"], "batch": ["weight", "bias", "running_mean", "running_var"]}
        return {prefix + name: (DIM,) for name in names.get(settings["norm"], ["weight", "bias"])}

    if arch == "gcnn":
        for i, (inputs, outputs, kernel) in enumerate([(12, 12, 3), (12, 8, 1), (8, 12, 3)]):
            found |= {f"layers.{i}.weight_v": (2 * outputs, inputs, kernel),
                      f"layers.{i}.weight_g": (2 * outputs, 1, 1), f"layers.{i}.bias": (2 * outputs,)}
    elif arch == "transformer":
        width = settings["ffn_width"]
        for i in range(settings["depth"]):
            block = f"blocks.{i}."
            found |= {**norm(block + "attention_norm."), **norm(block + "ffn_norm."),
                      block + "attention.qkv.weight": (3 * DIM, DIM),
                      block + "attention.qkv.bias": (3 * DIM,),
                      block + "attention.out.weight": (DIM, DIM),
                      block + "attention.out.bias": (DIM,),
                      block + "ffn.in.weight": (2 * width, DIM), block + "ffn.in.bias": (2 * width,),
                      block + "ffn.out.weight": (DIM, width), block + "ffn.out.bias": (DIM,)}
        found |= norm("norm.")
    else:
        for i in range(settings["depth"]):
            for name, blocks in CELLS[arch][1].items():
                shape = (max(blocks, 1) * DIM,)
                found[f"layers.{i}.{name}"] = shape if "bias" in name or not blocks else (*shape, DIM)
            found |= norm(f"layers.{i}.norm.")
    return found


def initial(arch, settings, random):
    """Parameters to start from, exact in float32."""
    out = {}
    for name, shape in shapes(arch, settings).items():
        value = normal(random, *shape)
        if name.endswith("running_mean"):
            value = torch.zeros(shape, dtype=torch.float64)
        elif name.endswith("running_var"):
            value = torch.ones(shape, dtype=torch.float64)
        elif name.endswith("weight_g") or name.endswith("norm.weight"):
            value = 1 + 0.2 * value
        elif len(shape) == 1:
            value = 0.3 * value
        elif "embedding" not in name:
            value = value / math.sqrt(shape[1])
        out[name] = value.float().double()
    return out


def decays(name, value):
    """Weights decay; gains, biases, norms and an IndRNN's vector do not."""
    return value.dim() > 1 and not name.endswith("weight_g")


def loss_of(hidden, targets, p, settings):
    """Mean negative log-likelihood."""
    cutoffs = settings.get("cutoffs")
    h = hidden.reshape(-1, hidden.shape[2])
    if not cutoffs:
        weight = p["embedding.weight" if settings.get("tie") else "softmax.weight"]
        return F.cross_entropy(F.linear(h, weight, p["softmax.bias"]), targets)
    ends = [*cutoffs, VOCABULARY]
    head = F.log_softmax(F.linear(h, p["softmax.head.weight"], p["softmax.head.bias"]), 1)
    logs = [head[:, :ends[0]]]
    for i in range(len(cutoffs)):
        tail = h @ p[f"softmax.tails.{i}.projection.weight"].T @ p[f"softmax.tails.{i}.output.weight"].T
        logs.append(head[:, ends[0] + i:ends[0] + i + 1] + F.log_softmax(tail, 1))
    return F.nll_loss(torch.cat(logs, 1), targets)


def pairs(tokens, start, length):
    """Inputs and targets of a chunk; what comes before the text is token 0, a line's end."""
    inputs = np.concatenate(([0], tokens))
    return inputs[start:start + length], tokens[start:start + length]


def batch(tokens, step):
    """Streams side by side; the second epoch begins where the first left tokens over."""
    per_epoch = len(tokens) // BATCH // CONTEXT
    length, left = per_epoch * CONTEXT, len(tokens) - per_epoch * CONTEXT * BATCH
    start = 0 if step // per_epoch % 2 == 0 else left
    chunks = [pairs(tokens, start + b * length + step % per_epoch * CONTEXT, CONTEXT)
              for b in range(BATCH)]
    inputs, targets = (torch.from_numpy(np.stack(part).astype(np.int64)) for part in zip(*chunks))
    return inputs, targets, step % per_epoch == 0


def rate(training, step):
    """Warm-up over 4 steps, cosine to a tenth."""
    value = training["lr"] * (step + 1) / 4 if step + 1 < 4 else training["lr"]
    return value * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / STEPS)))


def optimizer_of(training, parameters):
    trained = {name: value for name, value in parameters.items() if value.requires_grad}
    groups = [{"params": [value for name, value in trained.items() if decays(name, value) == decay],
               "weight_decay": training["weight_decay"] if decay else 0.0} for decay in (True, False)]
    if training["optimizer"] in ("nesterov", "sgd"):
        return torch.optim.SGD(groups, lr=1.0, momentum=training["momentum"],
                               nesterov=training["optimizer"] == "nesterov")
    kind = torch.optim.AdamW if training["optimizer"] == "adamw" else torch.optim.Adam
    return kind(groups, lr=1.0, betas=(training["beta1"], training["beta2"]), eps=training["epsilon"])


def train(arch, settings, training, parameters, tokens, valid):
    """{what: one number a step, or a validation}"""
    optimizer = optimizer_of(training, parameters)
    learnt = [value for value in parameters.values() if value.requires_grad]
    found, state = {"losses": [], "norms": [], "rates": [], "validations": []}, []
    for step in range(STEPS):
        inputs, targets, starts = batch(tokens, step)
        run = Pass(step, [] if starts else state, settings, settings.get("variational", False))
        hidden = STACKS[arch](parameters["embedding.weight"][inputs], parameters, run)
        loss = loss_of(hidden, targets.reshape(-1), parameters, settings)
        state = run.after
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(learnt, training["clip"])
        for group in optimizer.param_groups:
            group["lr"] = rate(training, step)
        optimizer.step()
        if "bound" in settings:
            with torch.no_grad():
                for name, value in parameters.items():
                    if name.endswith("weight_hh"):
                        value.clamp_(-settings["bound"], settings["bound"])
        found["losses"].append(loss.item())
        found["norms"].append(norm.item())
        found["rates"].append(rate(training, step))
        if (step + 1) % EVERY == 0:
            with torch.no_grad():
                inputs, targets = (torch.from_numpy(part.astype(np.int64))
                                   for part in pairs(valid, 0, len(valid)))
                hidden = STACKS[arch](parameters["embedding.weight"][inputs[None]], parameters,
                                      Pass(None, [], settings))
                found["validations"].append(loss_of(hidden, targets, parameters, settings).item())
    return found


def main():
    torch.set_num_threads(1)
    tokens = draw_tokens(VOCABULARY, 1, TRAIN, 90)[0].numpy()
    valid = draw_tokens(VOCABULARY, 1, VALID, 91)[0].numpy()
    tensors = {"tokens": torch.from_numpy(tokens), "valid": torch.from_numpy(valid)}
    metadata = {"cases": ",".join(CASES)}
    for number, (arch, (settings, training)) in enumerate(CASES.items()):
        parameters = initial(arch, settings, np.random.Generator(np.random.PCG64(500 + number)))
        for name, value in parameters.items():
            tensors[f"{arch}.{name}"] = value.float()
            value.requires_grad_("running" not in name)
        found = train(arch, settings, training, parameters, tokens, valid)
        for name, values in found.items():
            tensors[f"{arch}.{name}"] = torch.tensor(values, dtype=torch.float64)
        model = {"arch": arch, "vocabulary": VOCABULARY, "dim": DIM, "dropout": DROPOUT,
                 "softmax": "full", "cutoffs": [], "tie": False, **settings}
        metadata[f"{arch}.model"] = json.dumps(model)
        metadata[f"{arch}.training"] = json.dumps(
            {"batch": BATCH, "context": CONTEXT, "steps": STEPS, "validate_every": EVERY,
             "seed": SEED, "schedule": "cosine", "warmup": 4, "floor": 0.1, **training})
    write_safetensors("training.safetensors", tensors, metadata)


if __name__ == "__main__":
    main()
