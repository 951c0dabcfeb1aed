#pragma once
// Generating text that streams.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/sample.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

struct GenerateOptions {
  SamplingOptions sampling;
  /// Tokens to generate at most; >= 0.
  std::int64_t tokens = 100;
  /// Generation ends before this text would appear; empty: never.
  std::string stop;
};

/// Why generation ended.
enum class StopReason : std::uint8_t { tokens, stop_text, cancelled };

struct GenerateResult {
  /// What was generated (the prompt not included), as it was emitted.
  std::string text;
  /// The tokens drawn, those of the stop text included.
  std::vector<std::int32_t> ids;
  StopReason reason = StopReason::tokens;
  std::int64_t prompt_tokens = 0;
  /// Words of the prompt that the vocabulary lacks, in order, each once: read as <unk>.
  std::vector<std::string> unknown_words;
  double seconds = 0;
};

/// Receives generated text piece by piece; returns false to cancel.
using EmitText = std::function<bool(std::string_view)>;

/// Continues `prompt` (which may be empty: the start of a line), calling `emit` as text becomes
/// certain: whole UTF-8 characters that cannot belong to the stop text any more. An <eos> is
/// emitted as a line end. Reads the prompt in parallel, then one token at a time, in constant time
/// and memory per token. Any number of threads may generate with one model at once. Throws
/// UsageError for options out of range, Error for a prompt that is not UTF-8.
GenerateResult generate(const FrozenModel& model, const Tokenizer& tokenizer,
                        std::string_view prompt, const GenerateOptions& options,
                        const EmitText& emit = {});

/// Passes text on, except the first occurrence of `stop` and what follows it; holds back what may
/// be the beginning of `stop` or of a UTF-8 character.
class StopFilter {
 public:
  StopFilter(std::string stop, EmitText emit);
  /// False once nothing more will be emitted: `stop` was seen or `emit` returned false.
  bool write(std::string_view text);
  /// Emits what is still held back (text that ended without completing `stop`).
  void finish();
  bool stopped() const { return stopped_; }
  bool cancelled() const { return cancelled_; }

 private:
  void pass(std::size_t size);
  std::string stop_;
  EmitText emit_;
  std::string held_;
  bool stopped_ = false;
  bool cancelled_ = false;
};

}  // namespace sluice
SLUICE_API_END
