#pragma once
// What the tests of text share: a directory of their own, files, messages.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/text/tokenizer.hpp"

namespace sluice {

class TextTest : public testing::Test {
 protected:
  TextTest() {
    directory_ =
        std::filesystem::temp_directory_path() / ("sluice-text-test-" + std::to_string(::getpid()));
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  ~TextTest() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path path(const std::string& name) const { return directory_ / name; }

  /// Writes a file and returns its path.
  std::filesystem::path file(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(path(name).parent_path());
    write_file(path(name), text);
    return path(name);
  }

  std::unique_ptr<Tokenizer> trained(const std::string& kind, const std::string& text,
                                     std::int64_t vocabulary = 0,
                                     std::int64_t min_count = 1) const {
    return train_tokenizer({kind, vocabulary, min_count}, {file("training-text", text)});
  }

  std::filesystem::path directory_;
};

/// Two thousand lines of made-up English-like text with what trips tokenizers: several blanks,
/// digits, punctuation, accents, other scripts.
inline std::string sample_text() {
  const std::vector<std::string> words = {
      "the",  "gate",     "opens", "and",      "closes", "slowly", "water",  "running",
      "over", "stones",   "while", "children", "played", "a",      "of",     "river's",
      "é",    "Straße",   "1997",  "日本語",   "(old)",  "—",      "sluice", "sluices",
      "wall", "walking,", "ends.", "opening",  "runs",   "played", "waters", "closing"};
  std::string text;
  std::uint64_t state = 1;
  for (int line = 0; line < 2000; ++line) {
    const std::uint64_t length = line % 11 == 0 ? 0 : 1 + state % 12;
    for (std::uint64_t i = 0; i < length; ++i) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      const std::uint64_t draw = state >> 33U;
      if (i > 0) text += draw % 97 == 0 ? "   " : " ";
      text += words[std::min(draw % words.size(), (draw >> 8U) % words.size())];
    }
    text += '\n';
  }
  return text;
}

template <class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

inline const std::vector<std::string>& all_kinds() {
  static const std::vector<std::string> kinds(tokenizer_kinds().begin(), tokenizer_kinds().end());
  return kinds;
}

/// A vocabulary that sample_text() supports.
inline std::int64_t sample_vocabulary(const std::string& kind) {
  return kind == "bpe" || kind == "unigram" ? 400 : 0;
}

}  // namespace sluice
