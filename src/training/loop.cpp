#include "loop.hpp"

#include <cmath>

#include "divergence.hpp"
#include "sluice/base/profile.hpp"

namespace sluice {

Loop::Loop(LanguageModel& model, const TokenShards& text, const TrainConfig& config)
    : model_(model),
      config_(config),
      stream_(text, config.streams(), config.context),
      optimizer_(model.parameters(), config.optimizer),
      statistics_(model.parameters()),
      inputs_(static_cast<std::size_t>(config.batch * config.context)),
      targets_(inputs_.size()),
      labels_(stream_.has_labels() ? inputs_.size() : 0),
      carried_(static_cast<std::size_t>(config.accumulate)) {
  for (const Parameter& parameter : trainable()) {
    leaves_.push_back(parameter.variable);
    if (accumulates()) sums_.emplace_back(parameter.variable.shape(), parameter.variable.dtype());
  }
  optimizer_.zero_gradients();
}

Loop::Update Loop::step(std::int64_t step, double rate, const Read& read) {
  if (!config_.carry || stream_.starts_epoch(step)) {
    for (ModelState& state : carried_) state.tensors.clear();
  }
  for (MicroSum& sum : sums_) sum.clear();
  if (accumulates()) statistics_.begin();
  double sum = 0;
  for (std::int64_t micro = 0; micro < config_.accumulate; ++micro) {
    sum += learn_from(step, micro, read);
  }
  if (exchange_ != nullptr) exchange_->finish();
  if (accumulates()) statistics_.finish(config_.accumulate);
  // The gradients are sums: what is read of them is divided, not they.
  const auto parts = static_cast<double>(config_.accumulate);
  const double norm = optimizer_.gradient_norm() / parts;
  if (!std::isfinite(norm)) throw NotFinite("the gradient norm", norm, true);
  const double scale = clip_coefficient(norm, config_.clip);
  optimizer_.step(rate, scale / parts);
  model_.constrain();
  optimizer_.zero_gradients();
  return {sum / parts, rate, norm, scale < 1};
}

double Loop::learn_from(std::int64_t step, std::int64_t micro, const Read& read) {
  {
    const ProfileScope scope("batch");
    const BatchStream::Streams streams{micro * config_.batch, config_.batch};
    stream_.read(step, streams, inputs_.data(), targets_.data());
    if (!labels_.empty()) stream_.read_labels(step, streams, labels_.data());
  }
  if (read) read(step, inputs_, targets_);
  const double loss = forward_backward(step, micro);
  if (accumulates()) statistics_.add(micro);
  return loss;
}

double Loop::forward_backward(std::int64_t step, std::int64_t micro) {
  // Each micro-batch has random numbers of its own, whoever computes it.
  const ForwardOptions forward{
      .training = true,
      .seed = config_.seed,
      .step = static_cast<std::uint32_t>(step * config_.accumulate + micro),
      .precision = config_.precision,
      .conv = config_.conv,
      .recompute = config_.recompute,
      .labels = {.each = labels_}};
  Tape tape;
  const Variable loss = [&] {
    const ProfileScope scope("forward");
    const Variable hidden = model_.hidden(inputs_, config_.batch, config_.context,
                                          carried_[static_cast<std::size_t>(micro)], forward);
    return model_.loss(hidden, targets_, forward);
  }();
  const double value = static_cast<double>(loss.value().data<float>()[0]);
  if (!std::isfinite(value)) throw NotFinite("the loss", value);
  const ProfileScope scope("backward");
  LeafListener listener;
  if (exchange_ != nullptr || accumulates()) {
    listener = {leaves_, [this, micro](std::size_t leaf) { complete(leaf, micro); }};
  }
  tape.backward(loss, listener);
  return value;
}

void Loop::complete(std::size_t leaf, std::int64_t micro) {
  if (accumulates()) {
    GradientSlot& gradient = *leaves_[leaf].gradient();
    sums_[leaf].add(micro, gradient);
    if (micro + 1 < config_.accumulate) return;
    sums_[leaf].finish(gradient);
  }
  if (exchange_ != nullptr) exchange_->ready(leaf);
}

}  // namespace sluice
