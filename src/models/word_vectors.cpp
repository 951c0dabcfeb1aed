#include "sluice/models/word_vectors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <istream>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/text/inputs.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_numbers = 65'536;
/// A word and its numbers.
constexpr std::size_t most_line = std::size_t{1} << 21;
constexpr std::string_view blanks = " \t\r";

std::string_view without_blanks(std::string_view text) {
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) + 1 - first);
}

/// The lines of a file of vectors, those of no words left out.
class VectorFile {
 public:
  explicit VectorFile(const fs::path& path) : path_(path), in_(open_text(path)) {}

  /// False at the end.
  bool next() {
    for (;;) {
      ++line_number_;
      line_.clear();
      int c = 0;
      while ((c = in_->get()) != std::istream::traits_type::eof() && c != '\n') {
        if (line_.size() == most_line) {
          refuse(fmt::format("it has more than {} bytes", most_line));
        }
        line_ += static_cast<char>(c);
      }
      if (line_.empty() && c == std::istream::traits_type::eof()) return false;
      if (!without_blanks(line_).empty()) return true;
    }
  }

  /// Parts between blanks.
  std::vector<std::string_view> parts() const {
    std::vector<std::string_view> parts;
    for (std::string_view rest = without_blanks(line_); !rest.empty();) {
      const std::size_t end = std::min(rest.find_first_of(blanks), rest.size());
      if (parts.size() > most_numbers) {
        refuse(fmt::format("it has more than {} numbers", most_numbers));
      }
      parts.push_back(rest.substr(0, end));
      rest = without_blanks(rest.substr(end));
    }
    return parts;
  }

  /// The word of a line of `width` numbers, which go to `out`: all that is before them, blanks
  /// between parts of it, too.
  std::string_view read(std::size_t width, std::vector<float>& out) const {
    const std::vector<std::string_view> all = parts();
    if (all.size() <= width) {
      refuse(fmt::format("expected a word and {} numbers, got {} parts", width, all.size()));
    }
    out.clear();
    for (std::size_t i = all.size() - width; i < all.size(); ++i) {
      float value = 0;
      const auto [end, error] =
          std::from_chars(all[i].data(), all[i].data() + all[i].size(), value);
      if (error != std::errc() || end != all[i].data() + all[i].size() || !std::isfinite(value)) {
        refuse(fmt::format("expected {} numbers behind the word, got {}", width,
                           in_quotes(std::string(all[i]))));
      }
      out.push_back(value);
    }
    const std::string_view last = all[all.size() - width - 1];
    return {all[0].data(), static_cast<std::size_t>(last.data() + last.size() - all[0].data())};
  }

  [[noreturn]] void refuse(const std::string& fault) const {
    throw Error(fmt::format("cannot read vectors from '{}', line {}: {}", path_.string(),
                            line_number_, fault));
  }

 private:
  fs::path path_;
  std::unique_ptr<std::istream> in_;
  std::string line_;
  std::int64_t line_number_ = 0;
};

/// What the first line says: N and D of word2vec and fastText, or a word's numbers.
struct FirstLine {
  std::size_t width = 0;
  /// Whether the line is no word's.
  bool header = false;
};

FirstLine first_line(VectorFile& file) {
  if (!file.next()) file.refuse("there are no vectors");
  const std::vector<std::string_view> parts = file.parts();
  if (parts.size() == 2 && whole_number(parts[0]).value_or(-1) >= 0) {
    const std::int64_t width = whole_number(parts[1]).value_or(0);
    // "word 1" would be a vector of one number, which nobody has.
    if (width >= 1 && width <= static_cast<std::int64_t>(most_numbers)) {
      return {static_cast<std::size_t>(width), true};
    }
  }
  if (parts.size() < 2) file.refuse("expected a word and its numbers");
  return {parts.size() - 1, false};
}

/// The embedding of a model: rows for tokens.
Tensor embedding_of(const LanguageModel& model) {
  for (const Parameter& parameter : model.parameters()) {
    if (parameter.name == "embedding.weight") return parameter.variable.value();
  }
  throw UsageError(
      "the embedding is one of bands of several widths (a tied adaptive softmax), for which there "
      "are no vectors of words; leave the model untied, or its softmax full");
}

}  // namespace

std::int64_t word_vector_width(const fs::path& path) {
  VectorFile file(path);
  return static_cast<std::int64_t>(first_line(file).width);
}

std::int64_t read_word_vectors(const fs::path& path, const Tokenizer& tokenizer,
                               const LanguageModel& model) {
  const Tensor embedding = embedding_of(model);
  VectorFile file(path);
  const FirstLine first = first_line(file);
  if (static_cast<std::int64_t>(first.width) != embedding.dim(1)) {
    throw UsageError(fmt::format(
        "the vectors in '{}' have {} numbers each, the model's {}; let the model's setting dim "
        "be {}, and its widths what goes with that",
        path.string(), first.width, embedding.dim(1), first.width));
  }
  std::unordered_map<std::string, TokenId> wanted;
  for (TokenId id = 0; id < tokenizer.size(); ++id) wanted.emplace(tokenizer.token(id), id);
  std::int64_t found = 0;
  std::vector<float> numbers;
  if (first.header && !file.next()) return 0;
  do {
    const std::string word(file.read(first.width, numbers));
    const auto token = wanted.find(word);
    if (token == wanted.end()) continue;
    std::copy(numbers.begin(), numbers.end(),
              embedding.data<float>() + token->second * embedding.dim(1));
    wanted.erase(token);
    ++found;
  } while (file.next());
  return found;
}

std::int64_t write_word_vectors(const fs::path& path, const Tokenizer& tokenizer,
                                const LanguageModel& model) {
  const Tensor embedding = embedding_of(model);
  const auto named = [](const std::string& token) {
    return !token.empty() && token.find_first_of(" \t\r\n\v\f") == std::string::npos;
  };
  std::int64_t count = 0;
  for (TokenId id = 0; id < tokenizer.size(); ++id) count += named(tokenizer.token(id)) ? 1 : 0;
  AtomicFile file(path);
  file.write(fmt::format("{} {}\n", count, embedding.dim(1)));
  for (TokenId id = 0; id < tokenizer.size(); ++id) {
    std::string line = tokenizer.token(id);
    if (!named(line)) continue;
    for (std::int64_t i = 0; i < embedding.dim(1); ++i) {
      line += fmt::format(" {}", embedding.data<float>()[id * embedding.dim(1) + i]);
    }
    file.write(line + "\n");
  }
  file.commit();
  return count;
}

}  // namespace sluice
