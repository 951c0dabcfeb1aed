#!/usr/bin/python3
"""The PyTorch twin of Sluice's gated convolutional language model.

The same model as `sluice train` builds (Dauphin et al. 2017, layers written as fairseq writes
them): embedding, weight-normalised causal Conv1d layers with a gated unit and a residual, and an
adaptive or full softmax; eager mode, torch 1.13 or newer. It is the oracle of tests/golden, the
opponent of bench/compare_pytorch.py, and a trainer of its own:

    bench/pytorch/twin.py --train train.txt --valid valid.txt --test test.txt \
        --layers '[(512,4)]*8' --dim 256 --minutes 60 --threads 2

Text is read the WikiText way: words split at blanks, <eos> ends every line, the vocabulary comes
from the training text (most frequent first), unknown words become <unk>. Perplexity scores every
token of the text once, in order, with the state carried from chunk to chunk; the first token is
predicted from <eos>.

How the convolution is run (`conv=`) is chosen by measurement, so that the opponent is a strong one:
  conv1d   F.conv1d on [B, C, T]
  conv2d   the same through F.conv2d on [B, C, 1, T]
  linear   channels last: the K shifted inputs side by side, [B, T, K*C], and one F.linear
On an AVX-512 Xeon (torch 1.13.1, oneDNN 2.6, OpenBLAS) a training step of [(W,4)]*8, W = 256 and
512, costs the same within about 10% in all three, and which wins changes with width and
allocator; channels_last conv2d was no faster. conv1d is the default;
bench/compare_pytorch.py measures all three and takes the fastest.
"""

import argparse
import ast
import collections
import json
import math
import re
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import remove_weight_norm, weight_norm

ACTIVATIONS = {
    "identity": lambda x: x,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}

# name: (f, g) of f(a) * g(b), with a the first half of the projection and b the second.
GATES = {
    "glu": ("identity", "sigmoid"),
    "gtu": ("tanh", "sigmoid"),
    "bilinear": ("identity", "identity"),
    "reglu": ("relu", "identity"),
    "reglu_sigmoid": ("relu", "sigmoid"),
    "geglu": ("gelu", "identity"),
    "geglu_tanh": ("gelu_tanh", "identity"),
    "swiglu": ("silu", "identity"),
}


class Unit:
    """A unit by name: an activation, a named gate, or "F(a)*b" / "a*G(b)"; splits along `dim`."""

    def __init__(self, name):
        self.name = name
        self.gated = True
        left = re.fullmatch(r"(\w+)\(a\)\*b", name.replace(" ", ""))
        right = re.fullmatch(r"a\*(\w+)\(b\)", name.replace(" ", ""))
        if name in GATES:
            f, g = GATES[name]
        elif left:
            f, g = left.group(1), "identity"
        elif right:
            f, g = "identity", right.group(1)
        else:
            f, g, self.gated = name, "identity", False
        if f not in ACTIVATIONS or g not in ACTIVATIONS:
            raise ValueError(f"unknown unit '{name}'")
        self.f, self.g = ACTIVATIONS[f], ACTIVATIONS[g]

    def width(self, channels):
        """Columns of the projection for this many output channels."""
        return 2 * channels if self.gated else channels

    def __call__(self, z, dim):
        if not self.gated:
            return self.f(z)
        if self.name == "glu":
            return F.glu(z, dim)
        a, b = z.chunk(2, dim)
        return self.f(a) * self.g(b)


def parse_layers(spec):
    """'[(512,5)] + [(128,1,0),(512,1,3)]*2' as a list of (channels, kernel, residual)."""

    def value(node):
        if isinstance(node, ast.Expression):
            return value(node.body)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return value(node.left) + value(node.right)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            return value(node.left) * value(node.right)
        return ast.literal_eval(node)

    layers = []
    for layer in value(ast.parse(spec.strip(), mode="eval")):
        if len(layer) not in (2, 3):
            raise ValueError(f"layer {layer}: expected (channels, kernel[, residual])")
        layers.append((layer[0], layer[1], layer[2] if len(layer) == 3 else 1))
    return layers


class GatedConv(nn.Conv1d):
    """One layer: weight-normalised causal convolution, then the unit. Parameters weight_g,
    weight_v, bias. `forward` takes the last K-1 inputs of the previous chunk (None: zeros) and
    returns the output and the context for the next chunk."""

    def __init__(self, channels_in, channels, kernel, unit, conv, dropout):
        super().__init__(channels_in, unit.width(channels), kernel)
        nn.init.normal_(self.weight, std=math.sqrt(4 * (1 - dropout) / (kernel * channels_in)))
        nn.init.zeros_(self.bias)
        weight_norm(self, dim=0)
        self.unit, self.conv = unit, conv
        self.time_dim, self.channel_dim = (1, 2) if conv == "linear" else (2, 1)

    def forward(self, x, context):
        history = self.kernel_size[0] - 1
        time_dim = self.time_dim
        steps = x.size(time_dim)
        if history:
            if context is None:
                shape = list(x.shape)
                shape[time_dim] = history
                context = x.new_zeros(shape)
            x = torch.cat([context.to(x.dtype), x], time_dim)
            context = x.narrow(time_dim, x.size(time_dim) - history, history).detach().clone()
        if self.conv == "conv1d":
            z = F.conv1d(x, self.weight, self.bias)
        elif self.conv == "conv2d":
            z = F.conv2d(x.unsqueeze(2), self.weight.unsqueeze(2), self.bias).squeeze(2)
        else:
            taps = [x.narrow(1, k, steps) for k in range(history + 1)]
            weight = self.weight.transpose(1, 2).reshape(self.out_channels, -1)
            z = F.linear(torch.cat(taps, 2) if history else x, weight, self.bias)
        return self.unit(z, self.channel_dim), context


def widened(x):
    """bfloat16 as float32, anything else as it is."""
    return x.float() if x.dtype == torch.bfloat16 else x


class FloatLinear(nn.Linear):
    """A Linear whose result is never bfloat16, so that log-softmax keeps its digits."""

    def forward(self, x):
        return widened(super().forward(x))


def adaptive_softmax(width, vocabulary, cutoffs):
    """torch's adaptive softmax, with logits in float32 (which its CPU autocast also requires)."""
    softmax = nn.AdaptiveLogSoftmaxWithLoss(width, vocabulary, cutoffs, div_value=4.0,
                                            head_bias=True)
    softmax.head = FloatLinear(softmax.head.in_features, softmax.head.out_features)
    for tail in softmax.tail:
        tail[1] = FloatLinear(tail[1].in_features, tail[1].out_features, bias=False)
    return softmax


class GatedConvLM(nn.Module):
    """The language model; see the module's text. Call it with tokens [B, T] and the contexts of
    the previous chunk; it returns hidden states [B*T, C] and the new contexts (detached)."""

    def __init__(self, vocabulary, dim, layers, unit="glu", softmax="adaptive", cutoffs=(),
                 tie=False, dropout=0.0, conv="conv1d"):
        super().__init__()
        unit = Unit(unit)
        self.conv, self.dropout = conv, dropout
        self.residuals = [residual for _, _, residual in layers]
        self.embedding = nn.Embedding(vocabulary, dim)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.layers = nn.ModuleList()
        widths = [dim]
        for i, (channels, kernel, residual) in enumerate(layers):
            layer = GatedConv(widths[-1], channels, kernel, unit, conv, dropout)
            if not 0 <= residual <= i + 1:
                raise ValueError(f"layer {i}: residual {residual} reaches before the first layer")
            layer.projection = None
            if residual and widths[-residual] != channels:
                layer.projection = weight_norm(nn.Linear(widths[-residual], channels), dim=0)
            self.layers.append(layer)
            widths.append(channels)
        if softmax == "adaptive":
            self.softmax = adaptive_softmax(widths[-1], vocabulary, list(cutoffs))
        else:
            self.softmax = FloatLinear(widths[-1], vocabulary)
            if tie:
                if widths[-1] != dim:
                    raise ValueError(f"tied embeddings need dim {dim} == last width {widths[-1]}")
                self.softmax.weight = self.embedding.weight
            else:
                nn.init.normal_(self.softmax.weight, std=math.sqrt(1 / widths[-1]))
            nn.init.zeros_(self.softmax.bias)

    def forward(self, tokens, contexts=None):
        contexts = contexts or [None] * len(self.layers)
        x = self.embedding(tokens)
        if self.conv != "linear":
            x = x.transpose(1, 2).contiguous()
        inputs, carried = [], []
        for layer, residual, context in zip(self.layers, self.residuals, contexts):
            inputs.append(x)
            x, context = layer(F.dropout(x, self.dropout, self.training), context)
            carried.append(context)
            if residual:
                x = (x + self._project(layer, inputs[-residual])) * math.sqrt(0.5)
        if self.conv != "linear":
            x = x.transpose(1, 2)
        return widened(x.reshape(-1, x.size(-1))), carried

    def _project(self, layer, x):
        if layer.projection is None:
            return x
        if self.conv == "linear":
            return layer.projection(x)
        return layer.projection(x.transpose(1, 2)).transpose(1, 2)

    def freeze(self):
        """Replaces every weight normalisation by its weight; for evaluation only."""
        for module in self.modules():
            if hasattr(module, "weight_g"):
                remove_weight_norm(module)
        return self.eval()

    def nll(self, hidden, targets):
        """Mean negative log-likelihood of targets [B*T], in nats."""
        if isinstance(self.softmax, nn.AdaptiveLogSoftmaxWithLoss):
            return self.softmax(hidden, targets).loss
        return F.cross_entropy(self.softmax(hidden), targets)

    def target_log_probs(self, hidden, targets):
        """The log-probability of each target, [B*T]."""
        if isinstance(self.softmax, nn.AdaptiveLogSoftmaxWithLoss):
            return self.softmax(hidden, targets).output
        return -F.cross_entropy(self.softmax(hidden), targets, reduction="none")

    def log_probs(self, hidden):
        """Log-probabilities of the whole vocabulary, [B*T, V]."""
        if isinstance(self.softmax, nn.AdaptiveLogSoftmaxWithLoss):
            return self.softmax.log_prob(hidden)
        return F.log_softmax(self.softmax(hidden), -1)


def sluice_name(name):
    """The name in Sluice's model files of the twin's parameter `name`."""
    tail = re.fullmatch(r"softmax\.tail\.(\d+)\.([01])\.weight", name)
    if tail:
        part = ("projection", "output")[int(tail.group(2))]
        return f"softmax.tails.{tail.group(1)}.{part}.weight"
    return name


def named_parameters(model):
    """Parameters under Sluice's names, each once (a tied output is the embedding's)."""
    return {sluice_name(name): parameter for name, parameter in model.named_parameters()}


def add_model_options(parser):
    """Options of the model, spelled as `sluice train` and bench/step_bench spell them."""
    parser.add_argument("--layers", default="[(512,4)]*8", help="(channels, kernel[, residual])")
    parser.add_argument("--dim", type=int, default=256, help="width of the embedding")
    parser.add_argument("--unit", default="glu")
    parser.add_argument("--softmax", choices=["adaptive", "full"], default="adaptive")
    parser.add_argument("--cutoffs", default="2000,10000")
    parser.add_argument("--tie", action="store_true", help="full softmax shares the embedding")
    parser.add_argument("--conv", choices=["conv1d", "conv2d", "linear"], default="conv1d")


def build_model(options, vocabulary, dropout=0.0):
    cutoffs = [int(cutoff) for cutoff in options.cutoffs.split(",") if cutoff]
    return GatedConvLM(vocabulary, options.dim, parse_layers(options.layers), options.unit,
                       options.softmax, cutoffs, options.tie, dropout, options.conv)


def read_words(path):
    with open(path, encoding="utf-8") as text:
        for line in text:
            yield from line.split()
            yield "<eos>"


def build_vocabulary(path):
    """Words to ids, most frequent first, ties by first appearance."""
    counts = collections.Counter(read_words(path))
    counts.setdefault("<unk>", 0)
    return {word: i for i, (word, _) in enumerate(counts.most_common())}


def read_tokens(path, vocabulary):
    unknown = vocabulary["<unk>"]
    return torch.tensor([vocabulary.get(word, unknown) for word in read_words(path)])


@torch.no_grad()
def perplexity(model, tokens, eos, chunk=1024):
    """Perplexity of the whole text in one stream, every token scored, the state carried."""
    model.eval()
    inputs = torch.cat([torch.tensor([eos]), tokens[:-1]])
    total, contexts = 0.0, None
    for start in range(0, len(tokens), chunk):
        hidden, contexts = model(inputs[start:start + chunk].unsqueeze(0), contexts)
        log_probs = model.target_log_probs(hidden, tokens[start:start + chunk])
        total -= log_probs.double().sum().item()
    model.train()
    return math.exp(total / len(tokens))


def make_optimizer(model, options):
    if options.optimizer == "nesterov":
        return torch.optim.SGD(model.parameters(), options.lr, momentum=options.momentum,
                               nesterov=True, weight_decay=options.weight_decay)
    adam = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
    return adam(model.parameters(), options.lr, weight_decay=options.weight_decay)


def train_step(model, optimizer, tokens, targets, contexts, clip, bf16=False):
    """One step: forward, backward, clip by global norm, update. Returns the loss (a tensor) and
    the contexts for the next chunk."""
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        hidden, contexts = model(tokens, contexts)
        loss = model.nll(hidden, targets.reshape(-1))
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss.detach(), contexts


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--valid", required=True)
    parser.add_argument("--test")
    add_model_options(parser)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--context", type=int, default=128, help="tokens per chunk")
    parser.add_argument("--optimizer", choices=["nesterov", "adam", "adamw"], default="nesterov")
    parser.add_argument("--lr", type=float, default=1.0)
    parser.add_argument("--momentum", type=float, default=0.99)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--clip", type=float, default=0.1)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--schedule", choices=["cosine", "constant"], default="cosine")
    parser.add_argument("--warmup", type=int, default=0, help="steps of linear warm-up")
    parser.add_argument("--minutes", type=float, help="training time, validation excluded")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--validate-every", type=int, default=2000, help="steps")
    parser.add_argument("--no-carry", action="store_true", help="pad each chunk with zeros")
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if (options.minutes is None) == (options.steps is None):
        parser.error("give exactly one of --minutes and --steps")
    return options


def train(options):
    """Trains for the given budget; returns a record with the curve and the final perplexities of
    the weights that were best on the validation text."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    vocabulary = build_vocabulary(options.train)
    eos = vocabulary["<eos>"]
    tokens = read_tokens(options.train, vocabulary)
    valid = read_tokens(options.valid, vocabulary)
    model = build_model(options, len(vocabulary), options.dropout)
    optimizer = make_optimizer(model, options)
    streams = tokens[:len(tokens) // options.batch * options.batch].view(options.batch, -1)
    epoch = (streams.size(1) - 1) // options.context
    if not epoch:
        sys.exit(f"{options.train}: too short for {options.batch} streams of {options.context}")

    curve, best, contexts = [], None, None
    step, busy = 0, 0.0
    done = False
    while not done:
        begun = time.perf_counter()
        progress = step / options.steps if options.steps else busy / (60 * options.minutes)
        rate = options.lr * min(1.0, (step + 1) / max(1, options.warmup))
        if options.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        if step % epoch == 0 or options.no_carry:
            contexts = None
        at = step % epoch * options.context
        loss, contexts = train_step(
            model, optimizer, streams[:, at:at + options.context],
            streams[:, at + 1:at + 1 + options.context], contexts, options.clip, options.bf16)
        step += 1
        busy += time.perf_counter() - begun
        done = step == options.steps or (options.minutes and busy >= 60 * options.minutes)
        if done or step % options.validate_every == 0:
            point = {"step": step, "seconds": round(busy, 1), "loss": loss.item(), "lr": rate,
                     "valid_perplexity": perplexity(model, valid, eos),
                     "tokens_per_second": step * options.batch * options.context / busy}
            print(json.dumps(point), file=sys.stderr, flush=True)
            curve.append(point)
            if best is None or point["valid_perplexity"] < best[0]:
                state = {name: value.clone() for name, value in model.state_dict().items()}
                best = (point["valid_perplexity"], state)
    model.load_state_dict(best[1])
    record = {"options": vars(options), "torch": torch.__version__, "vocabulary": len(vocabulary),
              "parameters": sum(parameter.numel() for parameter in model.parameters()),
              "train_tokens": len(tokens), "steps": step, "seconds": busy,
              "tokens_per_second": step * options.batch * options.context / busy,
              "valid_perplexity": best[0], "curve": curve}
    if options.test:
        test = read_tokens(options.test, vocabulary)
        record.update(test_tokens=len(test), test_perplexity=perplexity(model, test, eos))
    return record


if __name__ == "__main__":
    print(json.dumps(train(parse_options()), indent=1))
