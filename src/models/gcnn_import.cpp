// fairseq's fconv_lm (fairseq/models/fconv.py, fconv_lm.py, modules/adaptive_softmax.py): the same
// model as ours with a projection in front, in other layouts.

#include "gcnn_import.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "import/imported_model.hpp"
#include "sluice/base/error.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/tensor/gemm.hpp"

namespace sluice {
namespace {

const std::string decoder = "decoder.";

void require_shape(const ForeignFile& file, const ForeignTensor& tensor,
                   const std::vector<std::int64_t>& shape) {
  if (tensor.shape == shape) return;
  refuse_import(file, fmt::format("tensor '{}' is of another shape than the layers before it give",
                                  tensor.name));
}

/// A convolution's filters v [k, C, 2N] and their lengths in our layouts, [2N, C, k] and [2N, 1,
/// 1]. The file's lengths are of filters (dimension 2) or, before version 2, of taps (dimension 0).
class Filters {
 public:
  Filters(const ForeignFile& file, const ForeignTensor& v, const ForeignTensor& g)
      : file_(file), v_(v), g_(g) {}

  Tensor directions() const {
    const Tensor v = file_.read(v_);
    const std::int64_t taps = v.dim(0), channels = v.dim(1), outputs = v.dim(2);
    Tensor out(Shape{outputs, channels, taps});
    const std::vector<double> scale = by_tap() ? tap_scales(v) : std::vector<double>();
    const float* from = v.data<float>();
    float* const to = out.data<float>();
    for (std::int64_t k = 0; k < taps; ++k) {
      const double factor = scale.empty() ? 1 : scale[static_cast<std::size_t>(k)];
      for (std::int64_t c = 0; c < channels; ++c) {
        for (std::int64_t n = 0; n < outputs; ++n) {
          to[(n * channels + c) * taps + k] = static_cast<float>(factor * *from++);
        }
      }
    }
    return out;
  }

  Tensor lengths() const {
    const std::int64_t outputs = v_.shape[2];
    if (!by_tap()) return file_.read(g_).reshape(Shape{outputs, 1, 1});
    const Tensor v = directions();
    Tensor out(Shape{outputs, 1, 1});
    const std::int64_t size = v.elements() / outputs;
    for (std::int64_t n = 0; n < outputs; ++n) {
      double sum = 0;
      for (const float x : v.span<float>().subspan(static_cast<std::size_t>(n * size),
                                                   static_cast<std::size_t>(size))) {
        sum += static_cast<double>(x) * x;
      }
      out.data<float>()[n] = static_cast<float>(std::sqrt(sum));
    }
    return out;
  }

 private:
  bool by_tap() const { return g_.shape == std::vector<std::int64_t>{v_.shape[0], 1, 1}; }
  std::vector<double> tap_scales(const Tensor& v) const {
    const Tensor g = file_.read(g_);
    const std::int64_t taps = v.dim(0);
    const auto size = static_cast<std::size_t>(v.elements() / taps);
    std::vector<double> scales;
    for (std::int64_t k = 0; k < taps; ++k) {
      double sum = 0;
      for (const float x : v.span<float>().subspan(static_cast<std::size_t>(k) * size, size)) {
        sum += static_cast<double>(x) * x;
      }
      scales.push_back(static_cast<double>(g.data<float>()[k]) / std::sqrt(sum));
    }
    return scales;
  }

  const ForeignFile& file_;
  const ForeignTensor& v_;
  const ForeignTensor& g_;
};

/// A linear layer as it computes: "weight", or "weight_v" of lengths "weight_g".
Tensor linear_weight(ForeignTensors& tensors, const std::string& name) {
  if (tensors.find(name + "weight") != nullptr) return tensors.as_it_is(name + "weight")();
  Tensor v = tensors.as_it_is(name + "weight_v")();
  const Tensor g = tensors.as_it_is(name + "weight_g")();
  const std::int64_t rows = v.dim(0);
  const auto width = static_cast<std::size_t>(v.elements() / rows);
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto row = v.span<float>().subspan(static_cast<std::size_t>(r) * width, width);
    double sum = 0;
    for (const float x : row) sum += static_cast<double>(x) * x;
    const double scale = static_cast<double>(g.data<float>()[r]) / std::sqrt(sum);
    for (float& x : row) x = static_cast<float>(scale * x);
  }
  return v;
}

void take_linear(ForeignTensors& tensors, ImportedModel& model, const std::string& theirs,
                 const std::string& ours, const std::vector<std::int64_t>& shape) {
  require_shape(tensors.file(), tensors.need(theirs + "weight_v"), shape);
  model.tensors[ours + "weight_v"] = tensors.as_it_is(theirs + "weight_v");
  model.tensors[ours + "weight_g"] = tensors.as_it_is(theirs + "weight_g", Shape{shape[0], 1});
  model.tensors[ours + "bias"] = tensors.as_it_is(theirs + "bias");
}

void take_layer(ForeignTensors& tensors, ImportedModel& model, std::size_t i,
                std::int64_t channels) {
  const ForeignFile& file = tensors.file();
  const LayerSpec& layer = model.config.shape<GcnnShape>().layers[i];
  const std::string theirs = fmt::format("{}convolutions.{}.", decoder, i);
  const std::string ours = fmt::format("layers.{}.", i);
  const ForeignTensor& v = tensors.need(theirs + "weight_v");
  const ForeignTensor& g = tensors.need(theirs + "weight_g");
  require_shape(file, v, {layer.kernel, channels, 2 * layer.channels});
  if (g.shape != std::vector<std::int64_t>{layer.kernel, 1, 1}) {
    require_shape(file, g, {1, 1, 2 * layer.channels});
  }
  const Filters filters(file, v, g);
  model.tensors[ours + "weight_v"] = [filters] { return filters.directions(); };
  model.tensors[ours + "weight_g"] = [filters] { return filters.lengths(); };
  model.tensors[ours + "bias"] = tensors.as_it_is(theirs + "bias");
}

/// fc2 and fc3 as one: W₃(W₂x + b₂) + b₃.
void take_full_softmax(ForeignTensors& tensors, ImportedModel& model) {
  model.config.softmax = "full";
  const std::string first = decoder + "fc2.", second = decoder + "fc3.";
  const auto both = [&tensors, first, second] {
    const Tensor inner = linear_weight(tensors, first);
    const Tensor outer = linear_weight(tensors, second);
    Tensor out(Shape{outer.dim(0), inner.dim(1)});
    gemm(out.data<float>(), out.dim(1), matrix(outer.data<float>(), outer.dim(0), outer.dim(1)),
         matrix(inner.data<float>(), inner.dim(0), inner.dim(1)));
    return out;
  };
  const auto bias = [&tensors, first, second] {
    const Tensor inner = tensors.as_it_is(first + "bias")();
    const Tensor outer = linear_weight(tensors, second);
    Tensor out = tensors.as_it_is(second + "bias")().clone();
    gemm(out.data<float>(), 1, matrix(outer.data<float>(), outer.dim(0), outer.dim(1)),
         matrix(inner.data<float>(), inner.elements(), 1), true);
    return out;
  };
  const bool plain = tensors.find(second + "weight") != nullptr;
  const ForeignTensor& outer = tensors.need(second + (plain ? "weight" : "weight_v"));
  const bool inner_plain = tensors.find(first + "weight") != nullptr;
  const ForeignTensor& inner = tensors.need(first + (inner_plain ? "weight" : "weight_v"));
  for (const auto& [name, is_plain] : {std::pair{first, inner_plain}, std::pair{second, plain}}) {
    if (!is_plain) tensors.need(name + "weight_g");
    tensors.need(name + "bias");
  }
  if (outer.shape.size() != 2 || inner.shape.size() != 2 || outer.shape[1] != inner.shape[0]) {
    refuse_import(tensors.file(), "fc2 and fc3 do not fit together");
  }
  model.tensors["softmax.weight"] = both;
  model.tensors["softmax.bias"] = bias;
}

std::string layers_of(const ForeignFile& file, const ImportOptions& options) {
  if (!options.layers.empty()) return options.layers;
  const auto found = file.settings().find("decoder_layers");
  if (found != file.settings().end()) return found->second;
  throw UsageError(
      fmt::format("'{}' has no \"args\" and no \"cfg\" that say which layers its model has; give "
                  "its layers, fairseq's decoder_layers",
                  file.path().string()));
}

bool is_fairseq_convolutional(const ForeignFile& file) {
  return file.find(decoder + "embed_tokens.weight") != nullptr &&
         file.find(decoder + "convolutions.0.weight_v") != nullptr;
}

ImportedModel read_fairseq_convolutional(ForeignTensors& tensors, const ImportOptions& options) {
  const ForeignFile& file = tensors.file();
  ImportedModel model{ModelConfig("gcnn"), {}};
  auto& shape = model.config.shape<GcnnShape>();
  shape.layers = parse_layers(layers_of(file, options));
  shape.input_projection = true;
  const auto dropout = file.settings().find("dropout");
  if (dropout != file.settings().end()) {
    const std::string& text = dropout->second;
    std::from_chars(text.data(), text.data() + text.size(), model.config.dropout);
  }
  const ForeignTensor& embedding = tensors.need(decoder + "embed_tokens.weight");
  if (embedding.shape.size() != 2) refuse_import(file, "its embedding is no matrix");
  model.config.vocabulary = embedding.shape[0];
  model.config.dim = embedding.shape[1];
  model.tensors["embedding.weight"] = tensors.as_it_is(embedding.name);
  tensors.find(decoder + "version");

  std::vector<std::int64_t> widths = {shape.layers.front().channels};
  take_linear(tensors, model, decoder + "fc1.", "input.", {widths[0], model.config.dim});
  for (std::size_t i = 0; i < shape.layers.size(); ++i) {
    const LayerSpec& layer = shape.layers[i];
    take_layer(tensors, model, i, widths.back());
    if (layer.residual > 0) {
      const std::int64_t from = widths[widths.size() - static_cast<std::size_t>(layer.residual)];
      if (from != layer.channels) {
        take_linear(tensors, model, fmt::format("{}projections.{}.", decoder, i),
                    fmt::format("layers.{}.projection.", i), {layer.channels, from});
      }
    }
    widths.push_back(layer.channels);
  }
  const std::string softmax = decoder + "adaptive_softmax.";
  if (tensors.find(softmax + "head.weight") == nullptr) {
    take_full_softmax(tensors, model);
    return model;
  }
  tensors.find(softmax + "version");
  take_adaptive_softmax(tensors, model, softmax + "head.", [&](std::size_t i, int part) {
    return fmt::format("{}tail.{}.{}.weight", softmax, i, part == 0 ? 0 : 2);
  });
  return model;
}

}  // namespace

const ForeignKind& fairseq_checkpoint() {
  static const ForeignKind kind{"fairseq's fconv_lm", is_fairseq_convolutional,
                                read_fairseq_convolutional};
  return kind;
}

}  // namespace sluice
