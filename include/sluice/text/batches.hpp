#pragma once
// Training batches: B parallel contiguous streams cut into chunks of T.

#include <cstdint>
#include <vector>

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
/// Of a text in documents, a chunk never has tokens of two: each document is cut into chunks of T
/// from its own beginning, the last of them padded, and S = floor(chunks / B). Stream b is the S
/// chunks from b·S on (in odd epochs behind those left over), and so on as above. The borders of
/// documents are at the beginnings of chunks alone, where starts() says so. Padding has the target
/// -1 and the input eos; whatever reads from the past never sees it, as it ends a row's document.
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
  /// Whether the corpus is in documents.
  bool has_documents() const { return tokens_.documents() != nullptr; }
  /// 1 for those of some streams whose chunk begins a document, else 0, [count].
  void starts(std::int64_t step, Streams streams, std::uint8_t* starts) const;
  /// Targets in a step's chunks of some streams that are not padding.
  std::int64_t targets_of(std::int64_t step, Streams streams) const;
  /// Targets in a step's chunks of all streams, padding left out, on average over the text.
  std::int64_t tokens_per_step() const;
  /// The part of all positions that is padding.
  double padding() const;

 private:
  /// What row b of a step has of the text.
  struct Chunk {
    std::int64_t begin = 0, count = 0;
    bool starts_document = false;
  };
  Chunk chunk(std::int64_t step, std::int64_t b) const;

  TokenShards tokens_;
  std::int64_t batch_;
  std::int64_t context_;
  std::int64_t steps_;
  std::vector<std::int64_t> chunk_ends_;  // chunks up to the end of each document
};

}  // namespace sluice
SLUICE_API_END
