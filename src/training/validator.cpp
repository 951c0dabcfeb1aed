#include "validator.hpp"

#include <chrono>
#include <cmath>
#include <numeric>
#include <vector>

#include "divergence.hpp"
#include "sluice/inference/frozen_model.hpp"

namespace sluice {
namespace {

/// Tokens that warm a model without a bounded receptive field up (EvalOptions).
constexpr std::int64_t validation_warm_up = 256;

}  // namespace

std::optional<EvalResult> Validator::validate(const GoOn& go_on) const {
  struct Stopped {};
  const auto started = std::chrono::steady_clock::now();
  const auto model = FrozenModel::freeze(model_, {.conv = conv_});
  const std::int64_t size = text_.size();
  const auto bound = [&](std::int64_t part) {
    return size / parts_ * part + size % parts_ * part / parts_;
  };
  const MicroBatches own = ranks_.share(parts_);
  const auto first = bound(own.begin), all = bound(own.end) - first;
  EvalOptions options;
  options.warm_up = validation_warm_up;
  options.progress = [&](std::int64_t done, std::int64_t) {
    const auto read = static_cast<double>(options.begin - first + done);
    if (!go_on(read / static_cast<double>(all))) throw Stopped{};
  };
  EvalResult found;
  std::vector<double> nll(static_cast<std::size_t>(parts_));
  bool stopped = false;
  try {
    for (std::int64_t part = own.begin; part < own.end; ++part) {
      options.begin = bound(part);
      options.end = bound(part + 1);
      if (options.begin == options.end) continue;
      found = evaluate(*model, text_, options);
      nll[static_cast<std::size_t>(part)] = found.nll;
    }
  } catch (const Stopped&) {
    stopped = true;
  }
  if (ranks_.agree({.elapsed = 0, .checkpoint_due = false, .stop = stopped ? 1 : 0}).stop != 0) {
    return std::nullopt;
  }
  if (parts_ > 1) {
    ranks_.gather(nll);
    found.nll = std::accumulate(nll.begin(), nll.end(), 0.0);
    found.tokens = size;
    found.perplexity = std::exp(loss_of(found));
    found.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  }
  if (!std::isfinite(loss_of(found))) throw NotFinite("the validation loss", loss_of(found));
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
