#include "sluice/nn/token_layers.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "bands.hpp"
#include "frozen_softmax.hpp"
#include "sluice/autograd/arithmetic.hpp"
#include "sluice/autograd/cross_entropy.hpp"
#include "sluice/autograd/linear.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/autograd/softmax.hpp"
#include "sluice/tensor/detail/rows.hpp"

namespace sluice {
namespace {

// Weights of one tail of an adaptive softmax: h·projectionᵀ·outputᵀ.
struct Tail {
  Variable projection, output;
};

// Weights of an adaptive softmax, whoever owns them; ends of its bands.
struct AdaptiveVariables {
  Variable head, bias;
  const std::vector<Tail>& tails;
  const std::vector<std::int64_t>& ends;
};

Variable adaptive_loss(const Variable& h, std::span<const std::int32_t> targets, const Tensor& nll,
                       Precision precision, const AdaptiveVariables& weights) {
  const auto& [head, head_bias, tails, ends] = weights;
  const double scale = 1.0 / static_cast<double>(std::max<std::size_t>(targets.size(), 1));
  const std::vector<Band> bands = split_bands(targets, ends);
  Variable total = linear_cross_entropy(
      h, head, head_bias, {head_targets(targets, bands, ends[0]), scale, nll, {}, precision});
  for (std::size_t i = 0; i < tails.size(); ++i) {
    const Band& band = bands[i + 1];
    // A band none of whose tokens came up still takes part, so that its gradient is zeros.
    const Variable rows = gather_rows(h, band.rows);
    const Variable projected = linear(rows, tails[i].projection, {}, precision);
    const Variable tail = linear_cross_entropy(projected, tails[i].output, {},
                                               {band.local, scale, nll, band.rows, precision});
    total = add_scaled(total, 1.0, tail, 1.0);
  }
  return total;
}

// The adaptive softmax's weights as they are frozen.
AdaptiveWeights frozen_weights(const AdaptiveVariables& variables) {
  AdaptiveWeights weights{{}, variables.head.value(), variables.bias.value(), {}, variables.ends};
  for (const Tail& tail : variables.tails) {
    weights.tails.push_back({tail.projection.value(), tail.output.value()});
  }
  return weights;
}

// Hands out initialiser streams one after another.
struct Streams {
  InitKey key;
  InitKey next() {
    const InitKey now = key;
    ++key.stream;
    return now;
  }
};

Variable trainable(Shape shape, DType dtype, double deviation, Streams& streams) {
  return Variable(normal(shape, dtype, deviation, streams.next()), true);
}

Variable zeros(Shape shape, DType dtype) { return Variable(Tensor::zeros(shape, dtype), true); }

double inverse_sqrt(std::int64_t n) {
  return 1.0 / std::sqrt(static_cast<double>(std::max<std::int64_t>(n, 1)));
}

std::int64_t tail_width(std::int64_t width, std::size_t band) {
  for (std::size_t i = 0; i < band; ++i) width /= 4;
  return std::max<std::int64_t>(width, 1);
}

// Standard deviation of untied embeddings (Gehring et al. 2017).
constexpr double kEmbeddingDeviation = 0.1;

class FullLayers final : public TokenLayers {
 public:
  FullLayers(const TokenLayersOptions& o, DType dtype, Streams streams) : tie_(o.tie) {
    embedding_ = trainable(Shape{o.vocabulary, o.dim}, dtype,
                           o.tie ? inverse_sqrt(o.dim) : kEmbeddingDeviation, streams);
    weight_ =
        o.tie ? embedding_
              : trainable(Shape{o.vocabulary, o.hidden}, dtype, inverse_sqrt(o.hidden), streams);
    bias_ = zeros(Shape{o.vocabulary}, dtype);
  }

  Variable embed(std::span<const std::int32_t> ids, Precision) const override {
    return embedding(ids, embedding_);
  }
  Variable loss(const Variable& h, std::span<const std::int32_t> targets, const Tensor& nll,
                Precision precision) const override {
    const double scale = 1.0 / static_cast<double>(std::max<std::size_t>(targets.size(), 1));
    return linear_cross_entropy(h, weight_, bias_, {targets, scale, nll, {}, precision});
  }
  std::unique_ptr<FrozenTokens> freeze(const FreezeOptions& options) const override {
    return freeze_full(embedding_.value(), weight_.value(), bias_.value(), options);
  }
  void collect(Parameters& parameters) const override {
    parameters.push_back({"embedding.weight", embedding_, {}, {}, true});
    if (!tie_) parameters.push_back({"softmax.weight", weight_, {}, {}, true});
    parameters.push_back({"softmax.bias", bias_, {}, {}, false});
  }

 private:
  bool tie_;
  Variable embedding_, weight_, bias_;
};

class AdaptiveLayers final : public TokenLayers {
 public:
  AdaptiveLayers(const TokenLayersOptions& o, DType dtype, Streams streams) : ends_(o.cutoffs) {
    ends_.push_back(o.vocabulary);
    embedding_ = trainable(Shape{o.vocabulary, o.dim}, dtype, kEmbeddingDeviation, streams);
    const std::int64_t head = ends_[0] + static_cast<std::int64_t>(o.cutoffs.size());
    head_ = trainable(Shape{head, o.hidden}, dtype, inverse_sqrt(o.hidden), streams);
    bias_ = zeros(Shape{head}, dtype);
    for (std::size_t i = 0; i + 1 < ends_.size(); ++i) {
      const std::int64_t width = tail_width(o.hidden, i + 1);
      Variable projection =
          trainable(Shape{width, o.hidden}, dtype, inverse_sqrt(o.hidden), streams);
      Variable output =
          trainable(Shape{ends_[i + 1] - ends_[i], width}, dtype, inverse_sqrt(width), streams);
      tails_.push_back({std::move(projection), std::move(output)});
    }
  }

  Variable embed(std::span<const std::int32_t> ids, Precision) const override {
    return embedding(ids, embedding_);
  }
  Variable loss(const Variable& h, std::span<const std::int32_t> targets, const Tensor& nll,
                Precision precision) const override {
    return adaptive_loss(h, targets, nll, precision, {head_, bias_, tails_, ends_});
  }
  std::unique_ptr<FrozenTokens> freeze(const FreezeOptions& options) const override {
    AdaptiveWeights weights = frozen_weights({head_, bias_, tails_, ends_});
    weights.table = embedding_.value();
    return freeze_adaptive(weights, options);
  }
  void collect(Parameters& parameters) const override {
    parameters.push_back({"embedding.weight", embedding_, {}, {}, true});
    parameters.push_back({"softmax.head.weight", head_, {}, {}, true});
    parameters.push_back({"softmax.head.bias", bias_, {}, {}, false});
    for (std::size_t i = 0; i < tails_.size(); ++i) {
      const std::string prefix = fmt::format("softmax.tails.{}.", i);
      parameters.push_back({prefix + "projection.weight", tails_[i].projection, {}, {}, true});
      parameters.push_back({prefix + "output.weight", tails_[i].output, {}, {}, true});
    }
  }

 private:
  std::vector<std::int64_t> ends_;
  Variable embedding_, head_, bias_;
  std::vector<Tail> tails_;
};

class TiedAdaptiveLayers final : public TokenLayers {
 public:
  TiedAdaptiveLayers(const TokenLayersOptions& o, DType dtype, Streams streams) : ends_(o.cutoffs) {
    ends_.push_back(o.vocabulary);
    const auto bands = static_cast<std::int64_t>(o.cutoffs.size());
    first_ = trainable(Shape{ends_[0], o.dim}, dtype, inverse_sqrt(o.dim), streams);
    clusters_ = trainable(Shape{bands, o.dim}, dtype, inverse_sqrt(o.dim), streams);
    bias_ = zeros(Shape{ends_[0] + bands}, dtype);
    for (std::size_t i = 0; i + 1 < ends_.size(); ++i) {
      const std::int64_t width = tail_width(o.dim, i + 1);
      Variable projection = trainable(Shape{width, o.dim}, dtype, inverse_sqrt(o.dim), streams);
      Variable output =
          trainable(Shape{ends_[i + 1] - ends_[i], width}, dtype, inverse_sqrt(width), streams);
      tails_.push_back({std::move(projection), std::move(output)});
    }
  }

  Variable embed(std::span<const std::int32_t> ids, Precision precision) const override {
    std::vector<Band> bands = split_bands(ids, ends_);
    std::vector<RowPart> parts;
    parts.push_back({gather_rows(first_, bands[0].local), std::move(bands[0].rows)});
    for (std::size_t i = 0; i < tails_.size(); ++i) {
      Band& band = bands[i + 1];
      const Variable rows = gather_rows(tails_[i].output, band.local);
      parts.push_back({matmul(rows, tails_[i].projection, precision), std::move(band.rows)});
    }
    return scatter_rows(parts, static_cast<std::int64_t>(ids.size()));
  }
  Variable loss(const Variable& h, std::span<const std::int32_t> targets, const Tensor& nll,
                Precision precision) const override {
    return adaptive_loss(h, targets, nll, precision,
                         {concat_rows(first_, clusters_), bias_, tails_, ends_});
  }
  std::unique_ptr<FrozenTokens> freeze(const FreezeOptions& options) const override {
    const NoGrad guard;
    const Shape all{first_.shape()[0] + clusters_.shape()[0], first_.shape()[1]};
    const Variable head =
        options.shapes_only() ? Variable(Tensor(all)) : concat_rows(first_, clusters_);
    return freeze_adaptive(frozen_weights({head, bias_, tails_, ends_}), options);
  }
  void collect(Parameters& parameters) const override {
    parameters.push_back({"embedding.bands.0.weight", first_, {}, {}, true});
    for (std::size_t i = 0; i < tails_.size(); ++i) {
      const std::string prefix = fmt::format("embedding.bands.{}.", i + 1);
      parameters.push_back({prefix + "weight", tails_[i].output, {}, {}, true});
      parameters.push_back({prefix + "projection.weight", tails_[i].projection, {}, {}, true});
    }
    parameters.push_back({"softmax.clusters.weight", clusters_, {}, {}, true});
    parameters.push_back({"softmax.head.bias", bias_, {}, {}, false});
  }

 private:
  std::vector<std::int64_t> ends_;
  Variable first_, clusters_, bias_;
  std::vector<Tail> tails_;
};

}  // namespace

std::unique_ptr<TokenLayers> make_token_layers(const TokenLayersOptions& options, DType dtype,
                                               InitKey key) {
  const Streams streams{key};
  if (options.cutoffs.empty()) return std::make_unique<FullLayers>(options, dtype, streams);
  if (options.tie) return std::make_unique<TiedAdaptiveLayers>(options, dtype, streams);
  return std::make_unique<AdaptiveLayers>(options, dtype, streams);
}

std::int64_t parameter_count(const TokenLayersOptions& options) {
  const auto& [vocabulary, dim, hidden, cutoffs, tie] = options;
  if (cutoffs.empty()) return vocabulary * (dim + 1 + (tie ? 0 : hidden));
  const std::int64_t head = cutoffs.front() + static_cast<std::int64_t>(cutoffs.size());
  std::int64_t count = head * (hidden + 1);
  for (std::size_t i = 0; i < cutoffs.size(); ++i) {
    const std::int64_t end = i + 1 < cutoffs.size() ? cutoffs[i + 1] : vocabulary;
    count += tail_width(hidden, i + 1) * (hidden + end - cutoffs[i]);
  }
  // Tied, the bands are the embedding's, too.
  return tie ? count : count + vocabulary * dim;
}

std::size_t most_cutoffs(std::int64_t hidden) {
  constexpr std::size_t most = 8;
  std::size_t cutoffs = 0;
  while (cutoffs < most && (hidden /= 4) > 0) ++cutoffs;
  return cutoffs;
}

}  // namespace sluice
