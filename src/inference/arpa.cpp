// ARPA files: n-grams as text, made into the automaton that answers.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <istream>
#include <limits>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "ngram_image.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/text/inputs.hpp"

namespace sluice {
namespace {

using Image = NgramModel::Image;
using Word = NgramModel::Word;

constexpr std::string_view arpa_begin = "\\data\\";

/// What KenLM gives a missing <unk>, log10.
constexpr float missing_unknown = -100;

/// The file line by line, for messages that say where.
class ArpaLines {
 public:
  explicit ArpaLines(const std::filesystem::path& path)
      : name_(path.string()), in_(open_text(path)) {}

  /// The next line that is not blank; false at the end.
  bool next() {
    while (std::getline(*in_, line_)) {
      ++number_;
      if (line_.ends_with('\r')) line_.pop_back();
      if (line_.find_first_not_of(" \t") != std::string::npos) return true;
    }
    line_.clear();
    return false;
  }
  const std::string& line() const { return line_; }
  [[noreturn]] void refuse(const std::string& expected) const {
    throw Error(fmt::format("cannot read the ARPA file '{}', line {}: expected {}, got {}", name_,
                            number_, expected, line_.empty() ? "its end" : in_quotes(line_)));
  }
  std::int64_t number() const { return number_; }
  /// A line, this one or another, that is well-formed but cannot be.
  [[noreturn]] void fault(const std::string& what, std::int64_t number) const {
    throw Error(fmt::format("cannot read the ARPA file '{}', line {}: {}", name_, number, what));
  }
  [[noreturn]] void fault(const std::string& what) const { fault(what, number_); }

 private:
  std::string name_;
  std::unique_ptr<std::istream> in_;
  std::string line_;
  std::int64_t number_ = 0;
};

/// The fields between blanks.
void fields_of(std::string_view line, std::vector<std::string_view>& fields) {
  fields.clear();
  for (;;) {
    const std::size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return;
    line.remove_prefix(begin);
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    fields.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

std::optional<float> float_of(std::string_view text) {
  float value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

/// Names of words, each once, and their numbers.
class WordList {
 public:
  /// Its number, the next one for a new word; false: it is there already.
  bool add(std::string_view name) {
    // Keys must stay where they are: in blocks that never move.
    if (block_ == nullptr || name.size() > block_left_) {
      block_left_ = std::max(name.size(), std::size_t{1} << 16);
      blocks_.push_back(std::make_unique<char[]>(block_left_));
      block_ = blocks_.back().get();
    }
    std::copy(name.begin(), name.end(), block_);
    const std::string_view own(block_, name.size());
    if (!numbers_.emplace(own, static_cast<Word>(names_.size())).second) return false;
    block_ += name.size();
    block_left_ -= name.size();
    names_.push_back(own);
    return true;
  }
  std::optional<Word> find(std::string_view name) const {
    const auto found = numbers_.find(name);
    if (found == numbers_.end()) return {};
    return found->second;
  }
  const std::vector<std::string_view>& names() const { return names_; }

 private:
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* block_ = nullptr;
  std::size_t block_left_ = 0;
  std::unordered_map<std::string_view, Word> numbers_;
  std::vector<std::string_view> names_;
};

/// An n-gram as its line has it.
struct Gram {
  std::uint32_t parent = 0;
  Word word = 0;
  float log10 = 0;
  float backoff = 0;
  std::int64_t line = 0;
};

class ArpaReader {
 public:
  ArpaReader(const std::filesystem::path& path, const Progress& progress)
      : lines_(path), progress_(progress) {}

  std::unique_ptr<const Image> read() {
    read_counts();
    read_words();
    for (std::size_t length = 2; length <= counts_.size(); ++length) read_grams(length);
    if (lines_.line() != "\\end\\") lines_.refuse("'\\end\\'");
    return finish();
  }

 private:
  void read_counts();
  void read_words();
  void read_grams(std::size_t length);
  void end_children();
  std::unique_ptr<const Image> finish();

  bool highest(std::size_t length) const { return length == counts_.size(); }
  void section(std::size_t length) {
    const std::string header = fmt::format("\\{}-grams:", length);
    if (lines_.line() != header) lines_.refuse(in_quotes(header));
    if (progress_) {
      progress_(static_cast<double>(length - 1) / static_cast<double>(counts_.size()),
                fmt::format("reading {}-grams", length));
    }
  }
  /// Goes to the next line of a section; false at its end, where the number must be right.
  bool next_gram(std::size_t length, std::uint64_t seen) {
    const bool more = lines_.next() && !lines_.line().starts_with('\\');
    const std::uint64_t expected = counts_[length - 1];
    if (more ? seen >= expected : seen < expected) {
      lines_.fault(fmt::format("there are {} {}-grams, expected the {} that the file says it has",
                               more ? "more" : fmt::format("{}", seen), length, expected));
    }
    return more;
  }
  /// The numbers of a line, its words checked by their number.
  Gram gram_of_line(std::size_t length);
  /// Adds nodes that are in order.
  void add_node(const Gram& gram, bool inner) {
    parts_.last_word.push_back(gram.word);
    parts_.entries.push_back({gram.log10, 0});
    if (inner) parts_.contexts.push_back({gram.backoff, 0, 0});
  }
  std::uint32_t child(std::uint32_t node, Word word) const;

  ArpaLines lines_;
  Progress progress_;
  std::vector<std::uint64_t> counts_;
  WordList words_;
  Image::Header header_;
  Image::Parts parts_;
  std::vector<std::string_view> fields_;
};

void ArpaReader::read_counts() {
  if (!lines_.next() || lines_.line() != arpa_begin) lines_.refuse(in_quotes(arpa_begin));
  while (lines_.next() && lines_.line().starts_with("ngram ")) {
    const std::string expected = fmt::format("'ngram {}=' and a number", counts_.size() + 1);
    const std::string_view line = lines_.line();
    const std::string begin = fmt::format("ngram {}=", counts_.size() + 1);
    if (!line.starts_with(begin)) lines_.refuse(expected);
    std::string_view number = line.substr(begin.size());
    number.remove_prefix(std::min(number.find_first_not_of(' '), number.size()));
    const auto count = whole_number(number);
    if (!count || *count < 0) lines_.refuse(expected);
    counts_.push_back(static_cast<std::uint64_t>(*count));
  }
  if (counts_.empty()) lines_.refuse("'ngram 1=' and a number");
  if (counts_.size() > Image::most_order) {
    lines_.fault(fmt::format("it has n-grams of {} words, expected at most {}", counts_.size(),
                             Image::most_order));
  }
  const auto total = std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{2});
  if (total >= std::numeric_limits<std::uint32_t>::max()) {
    lines_.fault(fmt::format("it has {} n-grams, expected fewer than 2^32; prune it", total));
  }
}

Gram ArpaReader::gram_of_line(std::size_t length) {
  fields_of(lines_.line(), fields_);
  const bool has_backoff = fields_.size() == length + 2;
  if (fields_.size() != length + 1 && !has_backoff) {
    lines_.refuse(fmt::format("a log-probability, {} word{}{}", length, length == 1 ? "" : "s",
                              highest(length) ? "" : " and perhaps a backoff weight"));
  }
  Gram gram;
  const auto log10 = float_of(fields_[0]);
  if (!log10 || *log10 > 0) lines_.refuse("a log-probability of at most 0");
  gram.log10 = *log10;
  gram.line = lines_.number();
  if (has_backoff) {
    const auto backoff = float_of(fields_.back());
    if (!backoff) lines_.refuse("a number as the backoff weight");
    if (highest(length) && *backoff != 0) {
      lines_.refuse(fmt::format("no backoff weight for the longest n-grams of {} words", length));
    }
    gram.backoff = *backoff;
  }
  return gram;
}

void ArpaReader::read_words() {
  section(1);
  // The empty n-gram.
  parts_.last_word.push_back(0);
  parts_.entries.push_back({0, 0});
  parts_.contexts.push_back({0, 0, 1});
  for (std::uint64_t seen = 0; next_gram(1, seen); ++seen) {
    Gram gram = gram_of_line(1);
    // <UNK> is another spelling.
    const std::string_view name = fields_[1] == "<UNK>" ? "<unk>" : fields_[1];
    if (!words_.add(name)) {
      lines_.fault(fmt::format("the word {} is there twice", in_quotes(name)));
    }
    gram.word = static_cast<Word>(words_.names().size() - 1);
    add_node(gram, !highest(1));
  }
  if (words_.add("<unk>")) {
    add_node({.word = static_cast<Word>(words_.names().size() - 1), .log10 = missing_unknown},
             !highest(1));
    ++counts_[0];
  }
  for (const auto& [name, number] : {std::pair{"<s>", &header_.begin}, {"</s>", &header_.end}}) {
    const auto found = words_.find(name);
    if (!found) {
      lines_.fault(fmt::format("the 1-grams have no {}, expected one: it bounds sentences", name));
    }
    *number = *found;
  }
  header_.unknown = *words_.find("<unk>");
  end_children();
}

/// As NgramModel::Image::child(), of what was read so far: parents come before their children.
std::uint32_t ArpaReader::child(std::uint32_t node, Word word) const {
  if (node == 0) return word + 1;
  if (node + 1 >= parts_.contexts.size()) return 0;
  const auto begin = parts_.last_word.begin() + parts_.contexts[node].first_child;
  const auto end = parts_.last_word.begin() + parts_.contexts[node + 1].first_child;
  const auto found = std::lower_bound(begin, end, word);
  return found == end || *found != word
             ? 0
             : static_cast<std::uint32_t>(found - parts_.last_word.begin());
}

void ArpaReader::read_grams(std::size_t length) {
  section(length);
  const std::size_t first_parent = parts_.contexts.size() - counts_[length - 2];
  std::vector<Gram> grams;
  for (std::uint64_t seen = 0; next_gram(length, seen); ++seen) {
    Gram gram = gram_of_line(length);
    for (std::size_t w = 1; w <= length; ++w) {
      const std::string_view name = fields_[w] == "<UNK>" ? "<unk>" : fields_[w];
      const auto word = words_.find(name);
      if (!word) lines_.fault(fmt::format("the word {} is not among the 1-grams", in_quotes(name)));
      gram.word = *word;
      if (w == length) break;
      gram.parent = child(gram.parent, *word);
      if (gram.parent == 0) {
        lines_.fault(
            fmt::format("the first {} words are not among the {}-grams, expected every "
                        "n-gram's context there",
                        length - 1, length - 1));
      }
    }
    grams.push_back(gram);
  }
  std::sort(grams.begin(), grams.end(), [](const Gram& a, const Gram& b) {
    return a.parent != b.parent ? a.parent < b.parent : a.word < b.word;
  });
  const auto same = [](const Gram& a, const Gram& b) {
    return a.parent == b.parent && a.word == b.word;
  };
  if (const auto twice = std::adjacent_find(grams.begin(), grams.end(), same);
      twice != grams.end()) {
    lines_.fault(fmt::format("the {}-gram is that of line {} again", length,
                             std::min(twice->line, twice[1].line)),
                 std::max(twice->line, twice[1].line));
  }
  // Children of each parent in turn; parents without any have none between two equal places.
  auto gram = grams.begin();
  const std::size_t parents = parts_.contexts.size();
  for (std::size_t parent = first_parent; parent < parents; ++parent) {
    parts_.contexts[parent].first_child = static_cast<std::uint32_t>(parts_.last_word.size());
    for (; gram != grams.end() && gram->parent == parent; ++gram) {
      parts_.last_word.push_back(gram->word);
      parts_.entries.push_back({gram->log10, 0});
    }
  }
  if (highest(length)) return;
  for (const Gram& own : grams) parts_.contexts.push_back({own.backoff, 0, 0});
  end_children();
}

/// Children of the nodes read last come behind them; until those are read they have none.
void ArpaReader::end_children() {
  const auto nodes = static_cast<std::uint32_t>(parts_.last_word.size());
  for (std::size_t node = parts_.contexts.size(); node-- > 1;) {
    if (parts_.contexts[node].first_child != 0) return;
    parts_.contexts[node].first_child = nodes;
  }
}

std::unique_ptr<const Image> ArpaReader::finish() {
  const std::size_t inner = parts_.contexts.size(), nodes = parts_.last_word.size();
  // The children of the last inner node end with the nodes; a model of one length has none.
  parts_.contexts.push_back({0, 0, static_cast<std::uint32_t>(nodes)});

  // A node's shorter context is its parent's, or a shorter one, read on by the node's last word.
  // Parents come before their children, shorter nodes before longer ones.
  const auto longest_known = [&](std::uint32_t context, Word word) {
    for (;;) {
      if (const std::uint32_t node = child(context, word)) return node;
      context = parts_.contexts[context].shorter;
    }
  };
  std::vector<std::uint32_t> shorter(nodes, 0);
  for (std::size_t parent = 1; parent < inner; ++parent) {
    const std::uint32_t end = parts_.contexts[parent + 1].first_child;
    for (std::uint32_t node = parts_.contexts[parent].first_child; node < end; ++node) {
      shorter[node] = longest_known(parts_.contexts[parent].shorter, parts_.last_word[node]);
      if (node < inner) parts_.contexts[node].shorter = shorter[node];
    }
  }
  for (std::size_t node = 1; node < nodes; ++node) {
    // What no n-gram begins with and weighs nothing is no state of its own.
    const bool state =
        node < inner && (parts_.contexts[node].backoff != 0 ||
                         parts_.contexts[node].first_child < parts_.contexts[node + 1].first_child);
    parts_.entries[node].next =
        state ? static_cast<std::uint32_t>(node) : parts_.entries[shorter[node]].next;
  }
  for (const std::string_view name : words_.names()) {
    parts_.name_begin.push_back(parts_.names.size());
    parts_.names += name;
  }
  parts_.name_begin.push_back(parts_.names.size());
  header_.order = static_cast<std::uint32_t>(counts_.size());
  std::copy(counts_.begin(), counts_.end(), header_.counts.begin());
  return Image::of(std::move(parts_), header_);
}

}  // namespace

bool NgramModel::is_ngram(const std::filesystem::path& path) {
  if (is_mapped_form(path)) return true;
  ArpaLines lines(path);
  return lines.next() && lines.line() == arpa_begin;
}

std::shared_ptr<const NgramModel> NgramModel::read_arpa(const std::filesystem::path& path,
                                                        const Progress& progress) {
  return std::make_shared<const NgramModel>(ArpaReader(path, progress).read());
}

}  // namespace sluice
