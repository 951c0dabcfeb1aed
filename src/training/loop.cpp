#include "loop.hpp"

#include <cmath>

#include "divergence.hpp"
#include "sluice/base/profile.hpp"

namespace sluice {

Loop::Loop(LanguageModel& model, const TokenShards& text, const TrainConfig& config)
    : model_(model),
      config_(config),
      stream_(text, config.batch, config.context),
      optimizer_(model.parameters(), config.optimizer),
      inputs_(static_cast<std::size_t>(tokens_per_step())),
      targets_(inputs_.size()) {
  for (const Parameter& parameter : trainable()) leaves_.push_back(parameter.variable);
  optimizer_.zero_gradients();
}

Loop::Update Loop::step(std::int64_t step, double rate, const Read& read) {
  if (!config_.carry || stream_.starts_epoch(step)) carried_.tensors.clear();
  {
    const ProfileScope scope("batch");
    stream_.read(step, inputs_.data(), targets_.data());
  }
  if (read) read(step, inputs_, targets_);
  const double loss = forward_backward(step);
  if (exchange_ != nullptr) exchange_->finish();
  const double norm = optimizer_.gradient_norm();
  if (!std::isfinite(norm)) throw NotFinite("the gradient norm", norm, true);
  optimizer_.step(rate, clip_coefficient(norm, config_.clip));
  model_.constrain();
  optimizer_.zero_gradients();
  return {loss, rate, norm};
}

double Loop::forward_backward(std::int64_t step) {
  const ForwardOptions forward{.training = true,
                               .seed = config_.seed,
                               .step = static_cast<std::uint32_t>(step),
                               .precision = config_.precision,
                               .conv = config_.conv,
                               .recompute = config_.recompute};
  Tape tape;
  const Variable loss = [&] {
    const ProfileScope scope("forward");
    const Variable hidden =
        model_.hidden(inputs_, config_.batch, config_.context, carried_, forward);
    return model_.loss(hidden, targets_, forward);
  }();
  const double value = static_cast<double>(loss.value().data<float>()[0]);
  if (!std::isfinite(value)) throw NotFinite("the loss", value);
  const ProfileScope scope("backward");
  LeafListener listener;
  if (exchange_ != nullptr) {
    listener = {leaves_, [this](std::size_t leaf) { exchange_->ready(leaf); }};
  }
  tape.backward(loss, listener);
  return value;
}

}  // namespace sluice
