#include "sluice/inference/score.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <istream>
#include <numeric>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

/// A block of a stream ends at whichever comes first.
constexpr std::size_t block_lines = 4096;
constexpr std::size_t block_bytes = std::size_t{1} << 20;

/// One line as the model reads it: the targets; the inputs are one place later, after eos.
struct Line {
  std::vector<std::int32_t> targets;
  std::vector<double> nll;
  std::int64_t length() const { return static_cast<std::int64_t>(targets.size()); }
};

/// Scores lines side by side, in chunks of time so that a pass has at most about `positions`.
void score_batch(const FrozenModel& model, std::span<Line* const> lines, std::int32_t eos,
                 std::int64_t positions) {
  std::int64_t length = 0;
  for (Line* line : lines) {
    length = std::max(length, line->length());
    line->nll.reserve(line->targets.size());
  }
  const std::int64_t chunk =
      std::max<std::int64_t>(positions / static_cast<std::int64_t>(lines.size()), 1);

  std::vector<StackState> states(lines.size());
  for (std::int64_t offset = 0; offset < length; offset += chunk) {
    std::vector<std::int32_t> ids, targets;
    std::vector<std::int64_t> lengths;
    std::vector<StackState*> reading;
    std::vector<Line*> read;
    for (std::size_t b = 0; b < lines.size(); ++b) {
      const auto& line = lines[b]->targets;
      const std::int64_t time = std::min(chunk, lines[b]->length() - offset);
      if (time <= 0) continue;
      for (auto at = static_cast<std::size_t>(offset); at < static_cast<std::size_t>(offset + time);
           ++at) {
        ids.push_back(at == 0 ? eos : line[at - 1]);
        targets.push_back(line[at]);
      }
      lengths.push_back(time);
      reading.push_back(&states[b]);
      read.push_back(lines[b]);
    }
    const std::vector<double> nll =
        model.nll(model.hidden(ids, PackedRows(lengths), reading), targets);
    auto next = nll.begin();
    for (std::size_t b = 0; b < read.size(); ++b) {
      read[b]->nll.insert(read[b]->nll.end(), next, next + lengths[b]);
      next += lengths[b];
    }
  }
}

LineScore summary(const Line& line, const Tokenizer& tokenizer, bool words) {
  LineScore score;
  score.tokens = line.length();
  for (std::size_t i = 0; i < line.targets.size(); ++i) {
    const std::int32_t id = line.targets[i];
    // A tokenizer in which nothing can be lacking has no unk: -1, which is no token's id.
    const bool oov = id == tokenizer.unk();
    score.log_probability -= line.nll[i];
    score.oov += oov ? 1 : 0;
    if (words) score.words.push_back({tokenizer.token(id), -line.nll[i], oov});
  }
  score.perplexity = std::exp(-score.log_probability / static_cast<double>(score.tokens));
  return score;
}

std::vector<LineScore> score_checked(const FrozenModel& model, const Tokenizer& tokenizer,
                                     std::span<const std::string> texts,
                                     const ScoreOptions& options) {
  std::vector<Line> lines(texts.size());
  std::vector<Line*> by_length;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    tokenizer.encode(texts[i], lines[i].targets);
    lines[i].targets.push_back(tokenizer.eos());
    by_length.push_back(&lines[i]);
  }
  std::stable_sort(by_length.begin(), by_length.end(),
                   [](const Line* a, const Line* b) { return a->length() < b->length(); });
  for (std::size_t begin = 0; begin < by_length.size();) {
    std::size_t end = begin + 1;
    while (end < by_length.size() &&
           static_cast<std::int64_t>(end + 1 - begin) * by_length[end]->length() <=
               options.positions) {
      ++end;
    }
    score_batch(model, std::span(by_length).subspan(begin, end - begin), tokenizer.eos(),
                options.positions);
    begin = end;
  }
  std::vector<LineScore> scores;
  scores.reserve(lines.size());
  for (const Line& line : lines) scores.push_back(summary(line, tokenizer, options.words));
  return scores;
}

void check(const FrozenModel& model, const Tokenizer& tokenizer, const ScoreOptions& options) {
  if (options.positions < 1) {
    throw UsageError(fmt::format("score: positions must be at least 1, got {}", options.positions));
  }
  if (tokenizer.size() != model.vocabulary()) {
    throw Error(
        fmt::format("score: the tokenizer has {} tokens and the model {}; use the model's "
                    "own",
                    tokenizer.size(), model.vocabulary()));
  }
}

}  // namespace

std::vector<LineScore> score_lines(const FrozenModel& model, const Tokenizer& tokenizer,
                                   std::span<const std::string> lines, const ScoreOptions& options,
                                   std::int64_t first_line) {
  check(model, tokenizer, options);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    tokenizer.check_text(lines[i],
                         fmt::format("line {}", first_line + static_cast<std::int64_t>(i)));
  }
  return score_checked(model, tokenizer, lines, options);
}

std::int64_t score_stream(const FrozenModel& model, const Tokenizer& tokenizer, std::istream& in,
                          const std::function<void(const LineScore&)>& emit,
                          const ScoreOptions& options) {
  check(model, tokenizer, options);
  const bool bytes_matter = tokenizer.kind() == "byte";
  std::int64_t count = 0;
  std::vector<std::string> block;
  std::size_t size = 0;
  const auto flush = [&] {
    for (const LineScore& score : score_checked(model, tokenizer, block, options)) emit(score);
    block.clear();
    size = 0;
  };
  std::string line;
  while (std::getline(in, line)) {
    ++count;
    if (!bytes_matter && line.ends_with('\r')) line.pop_back();
    try {
      tokenizer.check_text(line, fmt::format("line {}", count));
    } catch (const Error&) {
      flush();  // the lines before the bad one get their scores
      throw;
    }
    size += line.size();
    block.push_back(std::move(line));
    if (block.size() == block_lines || size >= block_bytes || in.rdbuf()->in_avail() <= 0) flush();
  }
  flush();
  return count;
}

}  // namespace sluice
