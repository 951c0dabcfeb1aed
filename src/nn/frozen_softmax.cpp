#include "frozen_softmax.hpp"

#include <fmt/format.h>

#include "bands.hpp"
#include "sluice/base/error.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/rows.hpp"

namespace sluice {
namespace {

class FrozenFull final : public FrozenTokens {
 public:
  FrozenFull(const Tensor& table, const Tensor& weight, const Tensor& bias,
             const FreezeOptions& options)
      : table_(frozen_tensor(table, options)), bias_(frozen_tensor(bias, options)) {
    const bool tied = table.raw() == weight.raw();
    FreezeOptions of_weight = options;
    if (tied) of_weight.copy = false;  // the table is ours already
    weight_ = {tied ? table_ : weight, WeightLayout::outputs_by_inputs, of_weight};
  }

  Tensor embed(std::span<const std::int32_t> ids) const override {
    return pick_rows(table_, ids, "embedding");
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
  Tensor table_, bias_;
  PreparedWeight weight_;
};

class FrozenAdaptive final : public FrozenTokens {
 public:
  FrozenAdaptive(const AdaptiveWeights& weights, const FreezeOptions& options)
      : ends_(weights.ends), bias_(frozen_tensor(weights.bias, options)) {
    constexpr WeightLayout transposed = WeightLayout::outputs_by_inputs;
    if (weights.table.defined()) {
      table_ = frozen_tensor(weights.table, options);
      head_ = {weights.head, transposed, options};
      for (const TailWeights& tail : weights.tails) {
        tails_.push_back(
            {{tail.projection, transposed, options}, {tail.output, transposed, options}, {}, {}});
      }
      return;
    }
    // Tied: what is read as it is has one copy, for both ends.
    FreezeOptions ours = options;
    ours.copy = false;
    table_ = frozen_tensor(weights.head, options);
    head_ = {table_, transposed, ours};
    for (const TailWeights& tail : weights.tails) {
      const Tensor projection = frozen_tensor(tail.projection, options);
      const Tensor table = frozen_tensor(tail.output, options);
      tails_.push_back({{projection, transposed, ours},
                        {table, transposed, ours},
                        table,
                        {projection, WeightLayout::inputs_by_outputs, ours}});
    }
  }

  Tensor embed(std::span<const std::int32_t> ids) const override {
    if (tails_.empty() || !tails_.front().table.defined()) {
      return pick_rows(table_, ids, "embedding");
    }
    check(ids);
    const std::vector<Band> bands = split_bands(ids, ends_);
    Tensor out(Shape{static_cast<std::int64_t>(ids.size()), table_.dim(1)});
    place_rows(out, pick_rows(table_, bands[0].local, "embedding"), bands[0].rows);
    for (std::size_t i = 0; i < tails_.size(); ++i) {
      const Band& band = bands[i + 1];
      if (band.rows.empty()) continue;
      const Tensor rows = pick_rows(tails_[i].table, band.local, "embedding");
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
    log_softmax_rows(head);
    Tensor out(Shape{h.dim(0), ends_.back()});
    place_columns(out, 0, head, ends_[0]);
    for (std::size_t i = 0; i < tails_.size(); ++i) {
      const Tensor tail = tails_[i].output.product(tails_[i].projection.product(h));
      log_softmax_rows(tail);
      place_columns(out, ends_[i], tail, tail.dim(1),
                    {head, ends_[0] + static_cast<std::int64_t>(i)});
    }
    return out;
  }

 private:
  struct Tail {
    PreparedWeight projection, output;
    /// Tied: rows of the tail, and what widens them to token vectors.
    Tensor table;
    PreparedWeight expansion;
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
  Tensor table_, bias_;
  PreparedWeight head_;
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
