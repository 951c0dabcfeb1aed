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

void BatchStream::read(std::int64_t step, Streams streams, TokenId* inputs,
                       TokenId* targets) const {
  if (step < 0) throw Error(fmt::format("cannot read batch {}: steps count from 0", step));
  const std::int64_t length = steps_ * context_;
  const std::int64_t left_over = tokens_.size() - length * batch_;
  const std::int64_t start = step / steps_ % 2 == 0 ? 0 : left_over;
  for (std::int64_t b = 0; b < streams.count; ++b) {
    tokens_.read_pairs(start + (streams.first + b) * length + step % steps_ * context_, context_,
                       inputs + b * context_, targets + b * context_);
  }
}

}  // namespace sluice
