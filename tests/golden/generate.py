#!/usr/bin/python3
"""Writes the golden fixtures beside this file: `/usr/bin/python3 tests/golden/generate.py`.

The oracle is bench/pytorch/twin.py. Numbers come from NumPy's PCG64 (a stable stream), never from
torch's generator; see README.md here for what each file holds.
"""

import json
import pathlib
import struct
import sys

import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "bench" / "pytorch"))
import twin  # noqa: E402

DTYPES = {torch.float32: "F32", torch.float64: "F64", torch.int32: "I32"}
MODELS = {
    "gcnn_glu_adaptive": dict(layers="[(24,4)]*3", dim=24, vocabulary=60, unit="glu",
                              softmax="adaptive", cutoffs=[10, 30], tie=False),
    "gcnn_gtu_bottleneck_tied": dict(layers="[(16,3)] + [(8,1,0),(8,3,0),(16,1,3)]*2", dim=16,
                                     vocabulary=50, unit="gtu", softmax="full", cutoffs=[],
                                     tie=True),
    "gcnn_swiglu_projection": dict(layers="[(12,2),(20,3,1),(20,3,2)]", dim=10, vocabulary=40,
                                   unit="swiglu", softmax="full", cutoffs=[], tie=False),
}
OPTIMIZERS = {
    "nesterov": dict(lr=0.2, momentum=0.9, clip=0.4),
    "adam": dict(lr=0.01, beta1=0.9, beta2=0.999, epsilon=1e-8, clip=0.4),
}
BATCH, CONTEXT, STEPS = 2, 9, 20
CURVE_BATCH, CURVE_CONTEXT = 4, 16


def write_safetensors(name, tensors, metadata):
    header, data = {"__metadata__": {key: str(value) for key, value in metadata.items()}}, b""
    for key, tensor in tensors.items():
        raw = tensor.detach().contiguous().numpy().tobytes()
        header[key] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (HERE / name).write_bytes(struct.pack("<Q", len(text)) + text + data)


def normal(random, *shape):
    """float64 values that float32 holds exactly."""
    return torch.from_numpy(random.standard_normal(shape).astype(np.float32)).double()


def build(config, seed):
    """The twin with parameters drawn from `seed`, in float64, each exact in float32."""
    random = np.random.Generator(np.random.PCG64(seed))
    model = twin.GatedConvLM(config["vocabulary"], config["dim"],
                             twin.parse_layers(config["layers"]), config["unit"],
                             config["softmax"], config["cutoffs"], config["tie"]).double()
    with torch.no_grad():
        for name, parameter in twin.named_parameters(model).items():
            value = normal(random, *parameter.shape)
            if name.endswith("weight_g"):
                value = 1 + 0.2 * value
            elif name.endswith("bias"):
                value = 0.1 * value
            elif name.startswith("softmax"):
                value = value / parameter.shape[1] ** 0.5
            else:
                value = 0.4 * value
            parameter.copy_(value.float())
    return model


def draw_tokens(vocabulary, batch, length, seed):
    """[batch, length] I32: mostly a fixed successor (so there is something to learn), else a
    token drawn with a bias to the frequent (low) ids."""
    random = np.random.Generator(np.random.PCG64(seed))
    tokens = np.zeros((batch, length), np.int32)
    for row in tokens:
        for t in range(length):
            if t and random.random() < 0.6:
                row[t] = (7 * row[t - 1] + 3) % vocabulary
            else:
                row[t] = int(vocabulary * random.random() ** 2)
    return torch.from_numpy(tokens)


def describe(config):
    return dict(config, cutoffs=",".join(map(str, config["cutoffs"])), tie=int(config["tie"]))


def gcnn(name, config, seed):
    model = build(config, seed)
    tensors = {key: value.float() for key, value in twin.named_parameters(model).items()}
    tokens = draw_tokens(config["vocabulary"], BATCH, 2 * CONTEXT + 1, seed + 100)
    contexts = None
    for chunk in (1, 2):
        at = (chunk - 1) * CONTEXT
        inputs, targets = (tokens[:, at + i:at + i + CONTEXT] for i in (0, 1))
        model.zero_grad()
        hidden, contexts = model(inputs.long(), contexts)
        loss = model.nll(hidden, targets.reshape(-1).long())
        loss.backward()
        log_probs = model.log_probs(hidden).view(BATCH, CONTEXT, -1)
        suffix = "" if chunk == 1 else "2"
        tensors.update({f"tokens{suffix}": inputs, f"targets{suffix}": targets,
                        f"log_probs{suffix}": log_probs.float(), f"loss{suffix}": loss})
        tensors.update({f"grad{suffix}.{key}": value.grad.float()
                        for key, value in twin.named_parameters(model).items()})
    write_safetensors(f"{name}.safetensors", tensors, describe(config))


def curves():
    name = "gcnn_glu_adaptive"
    config = MODELS[name]
    tokens = draw_tokens(config["vocabulary"], CURVE_BATCH, STEPS * CURVE_CONTEXT + 1, 300)
    tensors = {"tokens": tokens}
    for kind, settings in OPTIMIZERS.items():
        model = build(config, 11).float()
        if kind == "nesterov":
            optimizer = torch.optim.SGD(model.parameters(), settings["lr"],
                                        momentum=settings["momentum"], nesterov=True)
        else:
            optimizer = torch.optim.Adam(model.parameters(), settings["lr"],
                                         (settings["beta1"], settings["beta2"]),
                                         settings["epsilon"])
        contexts, losses = None, []
        for step in range(STEPS):
            at = step * CURVE_CONTEXT
            inputs, targets = (tokens[:, at + i:at + i + CURVE_CONTEXT].long() for i in (0, 1))
            loss, contexts = twin.train_step(model, optimizer, inputs, targets, contexts,
                                             settings["clip"])
            losses.append(loss)
        tensors[f"{kind}.losses"] = torch.stack(losses)
        tensors.update({f"{kind}.final.{key}": value
                        for key, value in twin.named_parameters(model).items()
                        if key in ("embedding.weight", "layers.0.weight_g", "layers.2.bias")})
    metadata = dict(describe(config), parameters=f"{name}.safetensors", batch=CURVE_BATCH,
                    context=CURVE_CONTEXT, steps=STEPS)
    for kind, settings in OPTIMIZERS.items():
        metadata.update({f"{kind}.{key}": value for key, value in settings.items()})
    write_safetensors("curve.safetensors", tensors, metadata)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for index, (model_name, model_config) in enumerate(MODELS.items()):
        gcnn(model_name, model_config, 11 + index)
    curves()
