#include "sluice/text/batches.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "sluice/base/error.hpp"

namespace sluice {

BatchStream::BatchStream(TokenShards tokens, std::int64_t batch, std::int64_t context)
    : tokens_(std::move(tokens)), batch_(batch), context_(context), steps_(0) {
  if (batch < 1 || context < 1) {
    throw UsageError(
        fmt::format("batch and context must be at least 1, got {} and {}", batch, context));
  }
  if (has_documents()) {
    std::int64_t chunks = 0;
    const DocumentEnds& documents = *tokens_.documents();
    chunk_ends_.reserve(static_cast<std::size_t>(documents.count()));
    for (std::int64_t i = 0; i < documents.count(); ++i) {
      chunks += (documents.end(i) - documents.begin(i) - 1) / context + 1;
      chunk_ends_.push_back(chunks);
    }
    steps_ = chunks / batch;
    if (steps_ > 0) return;
    throw Error(
        fmt::format("the corpus is too short: its {} documents are {} chunks of at most {} tokens, "
                    "and one step "
                    "needs {}; lower the batch, what is accumulated or the context",
                    documents.count(), chunks, context, batch));
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

BatchStream::Chunk BatchStream::chunk(std::int64_t step, std::int64_t b) const {
  if (step < 0) throw Error(fmt::format("cannot read batch {}: steps count from 0", step));
  const bool even = step / steps_ % 2 == 0;
  const std::int64_t place = b * steps_ + step % steps_;  // among all chunks of an epoch
  if (chunk_ends_.empty()) {
    const std::int64_t left_over = tokens_.size() - steps_ * context_ * batch_;
    return {(even ? 0 : left_over) + place * context_, context_};
  }
  const std::int64_t index = place + (even ? 0 : chunk_ends_.back() - steps_ * batch_);
  const auto found = std::upper_bound(chunk_ends_.begin(), chunk_ends_.end(), index);
  const std::int64_t document = found - chunk_ends_.begin();
  const std::int64_t before = document == 0 ? 0 : *std::prev(found);
  const DocumentEnds& documents = *tokens_.documents();
  const std::int64_t begin = documents.begin(document) + (index - before) * context_;
  return {begin, std::min(context_, documents.end(document) - begin), index == before};
}

void BatchStream::read(std::int64_t step, Streams streams, TokenId* inputs,
                       TokenId* targets) const {
  for (std::int64_t b = 0; b < streams.count; ++b) {
    const Chunk own = chunk(step, streams.first + b);
    TokenId* const in = inputs + b * context_;
    TokenId* const out = targets + b * context_;
    tokens_.read_pairs(own.begin, own.count, in, out);
    std::fill(in + own.count, in + context_, tokens_.eos());
    std::fill(out + own.count, out + context_, -1);
  }
}

void BatchStream::read_labels(std::int64_t step, Streams streams, std::int32_t* labels) const {
  for (std::int64_t b = 0; b < streams.count; ++b) {
    const Chunk own = chunk(step, streams.first + b);
    std::int32_t* const out = labels + b * context_;
    tokens_.labels()->read(own.begin, own.count, out);
    std::fill(out + own.count, out + context_, 0);
  }
}

void BatchStream::starts(std::int64_t step, Streams streams, std::uint8_t* starts) const {
  for (std::int64_t b = 0; b < streams.count; ++b) {
    starts[b] = chunk(step, streams.first + b).starts_document ? 1 : 0;
  }
}

std::int64_t BatchStream::targets_of(std::int64_t step, Streams streams) const {
  std::int64_t targets = 0;
  for (std::int64_t b = 0; b < streams.count; ++b) targets += chunk(step, streams.first + b).count;
  return targets;
}

std::int64_t BatchStream::tokens_per_step() const {
  if (chunk_ends_.empty()) return batch_ * context_;
  return std::max<std::int64_t>(
      static_cast<std::int64_t>((1 - padding()) * static_cast<double>(batch_ * context_)), 1);
}

double BatchStream::padding() const {
  if (chunk_ends_.empty()) return 0;
  return 1 - static_cast<double>(tokens_.size()) / static_cast<double>(context_) /
                 static_cast<double>(chunk_ends_.back());
}

}  // namespace sluice
