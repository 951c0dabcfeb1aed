#pragma once
// The string literals of C++ sources, for tests that say who may name what.

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string>
#include <vector>

#include "sluice/base/file.hpp"

namespace sluice::test {

struct Literal {
  std::string text;    // escapes as they are written
  std::string before;  // the code between it and the literal before it
  std::string call;    // the word before the innermost open bracket
};

inline bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// `code` without the blanks at its ends.
inline std::string trimmed(const std::string& code) {
  const auto begin = code.find_first_not_of(" \n");
  if (begin == std::string::npos) return "";
  return code.substr(begin, code.find_last_not_of(" \n") - begin + 1);
}

/// Reads a source: comments and # lines are left out, literals that stand side by side are one.
/// Continued # lines are not understood; the house has none.
class LiteralReader {
 public:
  explicit LiteralReader(const std::string& source) : source_(source) {}

  std::vector<Literal> read() {
    bool line_start = true;
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (source_.compare(at_, 2, "//") == 0 || (line_start && c == '#')) {
        at_ = std::min(source_.find('\n', at_), source_.size());
      } else if (c == '"') {
        line_start = false;
        take(at_ > 0 && source_[at_ - 1] == 'R' ? raw() : plain());
      } else {
        line_start = c == '\n' || (line_start && c == ' ');
        code();
      }
    }
    return found_;
  }

 private:
  void code() {
    const char c = source_[at_];
    // A character, or a separator of digits, which has digits on both sides.
    const bool separator = at_ > 0 && std::isxdigit(static_cast<unsigned char>(source_[at_ - 1]));
    if (c == '\'' && !separator) {
      at_ = std::min(source_.find('\'', at_ + (source_[at_ + 1] == '\\' ? 3 : 2)), source_.size());
    } else if (c == '(' || c == '[' || c == '{') {
      std::size_t begin = code_.size();
      while (begin > 0 && is_word(code_[begin - 1])) --begin;
      open_.push_back(code_.substr(begin));
    } else if ((c == ')' || c == ']' || c == '}') && !open_.empty()) {
      open_.pop_back();
    }
    code_ += c;
    ++at_;
  }

  std::string plain() {
    std::string text;
    for (++at_; at_ < source_.size() && source_[at_] != '"'; ++at_) {
      if (source_[at_] == '\\') text += source_[at_++];
      text += source_[at_];
    }
    ++at_;
    return text;
  }

  std::string raw() {
    code_.pop_back();  // the R
    const std::size_t begin = source_.find('(', at_) + 1;
    const std::string end = ")" + source_.substr(at_ + 1, begin - at_ - 2) + "\"";
    const std::size_t length = std::min(source_.find(end, begin), source_.size()) - begin;
    at_ = begin + length + end.size();
    return source_.substr(begin, length);
  }

  void take(const std::string& text) {
    const std::string before = trimmed(code_);
    code_.clear();
    if (before.empty() && !found_.empty()) {
      found_.back().text += text;
    } else {
      found_.push_back({text, before, open_.empty() ? "" : open_.back()});
    }
  }

  const std::string& source_;
  std::size_t at_ = 0;
  std::string code_;
  std::vector<std::string> open_;
  std::vector<Literal> found_;
};

inline std::vector<Literal> literals(const std::string& source) {
  return LiteralReader(source).read();
}

inline std::vector<std::string> literal_texts(const std::string& source) {
  std::vector<std::string> texts;
  for (const Literal& literal : literals(source)) texts.push_back(literal.text);
  return texts;
}

/// Whether `text` has `word` with no letters, digits, _ or - beside it.
inline bool has_word(const std::string& text, const std::string& word) {
  const auto inside = [&](std::size_t i) {
    return i < text.size() && (is_word(text[i]) || text[i] == '-');
  };
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    if (!(at > 0 && inside(at - 1)) && !inside(at + word.size())) return true;
  }
  return false;
}

/// The sources and headers below `folders` of the tree at `root`.
inline std::vector<std::filesystem::path> sources_of(const std::filesystem::path& root,
                                                     const std::vector<std::string>& folders) {
  std::vector<std::filesystem::path> files;
  for (const std::string& folder : folders) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const auto kind = entry.path().extension();
      if (kind == ".cpp" || kind == ".hpp") files.push_back(entry.path());
    }
  }
  return files;
}

}  // namespace sluice::test
