#include "frozen_softmax.hpp"

#include <fmt/format.h>

#include "bands.hpp"
#include "sluice/base/error.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/rows.hpp"

namespace sluice {
namespace {

/// How tables of token vectors are kept: vectors enter a model of bfloat16 as they were trained,
/// unless it is to be small.
FreezeOptions of_tables(FreezeOptions options) {
  if (options.precision == WeightPrecision::bf16 && options.parts == nullptr) {
    options.precision = WeightPrecision::f32;
  }
  return options;
}

/// Rows of `w` as token vectors; `prepared` is `w` for products.
PreparedWeight table_of(const Tensor& w, const PreparedWeight& prepared,
                        const FreezeOptions& options) {
  const FreezeOptions of_table = of_tables(options);
  if (of_table.precision == options.precision) return prepared;
  return {w, WeightLayout::outputs_by_inputs, of_table};
}

class FrozenFull final : public FrozenTokens {
 public:
  FrozenFull(const Tensor& table, const Tensor& weight, const Tensor& bias,
             const FreezeOptions& options)
      : weight_(weight, WeightLayout::outputs_by_inputs, options),
        table_(table.raw() == weight.raw()
                   ? table_of(table, weight_, options)
                   : PreparedWeight(table, WeightLayout::outputs_by_inputs, of_tables(options))),
        bias_(frozen_tensor(bias, options)) {}

  Tensor embed(std::span<const std::int32_t> ids) const override {
    return table_.pick(ids, "embedding");
  }
  std::vector<double> nll(const Tensor& h, std::span<const std::int32_t> targets) const override {
    std::vector<double> out(targets.size());
    add_softmax_nll(out, h, weight_, bias_, targets);
    return out;
  }
  Tensor log_probabilities(const Tensor& h) const override {
    Tensor logits = weight_.product(h);
    add_bias(logits, bias_);
    log_softmax_rows(logits);
    return logits;
  }

 private:
  PreparedWeight weight_, table_;
  Tensor bias_;
};

class FrozenAdaptive final : public FrozenTokens {
 public:
  FrozenAdaptive(const AdaptiveWeights& weights, const FreezeOptions& options)
      : ends_(weights.ends), bias_(frozen_tensor(weights.bias, options)) {
    constexpr WeightLayout transposed = WeightLayout::outputs_by_inputs;
    head_ = {weights.head, transposed, options};
    if (weights.table.defined()) {
      table_ = {weights.table, transposed, of_tables(options)};
      for (const TailWeights& tail : weights.tails) {
        tails_.push_back(
            {{tail.projection, transposed, options}, {tail.output, transposed, options}, {}, {}});
      }
      return;
    }
    table_ = table_of(weights.head, head_, options);
    for (const TailWeights& tail : weights.tails) {
      auto [projection, expansion] = PreparedWeight::both_ways(tail.projection, options);
      PreparedWeight output(tail.output, transposed, options);
      PreparedWeight table = table_of(tail.output, output, options);
      tails_.push_back(
          {std::move(projection), std::move(output), std::move(table), std::move(expansion)});
    }
  }

  Tensor embed(std::span<const std::int32_t> ids) const override {
    if (tails_.empty() || !tails_.front().table.defined()) return table_.pick(ids, "embedding");
    check(ids);
    const std::vector<Band> bands = split_bands(ids, ends_);
    Tensor out(Shape{static_cast<std::int64_t>(ids.size()), table_.inputs()});
    place_rows(out, table_.pick(bands[0].local, "embedding"), bands[0].rows);
    for (std::size_t i = 0; i < tails_.size(); ++i) {
      const Band& band = bands[i + 1];
      if (band.rows.empty()) continue;
      const Tensor rows = tails_[i].table.pick(band.local, "embedding");
      place_rows(out, tails_[i].expansion.product(rows), band.rows);
    }
    return out;
  }

  std::vector<double> nll(const Tensor& h, std::span<const std::int32_t> targets) const override {
    check(targets);
    std::vector<double> out(targets.size());
    const std::vector<Band> bands = split_bands(targets, ends_);
    add_softmax_nll(out, h, head_, bias_, head_targets(targets, bands, ends_[0]));
    for (std::size_t i = 0; i < tails_.size(); ++i) {
      const Band& band = bands[i + 1];
      if (band.rows.empty()) continue;
      const Tensor projected = tails_[i].projection.product(pick_rows(h, band.rows, "softmax"));
      add_softmax_nll(out, projected, tails_[i].output, {}, band.local, band.rows);
    }
    return out;
  }

  Tensor log_probabilities(const Tensor& h) const override {
    const Tensor head = head_.product(h);
    add_bias(head, bias_);
    Tensor out(Shape{h.dim(0), ends_.back()});
    for (std::size_t i = 0; i < tails_.size(); ++i) {
      tails_[i].output.product_into(out, ends_[i], tails_[i].projection.product(h));
    }
    log_softmax_bands(out, head, ends_);
    return out;
  }

 private:
  struct Tail {
    PreparedWeight projection, output;
    /// Tied: rows of the tail, and what widens them to token vectors.
    PreparedWeight table, expansion;
  };

  void check(std::span<const std::int32_t> ids) const {
    for (const std::int32_t id : ids) {
      if (id < 0 || id >= ends_.back()) {
        throw Error(
            fmt::format("token {} is outside the model's vocabulary of {}", id, ends_.back()));
      }
    }
  }

  std::vector<std::int64_t> ends_;
  /// Tied: of the head's tokens alone.
  PreparedWeight table_;
  PreparedWeight head_;
  Tensor bias_;
  std::vector<Tail> tails_;
};

}  // namespace

std::unique_ptr<FrozenTokens> freeze_full(const Tensor& table, const Tensor& weight,
                                          const Tensor& bias, const FreezeOptions& options) {
  return std::make_unique<FrozenFull>(table, weight, bias, options);
}

std::unique_ptr<FrozenTokens> freeze_adaptive(const AdaptiveWeights& weights,
                                              const FreezeOptions& options) {
  return std::make_unique<FrozenAdaptive>(weights, options);
}

}  // namespace sluice
