#include "sluice/models/stack_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <vector>

#include "sluice/autograd/dropout.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/random.hpp"
#include "sluice/models/architecture.hpp"

namespace sluice {

namespace {

constexpr std::uint32_t kLabelStream = 0x7FFE;

/// The labels of a chunk [B, T], of which each run of one label becomes unknown with probability
/// `p`: whole lines, or the part of them in the chunk.
std::vector<std::int32_t> drop_labels(std::span<const std::int32_t> labels, std::int64_t batch,
                                      const RandomKey& random, float p) {
  std::vector<std::int32_t> kept(labels.begin(), labels.end());
  const std::size_t time =
      labels.size() / static_cast<std::size_t>(std::max<std::int64_t>(batch, 1));
  bool unknown = false;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (i % time == 0 || labels[i] != labels[i - 1]) unknown = random.uniform(i) < p;
    if (unknown) kept[i] = 0;
  }
  return kept;
}

/// The state with zeros, which is that of nothing before, for the texts that start anew.
void restart(ModelState& state, std::span<const std::uint8_t> starts) {
  if (std::none_of(starts.begin(), starts.end(), [](std::uint8_t start) { return start != 0; })) {
    return;
  }
  for (Tensor& tensor : state.tensors) {
    if (!tensor.defined()) continue;
    const auto texts = static_cast<std::int64_t>(starts.size());
    if (tensor.dim(0) != texts) {
      throw Error(fmt::format("the model's forward pass got {} texts and a state of {}", texts,
                              tensor.shape().str()));
    }
    // States are never written once made.
    Tensor fresh(tensor.shape(), tensor.dtype());
    const std::size_t row = tensor.bytes() / starts.size();
    for (std::size_t b = 0; b < starts.size(); ++b) {
      std::byte* const to = static_cast<std::byte*>(fresh.raw()) + b * row;
      if (starts[b] != 0) {
        std::memset(to, 0, row);
      } else {
        std::memcpy(to, static_cast<const std::byte*>(tensor.raw()) + b * row, row);
      }
    }
    tensor = std::move(fresh);
  }
}

}  // namespace

StackModel::StackModel(const ModelConfig& config, std::optional<std::uint64_t> seed, DType dtype)
    : LanguageModel(config),
      tokens_(make_token_layers(token_layers_options(config), dtype, {seed, 0})) {
  tokens_->collect(parameters_);
}

Variable StackModel::hidden(std::span<const std::int32_t> ids, std::int64_t batch,
                            std::int64_t time, ModelState& state, const ForwardOptions& given) {
  ForwardOptions options = given;
  options.dropout = config_.dropout;
  if (static_cast<std::int64_t>(ids.size()) != batch * time) {
    throw Error(fmt::format("the model's forward pass got {} ids for a batch of {} by {}",
                            ids.size(), batch, time));
  }
  restart(state, options.starts);
  std::vector<std::int32_t> labels;
  if (options.training && config_.label_dropout > 0 && !options.labels.one()) {
    labels = drop_labels(options.labels.each, batch, {options.seed, kLabelStream, options.step},
                         config_.label_dropout);
    options.labels.each = labels;
  }
  const Variable x = LayerProbe{options.probe, {}, {}}.see(
      ProbePoint::embedded,
      reshape(tokens_->embed(ids, options.precision), Shape{batch, time, config_.dim}));
  const Variable y = stack(x, state, options);
  return reshape(drop(y, options.dropout_of(output_dropout_stream())),
                 Shape{batch * time, y.shape()[2]});
}

Variable StackModel::loss(const Variable& hidden, std::span<const std::int32_t> targets,
                          const ForwardOptions& options, Tensor* nll) {
  if (nll != nullptr) {
    *nll = Tensor::zeros(Shape{static_cast<std::int64_t>(targets.size())}, hidden.dtype());
  }
  return tokens_->loss(hidden, targets, nll == nullptr ? Tensor() : *nll, options.precision);
}

std::unique_ptr<FrozenTokens> StackModel::freeze_tokens(const FreezeOptions& options) const {
  return tokens_->freeze(options);
}

/// A model's own forward pass as a frozen stack.
class StackModel::Copied final : public FrozenStack {
 public:
  Copied(const StackModel& model, const FreezeOptions& options)
      : FrozenStack(model.config_.dim, model.config_.architecture().output_width(model.config_)),
        copy_(make_model(model.config_, std::nullopt)),
        stack_(&dynamic_cast<StackModel&>(*copy_)) {
    forward_.precision = product_precision(options.precision);
    const Parameters& from = model.parameters();
    const Parameters& to = copy_->parameters();
    for (std::size_t i = 0; i < to.size(); ++i) {
      to[i].variable.set_value(frozen_tensor(from[i].variable.value(), options));
    }
  }

 private:
  Tensor run(const Tensor& x, const PackedRows& rows, std::span<StackState* const> states,
             const RowLabels& labels) const override {
    const NoGrad no_grad;
    const std::lock_guard lock(mutex_);
    const std::int64_t d = inputs();
    Tensor out(Shape{rows.rows(), outputs()});
    for (std::size_t i = 0; i < rows.texts(); ++i) {
      const std::int64_t first = rows.first(i), time = rows.length(i);
      const Variable text(x.rows(first, first + time).reshape(Shape{1, time, d}));
      ModelState state{states[i]->tensors};
      ForwardOptions options = forward_;
      options.labels = labels;
      if (!labels.one()) {
        options.labels.each =
            labels.each.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(time));
      }
      const Tensor y = stack_->stack(text, state, options).value();
      out.rows(first, first + time).copy_from(y.reshape(Shape{time, outputs()}));
      states[i]->tensors = std::move(state.tensors);
    }
    return out;
  }

  std::unique_ptr<LanguageModel> copy_;
  StackModel* stack_;
  ForwardOptions forward_;
  mutable std::mutex mutex_;  // a forward pass of a model may keep what it likes in it
};

std::unique_ptr<FrozenStack> StackModel::freeze_stack(const FreezeOptions& options) const {
  return std::make_unique<Copied>(*this, options);
}

Variable StackModel::drop(const Variable& y, const Dropout& dropout) const {
  return sluice::dropout(y, dropout);
}

}  // namespace sluice
