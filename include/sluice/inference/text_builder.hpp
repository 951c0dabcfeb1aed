#pragma once
// The text of tokens as they are made: where each begins, what of it is certain, where it stops.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Puts the texts of tokens together. One thread at a time; the tokenizer must outlive it.
class TextBuilder {
 public:
  /// Continues a text that ends with token `previous` (Tokenizer::eos() for the start of one);
  /// `blank_is_there`: its last blank is no token, and is not written again. The text ends before
  /// the first of `stops`, of which empty ones are left out.
  TextBuilder(const Tokenizer& tokenizer, TokenId previous, bool blank_is_there,
              std::vector<std::string> stops);
  /// Continues `prompt`, whose tokens are tokenizer.encode_prompt(prompt) behind an eos().
  TextBuilder(const Tokenizer& tokenizer, std::string_view prompt, std::vector<std::string> stops);

  /// Adds a token. Returns false once a stop text is complete; what is added then is left out.
  bool add(TokenId id);
  /// Nothing comes after this: what was held back is certain.
  void finish();

  /// Bytes of all tokens (perhaps no valid UTF-8), and how many of them belong to the text: those
  /// of a stop text and what follows do not, and the beginning of a character or of a stop text is
  /// held back until it is known what it is. Never fewer than before.
  const std::string& bytes() const { return bytes_; }
  std::size_t certain() const { return certain_; }
  /// What has become certain since the last call, as valid_text(). The parts make up the
  /// valid_text() of the whole.
  std::string take();

  /// Where token i begins in bytes(); tokens() of them.
  std::size_t begin(std::size_t i) const { return begins_[i]; }
  std::size_t tokens() const { return begins_.size(); }
  /// Whether a stop text ended it, and which; "" for none.
  bool stopped() const { return !stop_.empty(); }
  const std::string& stop() const { return stop_; }
  /// Of the tokens, those that the text has anything of: all, unless it was stopped.
  std::size_t kept_tokens() const;

 private:
  const Tokenizer& tokenizer_;
  TokenId previous_;
  bool blank_is_there_;
  std::vector<std::string> stops_;
  std::string bytes_, stop_;
  std::vector<std::size_t> begins_;
  std::size_t certain_ = 0, taken_ = 0;
};

/// The text with every byte that belongs to no UTF-8 character replaced by U+FFFD.
std::string valid_text(std::string_view bytes);

/// A token as answers name it: its text, or "bytes:\xe2\x82" for a part of a character (the form
/// of OpenAI's completions).
std::string token_label(std::string_view bytes);

}  // namespace sluice
SLUICE_API_END
