#include "validator.hpp"

#include <cmath>

#include "divergence.hpp"
#include "sluice/inference/frozen_model.hpp"

namespace sluice {
namespace {

/// Tokens that warm a model without a bounded receptive field up (EvalOptions).
constexpr std::int64_t validation_warm_up = 256;

}  // namespace

std::optional<EvalResult> Validator::validate(const GoOn& go_on) const {
  struct Stopped {};
  EvalOptions options;
  options.warm_up = validation_warm_up;
  options.progress = [&](std::int64_t done, std::int64_t total) {
    if (!go_on(static_cast<double>(done) / static_cast<double>(total))) throw Stopped{};
  };
  std::optional<EvalResult> found;
  try {
    found = evaluate(*FrozenModel::freeze(model_, {.conv = conv_}), text_, options);
  } catch (const Stopped&) {
    return std::nullopt;
  }
  if (!std::isfinite(loss_of(*found))) throw NotFinite("the validation loss", loss_of(*found));
  return found;
}

double loss_of(const EvalResult& result) { return result.nll / static_cast<double>(result.tokens); }

bool judge(TrainState& state, double loss) {
  const bool best = loss < state.best_loss;
  state.validated_step = state.step;
  state.last_validation_loss = loss;
  if (best) {
    state.best_loss = loss;
    state.best_step = state.step;
  }
  state.without_improvement = best ? 0 : state.without_improvement + 1;
  return best;
}

}  // namespace sluice
