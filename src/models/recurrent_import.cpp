// Language models of torch.nn.RNN, LSTM or GRU, as PyTorch's example of a word language model names
// them.

#include "recurrent_import.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "import/imported_model.hpp"
#include "sluice/base/error.hpp"
#include "sluice/models/recurrent.hpp"

namespace sluice {
namespace {

constexpr std::string_view first_weight = "weight_ih_l0";

/// The name of the layers, with a dot behind it: "rnn."; nothing when there are none.
std::string layers_name(const ForeignFile& file) {
  for (const ForeignTensor& tensor : file.tensors()) {
    if (!tensor.name.ends_with(first_weight)) continue;
    return tensor.name.substr(0, tensor.name.size() - first_weight.size());
  }
  return "";
}

/// The first of these that is there, with what stands in front of the layers' name.
std::string name_among(const ForeignFile& file, std::initializer_list<const char*> names) {
  const std::string layers = layers_name(file);
  const std::size_t dot = layers.rfind('.', layers.size() - 2);
  const std::string before = dot == std::string::npos ? "" : layers.substr(0, dot + 1);
  for (const char* name : names) {
    if (file.find(before + name) != nullptr) return before + name;
  }
  return "";
}

/// The sum of both biases, or zeros where there are none.
std::function<Tensor()> sum_of(ForeignTensors& tensors, const std::string& a, const std::string& b,
                               std::int64_t size) {
  if (tensors.find(a) == nullptr) return [size] { return Tensor::zeros(Shape{size}); };
  const auto first = tensors.as_it_is(a);
  const auto second = tensors.as_it_is(b);
  return [first, second] {
    Tensor sum = first();
    Tensor other = second();
    if (!(other.shape() == sum.shape())) return other;  // which is refused
    std::transform(sum.span<float>().begin(), sum.span<float>().end(), other.data<float>(),
                   sum.data<float>(), std::plus<>());
    return sum;
  };
}

bool is_torch_recurrent(const ForeignFile& file) { return !layers_name(file).empty(); }

ImportedModel read_torch_recurrent(ForeignTensors& tensors, const ImportOptions& /*options*/) {
  const ForeignFile& file = tensors.file();
  const std::string layers = layers_name(file);
  const ForeignTensor& hidden_weight = tensors.need(layers + "weight_hh_l0");
  const ForeignTensor& input_weight = tensors.need(layers + std::string(first_weight));
  if (hidden_weight.shape.size() != 2 || hidden_weight.shape[1] < 1 ||
      input_weight.shape.size() != 2) {
    refuse_import(file, "its recurrent weights are no matrices");
  }
  const std::int64_t hidden = hidden_weight.shape[1];
  const std::int64_t gates = hidden_weight.shape[0] / hidden;
  const char* const arch = gates == 4 ? "lstm" : gates == 3 ? "gru" : "rnn";
  if (gates * hidden != hidden_weight.shape[0] || gates < 1 || gates == 2 || gates > 4) {
    refuse_import(file, "its recurrent weights are of no RNN, LSTM or GRU");
  }
  if (file.find(layers + "weight_ih_l0_reverse") != nullptr ||
      file.find(layers + "weight_hr_l0") != nullptr) {
    refuse_import(
        file, "its layers read backwards, or project their states: no language model of ours does");
  }
  ImportedModel model{ModelConfig(arch), {}};
  auto& shape = model.config.shape<RecurrentShape>();
  shape.hidden = hidden;
  const auto nonlinearity = file.settings().find("nonlinearity");
  if (gates == 1 && nonlinearity != file.settings().end()) shape.unit = nonlinearity->second;
  for (; tensors.find(fmt::format("{}weight_ih_l{}", layers, shape.depth)) != nullptr;
       ++shape.depth) {
    const auto theirs = [&](const char* part) {
      return fmt::format("{}{}_l{}", layers, part, shape.depth);
    };
    const std::string ours = fmt::format("layers.{}.", shape.depth);
    model.tensors[ours + "weight_ih"] = tensors.as_it_is(theirs("weight_ih"));
    model.tensors[ours + "weight_hh"] = tensors.as_it_is(theirs("weight_hh"));
    const bool apart = gates == 3 && tensors.find(theirs("bias_ih")) != nullptr;
    if (apart) {
      model.tensors[ours + "bias_ih"] = tensors.as_it_is(theirs("bias_ih"));
      model.tensors[ours + "bias_hh"] = tensors.as_it_is(theirs("bias_hh"));
      continue;
    }
    model.tensors[ours + "bias_ih"] =
        sum_of(tensors, theirs("bias_ih"), theirs("bias_hh"), gates * hidden);
    if (gates == 3) {
      model.tensors[ours + "bias_hh"] = [size = gates * hidden] {
        return Tensor::zeros(Shape{size});
      };
    }
  }

  const std::string embedding =
      name_among(file, {"encoder.weight", "embedding.weight", "embed.weight", "emb.weight"});
  if (embedding.empty()) refuse_import(file, "it has no embedding named 'encoder.weight'");
  const ForeignTensor& vectors = tensors.need(embedding);
  if (vectors.shape.size() != 2) refuse_import(file, "its embedding is no matrix");
  model.config.vocabulary = vectors.shape[0];
  model.config.dim = vectors.shape[1];
  model.tensors["embedding.weight"] = tensors.as_it_is(embedding);

  const std::string head = name_among(
      file, {"decoder.head.weight", "softmax.head.weight", "adaptive_softmax.head.weight",
             "adaptive.head.weight", "criterion.head.weight"});
  if (!head.empty()) {
    const std::string stem = head.substr(0, head.size() - std::string("head.weight").size());
    take_adaptive_softmax(tensors, model, stem + "head.", [&](std::size_t i, int part) {
      return fmt::format("{}tail.{}.{}.weight", stem, i, part);
    });
    return model;
  }
  const std::string output = name_among(
      file, {"decoder.weight", "softmax.weight", "fc.weight", "linear.weight", "out.weight"});
  if (output.empty()) refuse_import(file, "it has no output layer named 'decoder.weight'");
  model.config.softmax = "full";
  model.tensors["softmax.weight"] = tensors.as_it_is(output);
  const std::string bias = output.substr(0, output.size() - 6) + "bias";
  model.tensors["softmax.bias"] =
      tensors.find(bias) != nullptr ? tensors.as_it_is(bias) : [size = model.config.vocabulary] {
        return Tensor::zeros(Shape{size});
      };
  return model;
}

}  // namespace

const ForeignKind& torch_checkpoint() {
  static const ForeignKind kind{"a language model of torch.nn's recurrent layers",
                                is_torch_recurrent, read_torch_recurrent};
  return kind;
}

}  // namespace sluice
