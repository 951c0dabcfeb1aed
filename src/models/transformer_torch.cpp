// The Transformer in PyTorch.

#include <fmt/format.h>

#include "sluice/base/names.hpp"
#include "transformer_export.hpp"

namespace sluice {
namespace {

constexpr const char* rotary_source = R"(
def turned(x, first):
    """Rotary positions (Su et al. 2021) of heads [B, H, T, d], from position `first` on."""
    half = x.size(-1) // 2
    angle = torch.arange(first, first + x.size(2)).double()[:, None] * 10000.0 ** (
        -torch.arange(half).double() / half)
    cos, sin = angle.cos().float(), angle.sin().float()
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

)";

constexpr const char* transformer_source = R"({norm}

{unit}
{rotary}
class Block(nn.Module):
    """A pre-norm block: attention over a window of {window} positions, and a feed-forward layer."""

    def __init__(self):
        super().__init__()
        self.attention_norm, self.ffn_norm = Norm({dim}), Norm({dim})
        self.attention = nn.ModuleDict({{"qkv": nn.Linear({dim}, 3 * {dim}),
                                        "out": nn.Linear({dim}, {dim})}})
        self.ffn = nn.ModuleDict({{"in": nn.Linear({dim}, {inputs}), "unit": Unit({width}),
                                  "out": nn.Linear({width}, {dim})}})

    def forward(self, x, past):
        q, k, v = self.attention["qkv"](self.attention_norm(x)).chunk(3, -1)
        if past is not None:
            k, v = torch.cat([past[0], k], 1), torch.cat([past[1], v], 1)
        times, first = k.size(1), k.size(1) - x.size(1)
        heads = [y.unflatten(-1, ({heads}, -1)).transpose(1, 2) for y in (q, k, v)]
        queries, keys = {queries}, {keys}
        scores = queries @ keys.transpose(-1, -2) / queries.size(-1) ** 0.5
        at, of = torch.arange(first, times)[:, None], torch.arange(times)
        scores = scores.masked_fill((of > at) | (of <= at - {window}), -torch.inf)
        x = x + self.attention["out"]((scores.softmax(-1) @ heads[2]).transpose(1, 2).flatten(2))
        y = self.ffn["unit"](self.ffn["in"](self.ffn_norm(x)))
        kept = max(times - {window} + 1, 0)
        return x + self.ffn["out"](y), (k[:, kept:], v[:, kept:])


class Stack(nn.Module):
    """The state is the number of positions read and each block's keys and values."""

    def __init__(self):
        super().__init__()
{positions}        self.blocks = nn.ModuleList(Block() for _ in range({depth}))
        self.norm = Norm({dim})

    def forward(self, x, state=None):
        first, pasts = state or (0, [None] * {depth})
        time, carried = x.size(1), []
{add_positions}        for block, past in zip(self.blocks, pasts):
            x, after = block(x, past)
            carried.append(after)
        return self.norm(x), (first + time, carried)
)";

}  // namespace

TorchStack torch_transformer(const TransformerOptions& options, const Parameters& parameters) {
  const bool rotary = options.positions == Positions::rotary;
  const bool learned = options.positions == Positions::learned;
  NamedTensors tensors = stack_tensors(parameters);
  std::int64_t width = 0;  // which may have been chosen
  for (const auto& [name, tensor] : tensors) {
    if (name == "blocks.0.ffn.out.weight") width = tensor.dim(1);
  }
  using fmt::arg;
  std::string source = fmt::format(
      transformer_source, arg("norm", torch_norm(options.norm, options.groups)),
      arg("unit", torch_unit(options.ffn)), arg("rotary", rotary ? rotary_source : ""),
      arg("window", options.window), arg("dim", options.dim), arg("heads", options.heads),
      arg("depth", options.depth), arg("width", width),
      arg("inputs", parse_unit_spec(options.ffn).inputs(width)),
      arg("queries", rotary ? "turned(heads[0], first)" : "heads[0]"),
      arg("keys", rotary ? "turned(heads[1], 0)" : "heads[1]"),
      arg("positions", learned ? fmt::format("        self.positions = nn.Embedding({}, {})\n",
                                             options.window, options.dim)
                               : ""),
      arg("add_positions",
          learned
              ? fmt::format("        x = x + self.positions((first + torch.arange(time)) % {})\n",
                            options.window)
              : ""));
  return {std::move(source), std::move(tensors)};
}

}  // namespace sluice
