#include "sluice/inference/stream.hpp"

#include <algorithm>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

/// Tokens of a prompt read in one forward pass.
constexpr std::size_t chunk = 512;

}  // namespace

Stream::Stream(LanguageModel& model) : model_(model) { model_.freeze(); }

Stream::~Stream() { model_.unfreeze(); }

void Stream::feed(std::span<const std::int32_t> ids) {
  const NoGrad no_grad;
  for (std::size_t begin = 0; begin < ids.size(); begin += chunk) {
    const auto part = ids.subspan(begin, std::min(chunk, ids.size() - begin));
    const auto time = static_cast<std::int64_t>(part.size());
    const Tensor hidden = model_.hidden(part, 1, time, state_, {}).value();
    // A copy, for a view would keep the whole chunk alive.
    last_hidden_ = time == 1 ? hidden : hidden.rows(time - 1, time).clone();
    log_probabilities_ = Tensor();
    position_ += time;
  }
}

void Stream::reset() {
  state_ = {};
  last_hidden_ = Tensor();
  log_probabilities_ = Tensor();
  position_ = 0;
}

std::span<const float> Stream::log_probabilities() {
  if (position_ == 0) {
    throw Error("stream: nothing was read yet; feed it the end of a line to start a text");
  }
  if (!log_probabilities_.defined()) {
    const NoGrad no_grad;
    log_probabilities_ = model_.log_probabilities(last_hidden_);
    if (log_probabilities_.dtype() != DType::f32) {
      log_probabilities_ = log_probabilities_.to(DType::f32);
    }
  }
  return log_probabilities_.span<float>();
}

}  // namespace sluice
