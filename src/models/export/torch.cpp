// A model's tensors under PyTorch's names, and the module that loads them.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "sluice/base/file.hpp"
#include "sluice/models/architecture.hpp"
#include "sluice/models/export.hpp"
#include "unconditional.hpp"

namespace sluice {
namespace {

bool is_of_tokens(const std::string& name) {
  return name.starts_with("embedding.") || name.starts_with("softmax.");
}

/// Rows of `a` and then of `b`.
Tensor stacked(const Tensor& a, const Tensor& b) {
  Tensor out(Shape{a.dim(0) + b.dim(0), a.dim(1)});
  out.rows(0, a.dim(0)).copy_from(a);
  out.rows(a.dim(0), out.dim(0)).copy_from(b);
  return out;
}

/// a·b.
Tensor multiplied(const Tensor& a, const Tensor& b) {
  Tensor out = Tensor::zeros(Shape{a.dim(0), b.dim(1)});
  for (std::int64_t i = 0; i < a.dim(0); ++i) {
    float* const row = out.data<float>() + i * b.dim(1);
    for (std::int64_t k = 0; k < a.dim(1); ++k) {
      const float factor = a.data<float>()[i * a.dim(1) + k];
      const float* const from = b.data<float>() + k * b.dim(1);
      for (std::int64_t j = 0; j < b.dim(1); ++j) row[j] += factor * from[j];
    }
  }
  return out;
}

/// nn.Embedding and nn.Linear, or nn.AdaptiveLogSoftmaxWithLoss.
class TokenTensors {
 public:
  explicit TokenTensors(const LanguageModel& model) : model_(model) {}

  NamedTensors all() const {
    const ModelConfig& config = model_.config();
    const std::size_t tails = token_layers_options(config).cutoffs.size();
    NamedTensors out;
    if (tails == 0) {
      out.emplace_back("embedding.weight", of("embedding.weight"));
      out.emplace_back("softmax.weight", of(config.tie ? "embedding.weight" : "softmax.weight"));
      out.emplace_back("softmax.bias", of("softmax.bias"));
      return out;
    }
    // PyTorch has no adaptive input: vectors of tied bands are written out.
    Tensor vectors = of(config.tie ? "embedding.bands.0.weight" : "embedding.weight");
    out.emplace_back("softmax.head.weight", config.tie
                                                ? stacked(vectors, of("softmax.clusters.weight"))
                                                : of("softmax.head.weight"));
    out.emplace_back("softmax.head.bias", of("softmax.head.bias"));
    for (std::size_t i = 0; i < tails; ++i) {
      const std::string own = config.tie ? fmt::format("embedding.bands.{}.", i + 1)
                                         : fmt::format("softmax.tails.{}.", i);
      const Tensor projection = of(own + "projection.weight");
      const Tensor output = of(own + (config.tie ? "weight" : "output.weight"));
      out.emplace_back(fmt::format("softmax.tail.{}.0.weight", i), projection);
      out.emplace_back(fmt::format("softmax.tail.{}.1.weight", i), output);
      if (config.tie) vectors = stacked(vectors, multiplied(output, projection));
    }
    out.emplace_back("embedding.weight", vectors);
    return out;
  }

 private:
  Tensor of(const std::string& name) const {
    const Parameters& parameters = model_.parameters();
    const auto found =
        std::find_if(parameters.begin(), parameters.end(),
                     [&](const Parameter& parameter) { return parameter.name == name; });
    return found->in_file(found->variable.value());
  }

  const LanguageModel& model_;
};

constexpr const char* script_head = R"("""{summary}, trained by Sluice.

    model = load()
    log_probs, state = model(torch.tensor([[{eos}, 1, 2]]))  # of what follows each token
    log_probs, state = model(torch.tensor([[3]]), state)     # and so on

Tokens are numbered as in tokens.txt; a text begins with {eos}.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


)";

constexpr const char* script_tail = R"(

class Model(Stack):
    """tokens [B, T] and a state (None: the start of a text) to log-probabilities [B, T, {vocabulary}]
    and the state behind them."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding({vocabulary}, {dim})
        self.softmax = {softmax}

    def forward(self, tokens, state=None):
        hidden, state = super().forward(self.embedding(tokens), state)
        rows = {log_probs}
        return rows.view(*tokens.shape, -1), state


def read_safetensors(path):
    data = bytearray(Path(path).read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {{name: torch.frombuffer(data, dtype=torch.float32, offset=start + info["data_offsets"][0],
                                   count=torch.Size(info["shape"]).numel()).reshape(info["shape"]).clone()
            for name, info in header.items()}}


def load(directory=Path(__file__).parent):
    model = Model()
    state = {{**{{name: value for name, value in model.state_dict().items() if name.endswith("tracked")}},
             **read_safetensors(Path(directory) / "{file}")}}
    model.load_state_dict(state)
    return model.eval()
)";

std::string module_source(const LoadedModel& model, const std::string& stack) {
  const ModelConfig& config = model.model->config();
  const std::vector<std::int64_t> cutoffs = token_layers_options(config).cutoffs;
  const std::int64_t width = config.architecture().output_width(config);
  const std::string softmax =
      cutoffs.empty()
          ? fmt::format("nn.Linear({}, {})", width, config.vocabulary)
          : fmt::format("nn.AdaptiveLogSoftmaxWithLoss({}, {}, [{}], div_value=4, head_bias=True)",
                        width, config.vocabulary, fmt::join(cutoffs, ", "));
  const char* const log_probs = cutoffs.empty()
                                    ? "F.log_softmax(self.softmax(hidden.flatten(0, 1)), -1)"
                                    : "self.softmax.log_prob(hidden.flatten(0, 1))";
  using fmt::arg;
  return fmt::format(script_head, arg("summary", config.summary()),
                     arg("eos", model.tokenizer->eos())) +
         stack +
         fmt::format(script_tail, arg("vocabulary", config.vocabulary), arg("dim", config.dim),
                     arg("softmax", softmax), arg("log_probs", log_probs),
                     arg("file", ModelDirectory::best_weights_name));
}

}  // namespace

NamedTensors stack_tensors(const Parameters& parameters) {
  NamedTensors out;
  for (const Parameter& parameter : parameters) {
    if (is_of_tokens(parameter.name)) continue;
    out.emplace_back(parameter.name, parameter.in_file(parameter.variable.value()));
  }
  return out;
}

std::vector<std::string> export_torch(const LoadedModel& model, const std::filesystem::path& out) {
  const ModelConfig& config = model.model->config();
  require_unconditional(config);
  const TorchStack stack = config.architecture().torch_stack(config, model.model->parameters());
  std::filesystem::create_directories(out);
  NamedTensors tensors = TokenTensors(*model.model).all();
  tensors.insert(tensors.end(), stack.tensors.begin(), stack.tensors.end());
  write_safetensors(out / ModelDirectory::best_weights_name, tensors, {{"format", "pt"}});
  write_file(out / "model.py", module_source(model, stack.source));
  std::vector<std::string> files = write_tokens(*model.tokenizer, out);
  files.insert(files.begin(), {"model.py", ModelDirectory::best_weights_name});
  return files;
}

}  // namespace sluice
