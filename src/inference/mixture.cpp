#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sluice/base/error.hpp"
#include "sluice/inference/predictor.hpp"

namespace sluice {
namespace {

using States = std::span<PredictorState* const>;
using Ids = Predictor::Ids;

/// One state for each part.
struct MixtureState final : PredictorState::Part {
  std::vector<PredictorState> parts;
  std::unique_ptr<Part> clone() const override { return std::make_unique<MixtureState>(*this); }
};

class Mixture final : public Predictor {
 public:
  explicit Mixture(std::vector<MixturePart> parts) : parts_(std::move(parts)) {}

  std::int64_t vocabulary() const override { return parts_.front().predictor->vocabulary(); }
  bool predicts_start() const override {
    return std::all_of(parts_.begin(), parts_.end(),
                       [](const MixturePart& part) { return part.predictor->predicts_start(); });
  }

 private:
  /// The texts' states for part `p`.
  std::vector<PredictorState*> states_of(States states, std::size_t p) const {
    std::vector<PredictorState*> own;
    for (PredictorState* state : states) {
      auto& all = state->as<MixtureState>().parts;
      all.resize(parts_.size());
      own.push_back(&all[p]);
    }
    return own;
  }

  void do_feed(States states, std::span<const Ids> ids) const override {
    for (std::size_t p = 0; p < parts_.size(); ++p) {
      parts_[p].predictor->feed(states_of(states, p), ids);
    }
  }

  std::vector<double> do_nll(States states, std::span<const Ids> ids,
                             Reading reading) const override {
    std::vector<double> sum;
    for (std::size_t p = 0; p < parts_.size(); ++p) {
      const std::vector<double> nll = parts_[p].predictor->nll(states_of(states, p), ids, reading);
      sum.resize(nll.size());
      for (std::size_t i = 0; i < nll.size(); ++i) sum[i] += parts_[p].weight * std::exp(-nll[i]);
    }
    for (double& value : sum) value = -std::log(value);
    return sum;
  }

  Tensor do_log_probabilities(States states) const override {
    Tensor sum;
    for (std::size_t p = 0; p < parts_.size(); ++p) {
      const Tensor logs = parts_[p].predictor->log_probabilities(states_of(states, p));
      const auto weight = static_cast<float>(parts_[p].weight);
      if (!sum.defined()) sum = Tensor::zeros(logs.shape());
      const auto to = sum.span<float>();
      const auto from = logs.span<float>();
      for (std::size_t i = 0; i < to.size(); ++i) to[i] += weight * std::exp(from[i]);
    }
    for (float& value : sum.span<float>()) value = std::log(value);
    return sum;
  }

  std::vector<MixturePart> parts_;
};

}  // namespace

std::shared_ptr<const Predictor> make_mixture(std::vector<MixturePart> parts) {
  if (parts.empty()) throw UsageError("mixture: expected at least one model, got none");
  double sum = 0;
  for (const MixturePart& part : parts) {
    if (!(part.weight >= 0) || std::isinf(part.weight)) {
      throw UsageError(
          fmt::format("mixture: a weight must be 0 or more, got {}; the weights of a mixture sum "
                      "to 1",
                      part.weight));
    }
    if (part.predictor->vocabulary() != parts.front().predictor->vocabulary()) {
      throw Error(fmt::format(
          "mixture: the models' vocabularies have {} and {} tokens; only models of one vocabulary "
          "mix",
          parts.front().predictor->vocabulary(), part.predictor->vocabulary()));
    }
    sum += part.weight;
  }
  constexpr double tolerance = 1e-6;
  if (std::abs(sum - 1) > tolerance) {
    throw UsageError(
        fmt::format("mixture: the weights sum to {}, expected 1; divide them by their sum", sum));
  }
  if (parts.size() == 1) return parts.front().predictor;
  return std::make_shared<Mixture>(std::move(parts));
}

}  // namespace sluice
