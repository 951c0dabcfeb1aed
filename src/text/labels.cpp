#include "sluice/text/labels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>
#include <unordered_map>

#include "sluice/base/error.hpp"
#include "sluice/text/corpus.hpp"

namespace sluice {
namespace {

const LineLabels& labels_of(const TextSource& source) {
  if (source.labels) return *source.labels;
  throw Error(fmt::format("'{}' has no labels; read it with a condition", source.title()));
}

/// Calls body(line) for the lines of a source, or of the part of the file that it is.
template <class Body>
void for_each_label(const TextSource& source, Body&& body) {
  std::uint64_t begin = 0;
  for (const LineLabels::Line& line : labels_of(source).lines) {
    if (begin < source.end && line.end > source.begin) body(line);
    begin = line.end;
  }
}

}  // namespace

TokenLabels::TokenLabels(const TokenShards& tokens, std::span<const std::int32_t> lines) {
  constexpr std::int64_t piece = std::int64_t{1} << 18;
  std::vector<TokenId> read(static_cast<std::size_t>(std::min(piece, tokens.size())));
  std::size_t line = 0;
  for (std::int64_t at = 0; at < tokens.size(); at += piece) {
    const std::int64_t n = std::min(piece, tokens.size() - at);
    tokens.read(at, n, read.data());
    for (std::int64_t i = 0; i < n; ++i) {
      if (read[static_cast<std::size_t>(i)] != tokens.eos()) continue;
      if (line < lines.size()) {
        const Run run{at + i + 1, lines[line]};
        if (!runs_.empty() && runs_.back().label == run.label) {
          runs_.back().end = run.end;
        } else {
          runs_.push_back(run);
        }
      }
      ++line;
    }
  }
  if (line != lines.size() || (runs_.empty() ? 0 : runs_.back().end) != tokens.size()) {
    throw Error(
        fmt::format("labels: {} lines have labels and {} lines end in the tokenised text; is the "
                    "tokenizer's end of a line ({}) a word of the text?",
                    lines.size(), line, tokens.eos()));
  }
}

void TokenLabels::read(std::int64_t offset, std::int64_t n, std::int32_t* out) const {
  auto run = std::upper_bound(
      runs_.begin(), runs_.end(), offset,
      [](std::int64_t position, const Run& other) { return position < other.end; });
  for (std::int64_t i = 0; i < n; ++i) {
    while (run->end <= offset + i) ++run;
    out[i] = run->label;
  }
}

std::vector<std::string> label_names(const std::vector<TextSource>& sources) {
  std::set<std::string> names;
  for (const TextSource& source : sources) {
    std::vector<bool> used(labels_of(source).names.size());
    for_each_label(source, [&](const LineLabels::Line& line) { used[line.name] = true; });
    for (std::size_t i = 0; i < used.size(); ++i) {
      if (used[i]) names.insert(source.labels->names[i]);
    }
  }
  names.erase("");
  return {names.begin(), names.end()};
}

TokenShards with_labels(const TokenShards& tokens, const std::vector<TextSource>& sources,
                        std::span<const std::string> names) {
  std::unordered_map<std::string_view, std::int32_t> numbers;
  for (const std::string& name : names) {
    numbers.emplace(name, static_cast<std::int32_t>(numbers.size()) + 1);
  }
  std::vector<std::int32_t> lines;
  for (const TextSource& source : sources) {
    std::vector<std::int32_t> own;  // of the source's names
    for (const std::string& name : labels_of(source).names) {
      const auto found = numbers.find(name);
      own.push_back(found == numbers.end() ? 0 : found->second);
    }
    for_each_label(source, [&](const LineLabels::Line& line) { lines.push_back(own[line.name]); });
  }
  return tokens.labelled(std::make_shared<const TokenLabels>(tokens, lines));
}

}  // namespace sluice
