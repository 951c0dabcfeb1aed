#include "sluice/inference/text_builder.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sluice/text/detail/utf8.hpp"

namespace sluice {
namespace {

/// Bytes at the end that may be the beginning of a character.
std::size_t unfinished_character(std::string_view bytes) {
  const std::size_t most = std::min<std::size_t>(bytes.size(), 3);
  for (std::size_t count = 1; count <= most; ++count) {
    const auto lead = static_cast<unsigned char>(bytes[bytes.size() - count]);
    if (lead < 0x80) return 0;
    if (lead < 0xC0) continue;  // inside a character: its lead is before
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    return lead < 0xF8 && count < length ? count : 0;
  }
  return 0;
}

/// Bytes at the end that `stop` begins with, all of it excepted.
std::size_t unfinished_stop(std::string_view bytes, std::string_view stop) {
  std::size_t count = std::min(bytes.size(), stop.size() - 1);
  while (count > 0 && bytes.substr(bytes.size() - count) != stop.substr(0, count)) --count;
  return count;
}

/// Length of the longest beginning that is valid UTF-8. NUL is.
std::size_t valid_length(std::string_view bytes) {
  std::size_t length = 0;
  while (length < bytes.size()) {
    length += valid_text_length(bytes.substr(length));
    if (length == bytes.size() || bytes[length] != '\0') break;
    ++length;
  }
  return length;
}

}  // namespace

TextBuilder::TextBuilder(const Tokenizer& tokenizer, TokenId previous, bool blank_is_there,
                         std::vector<std::string> stops)
    : tokenizer_(tokenizer),
      previous_(previous),
      blank_is_there_(blank_is_there),
      stops_(std::move(stops)) {
  std::erase(stops_, "");
}

TextBuilder::TextBuilder(const Tokenizer& tokenizer, std::string_view prompt,
                         std::vector<std::string> stops)
    : TextBuilder(tokenizer, tokenizer.eos(),
                  // A blank that ends the prompt is no token of a word tokenizer.
                  tokenizer.kind() == "word" && prompt.ends_with(' '), std::move(stops)) {
  const std::vector<TokenId> ids = tokenizer.encode_prompt(prompt);
  if (!ids.empty()) previous_ = ids.back();
}

bool TextBuilder::add(TokenId id) {
  if (stopped()) return false;
  std::string text = tokenizer_.text_after(previous_, id);
  if (blank_is_there_ && text.starts_with(' ')) text.erase(0, 1);
  blank_is_there_ = false;
  previous_ = id;
  const std::size_t before = bytes_.size();
  begins_.push_back(before);
  bytes_ += text;

  std::size_t found = std::string::npos;
  std::size_t held = unfinished_character(bytes_);
  for (const std::string& stop : stops_) {
    // What was there before holds no whole one.
    const std::size_t at = bytes_.find(stop, before - std::min(before, stop.size() - 1));
    if (at < found) {
      found = at;
      stop_ = stop;
    }
    held = std::max(held, unfinished_stop(bytes_, stop));
  }
  certain_ = std::max(certain_, found != std::string::npos ? found : bytes_.size() - held);
  return !stopped();
}

void TextBuilder::finish() {
  if (!stopped()) certain_ = bytes_.size();
}

std::string TextBuilder::take() {
  const std::string_view fresh = std::string_view(bytes_).substr(taken_, certain_ - taken_);
  taken_ = certain_;
  return valid_text(fresh);
}

std::size_t TextBuilder::kept_tokens() const {
  if (!stopped()) return begins_.size();
  return static_cast<std::size_t>(std::lower_bound(begins_.begin(), begins_.end(), certain_) -
                                  begins_.begin());
}

std::string valid_text(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t length = valid_length(bytes);
    text += bytes.substr(0, length);
    bytes.remove_prefix(length);
    if (bytes.empty()) break;
    text += "\xEF\xBF\xBD";
    bytes.remove_prefix(1);
  }
  return text;
}

std::string token_label(std::string_view bytes) {
  if (valid_length(bytes) == bytes.size()) return std::string(bytes);
  std::string label = "bytes:";
  for (const char byte : bytes) label += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return label;
}

}  // namespace sluice
