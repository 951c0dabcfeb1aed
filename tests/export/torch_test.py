#!/usr/bin/python3
"""Loads exports for PyTorch and compares what they say with what the models themselves said: whole
texts, and texts in parts. usage: torch_test.py MODELS"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy
import torch


def load(directory):
    spec = importlib.util.spec_from_file_location("model_" + directory.parent.name.replace("-", "_"),
                                                  directory / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load()


@torch.no_grad()
def check(directory):
    one = json.loads((directory / "case.json").read_text())
    if not one["torch"]:
        return False
    shape = one["batch"], one["time"]
    tokens = torch.tensor(one["tokens"]).view(shape)
    expected = torch.from_numpy(numpy.fromfile(directory / "expected.f32", "<f4").reshape(*shape, -1))
    model = load(directory / "torch")
    got, _ = model(tokens)
    assert (got - expected).abs().max() < 1e-4, f"whole: off by {(got - expected).abs().max()}"
    state, first = None, 0
    for count in (4, 1, 1, shape[1] - 6):
        got, state = model(tokens[:, first:first + count], state)
        off = (got - expected[:, first:first + count]).abs().max()
        assert off < 1e-4, f"from {first} on: off by {off}"
        first += count
    return True


def main():
    torch.set_num_threads(1)
    checked, failed = 0, 0
    for directory in sorted(Path(sys.argv[1]).iterdir()):
        try:
            checked += check(directory)
        except Exception as error:  # all are looked at
            print(f"{directory.name}: {type(error).__name__}: {error}", file=sys.stderr)
            failed += 1
    print(f"{checked} models agree, {failed} do not")
    sys.exit(failed > 0 or checked < 50)


main()
