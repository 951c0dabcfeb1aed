#pragma once
// The text of tokens as they are made: where each begins, what of it is certain, where it stops.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/text/tokenizer.hpp"

namespace sluice::server {

class TextBuilder {
 public:
  /// Continues a text that ends with token `previous`; `blank_is_there`: its last blank is no token
  /// (Tokenizer::text_after() would write it again). The text ends before the first of `stops`.
  TextBuilder(const Tokenizer& tokenizer, TokenId previous, bool blank_is_there,
              std::vector<std::string> stops);

  /// Adds a token. Returns false once a stop text is complete.
  bool add(TokenId id);
  /// Nothing comes after this: what was held back is certain.
  void finish();

  /// Bytes of all tokens (perhaps no valid UTF-8), and how many of them belong to the text: those
  /// of a stop text and what follows do not, and the beginning of a character or of a stop text is
  /// held back until it is known what it is.
  const std::string& bytes() const { return bytes_; }
  std::size_t certain() const { return certain_; }
  /// Where token i begins in bytes(); tokens() of them.
  std::size_t begin(std::size_t i) const { return begins_[i]; }
  std::size_t tokens() const { return begins_.size(); }
  /// The stop text that ended it; "" for none.
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
  std::size_t certain_ = 0;
};

/// The text with what is no UTF-8 replaced by U+FFFD, as JSON needs it.
std::string valid_text(std::string_view bytes);

/// A token as answers name it: its text, or "bytes:\xe2\x82" for a part of a character.
std::string token_label(std::string_view bytes);

}  // namespace sluice::server
