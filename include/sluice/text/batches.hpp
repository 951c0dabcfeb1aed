#pragma once
// Training batches: B parallel contiguous streams cut into chunks of T.

#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/text/corpus.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The order in which training reads a corpus. With S = floor(tokens / (B·T)) steps per
/// epoch, stream b is the S·T contiguous targets that start at o + b·S·T, and step s of an epoch
/// takes targets [s·T, (s+1)·T) of every stream: row b of a step continues row b of the step
/// before. Inputs are the tokens one place earlier (eos before the first of the text). The
/// tokens - S·B·T left over, fewer than B·T, are the last ones of the text in even epochs (o = 0)
/// and the first ones in odd epochs (o = tokens - S·B·T).
///
/// Any step is available at any time, so resuming needs nothing but the step's number. Never
/// changes: threads may share one.
class BatchStream {
 public:
  /// Throws UsageError when batch or context is not positive, Error when the corpus is shorter than
  /// batch·context tokens.
  BatchStream(TokenShards tokens, std::int64_t batch, std::int64_t context);

  std::int64_t batch() const { return batch_; }
  std::int64_t context() const { return context_; }
  /// Steps in one pass over the text, at least 1.
  std::int64_t steps_per_epoch() const { return steps_; }
  /// True for the first step of an epoch, where the streams jump and carried state must be dropped.
  bool starts_epoch(std::int64_t step) const { return step % steps_ == 0; }

  /// Fills inputs[B,T] and targets[B,T] for `step` >= 0, counted over all epochs.
  void read(std::int64_t step, TokenId* inputs, TokenId* targets) const {
    read(step, {0, batch_}, inputs, targets);
  }
  /// Some of the streams.
  struct Streams {
    std::int64_t first = 0, count = 0;
  };
  /// The same of some streams alone: [count, T] each.
  void read(std::int64_t step, Streams streams, TokenId* inputs, TokenId* targets) const;
  /// Whether the corpus has labels; and those of the targets of some streams, [count, T].
  bool has_labels() const { return tokens_.labels() != nullptr; }
  void read_labels(std::int64_t step, Streams streams, std::int32_t* labels) const;

 private:
  /// Where row b of a step starts in the text.
  std::int64_t start(std::int64_t step, std::int64_t b) const;

  TokenShards tokens_;
  std::int64_t batch_;
  std::int64_t context_;
  std::int64_t steps_;
};

}  // namespace sluice
SLUICE_API_END
