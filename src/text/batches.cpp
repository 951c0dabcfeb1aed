#include "sluice/text/batches.hpp"

#include <fmt/format.h>

#include <utility>

#include "sluice/base/error.hpp"

namespace sluice {

BatchStream::BatchStream(TokenShards tokens, std::int64_t batch, std::int64_t context)
    : tokens_(std::move(tokens)), batch_(batch), context_(context), steps_(0) {
  if (batch < 1 || context < 1) {
    throw UsageError(
        fmt::format("batch and context must be at least 1, got {} and {}", batch, context));
  }
  // Not batch * context, which may overflow.
  steps_ = tokens_.size() / batch / context;
  if (steps_ == 0) {
    throw Error(fmt::format(
        "the corpus is too short: it has {} tokens, and one step of batch {} and context {} needs "
        "{}; lower the batch, what is accumulated or the context",
        tokens_.size(), batch, context, static_cast<double>(batch) * static_cast<double>(context)));
  }
}

std::int64_t BatchStream::start(std::int64_t step, std::int64_t b) const {
  if (step < 0) throw Error(fmt::format("cannot read batch {}: steps count from 0", step));
  const std::int64_t length = steps_ * context_;
  const std::int64_t left_over = tokens_.size() - length * batch_;
  const std::int64_t first = step / steps_ % 2 == 0 ? 0 : left_over;
  return first + b * length + step % steps_ * context_;
}

void BatchStream::read(std::int64_t step, Streams streams, TokenId* inputs,
                       TokenId* targets) const {
  for (std::int64_t b = 0; b < streams.count; ++b) {
    tokens_.read_pairs(start(step, streams.first + b), context_, inputs + b * context_,
                       targets + b * context_);
  }
}

void BatchStream::read_labels(std::int64_t step, Streams streams, std::int32_t* labels) const {
  for (std::int64_t b = 0; b < streams.count; ++b) {
    tokens_.labels()->read(start(step, streams.first + b), context_, labels + b * context_);
  }
}

}  // namespace sluice
