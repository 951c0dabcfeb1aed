#include "sluice/inference/score.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "sluice/base/error.hpp"
#include "sluice/text/detail/utf8.hpp"
#include "sluice/text/line_parts.hpp"

namespace sluice {
namespace {

constexpr double not_scored = std::numeric_limits<double>::quiet_NaN();
constexpr std::string_view line_end_name = "<eos>";

/// What a text continues, cut where cutting changes no tokens: the blanks at its end go with the
/// text.
struct Context {
  std::string_view before;
  std::string_view blanks;
};

Context cut_context(std::string_view text) {
  const std::size_t last = text.find_last_not_of(" \t");
  const std::size_t length = last == std::string_view::npos ? 0 : last + 1;
  return {text.substr(0, length), text.substr(length)};
}

double perplexity_of(double log_probability, std::int64_t count) {
  return count == 0 ? 1 : std::exp(-log_probability / static_cast<double>(count));
}

}  // namespace

const EnumNames<OovPolicy>& enum_names(OovPolicy /*policy*/) {
  static const EnumNames<OovPolicy> names("way with unknown words",
                                          {{OovPolicy::count, "count"},
                                           {OovPolicy::exclude, "exclude"},
                                           {OovPolicy::penalty, "penalty"}});
  return names;
}

void ScoreOptions::validate() const {
  if (documents && !running) {
    throw UsageError("score: documents are of running text; else each line is by itself");
  }
  if (positions < 1) {
    throw UsageError(fmt::format("score: positions must be at least 1, got {}", positions));
  }
  if (!std::isfinite(oov_penalty)) {
    throw UsageError(
        fmt::format("score: the penalty of unknown words must be finite, got {}", oov_penalty));
  }
}

/// One line as the predictor reads it.
struct LineScorer::Line {
  /// What is read before it.
  std::string_view context;
  /// Blanks of the context's end that are scored with the line.
  std::string_view blanks;
  std::vector<std::int32_t> targets;
  /// Targets at the beginning that are read without being scored.
  std::size_t unscored = 0;
  std::vector<double> nll;
  /// Whether nothing before it counts but the context.
  bool first = true;

  std::span<const std::int32_t> scored() const { return std::span(targets).subspan(unscored); }
};

LineScorer::LineScorer(std::shared_ptr<const Predictor> predictor, const Tokenizer& tokenizer,
                       ScoreOptions options)
    : predictor_(std::move(predictor)), tokenizer_(&tokenizer), options_(std::move(options)) {
  options_.validate();
  if (tokenizer.size() != predictor_->vocabulary()) {
    throw Error(
        fmt::format("score: the tokenizer has {} tokens and the model {}; use the model's own",
                    tokenizer.size(), predictor_->vocabulary()));
  }
  tokenizer.check_text(options_.context, "the context");
}

void LineScorer::check_text(const TextToScore& text, const std::string& name) const {
  tokenizer_->check_text(text.text, name);
  tokenizer_->check_text(text.context, fmt::format("the context of {}", name));
}

LineScorer::Line LineScorer::make_line(const TextToScore& text) {
  Line line;
  if (options_.running) {
    const bool ends = options_.documents.end == DocumentEnd::blank_lines;
    const bool empty = text.text.empty();
    line.first = place_ == Place::nowhere || (ends && !empty && place_ == Place::blank_after);
    const bool marks = place_ == Place::in_text;
    if (!empty) {
      place_ = Place::in_text;
    } else if (line.first) {
      place_ = Place::blank_before;
    } else if (place_ == Place::in_text && ends) {
      place_ = Place::blank_after;
    }
    if (empty && ends && options_.documents.mark >= 0) {
      if (marks) line.targets.push_back(options_.documents.mark);
      return line;
    }
  }
  if (line.first) {
    const Context context =
        cut_context(text.context.empty() ? std::string_view(options_.context) : text.context);
    line.context = context.before;
    line.blanks = context.blanks;
  }
  if (line.blanks.empty()) {
    tokenizer_->encode(text.text, line.targets);
  } else {
    tokenizer_->encode(std::string(line.blanks).append(text.text), line.targets);
  }
  // The end of a line of running text is read even where it is not scored.
  if (options_.eos || options_.running) line.targets.push_back(tokenizer_->eos());
  const bool nothing_before = line.first && !options_.bos && line.context.empty();
  if (nothing_before && !predictor_->predicts_start()) {
    line.unscored = std::min<std::size_t>(line.targets.size(), 1);
  }
  return line;
}

void LineScorer::score_running(std::span<Line> lines) {
  while (!lines.empty()) {
    const auto next =
        std::find_if(lines.begin() + 1, lines.end(), [](const Line& line) { return line.first; });
    const auto count = static_cast<std::size_t>(next - lines.begin());
    score_document(lines.first(count));
    lines = lines.subspan(count);
  }
}

void LineScorer::score_document(std::span<Line> lines) {
  std::vector<std::int32_t> ids;
  if (lines.front().first) {
    state_ = {};
    if (options_.bos) ids.push_back(tokenizer_->eos());
    const auto context = tokenizer_->encode_prompt(lines.front().context);
    ids.insert(ids.end(), context.begin(), context.end());
    predictor_->feed(state_, ids);
    predictor_->feed(state_, std::span(lines.front().targets).first(lines.front().unscored));
    ids.clear();
  }
  for (const Line& line : lines) {
    ids.insert(ids.end(), line.scored().begin(), line.scored().end());
  }
  const std::vector<double> nll = predictor_->nll(state_, ids);
  auto next = nll.begin();
  for (Line& line : lines) {
    const auto count = static_cast<std::ptrdiff_t>(line.scored().size());
    line.nll.assign(next, next + count);
    next += count;
    if (options_.eos || line.targets.empty()) continue;
    line.targets.pop_back();
    line.unscored = std::min(line.unscored, line.targets.size());
    line.nll.resize(line.targets.size() - line.unscored);
  }
}

void LineScorer::score_each(std::span<Line> lines) const {
  // What the lines continue, each once.
  std::map<std::string_view, PredictorState> contexts;
  for (const Line& line : lines) contexts[line.context];
  std::vector<std::vector<std::int32_t>> prefixes;
  std::vector<PredictorState*> states;
  for (auto& [text, state] : contexts) {
    std::vector<std::int32_t> ids = tokenizer_->encode_prompt(text);
    if (options_.bos) ids.insert(ids.begin(), tokenizer_->eos());
    prefixes.push_back(std::move(ids));
    states.push_back(&state);
  }
  if (options_.deterministic) {
    for (std::size_t i = 0; i < states.size(); ++i) predictor_->feed(*states[i], prefixes[i]);
  } else {
    predictor_->feed(states, std::vector<Predictor::Ids>(prefixes.begin(), prefixes.end()));
  }

  std::vector<Line*> sorted;
  for (Line& line : lines) {
    if (!line.scored().empty()) sorted.push_back(&line);
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const Line* a, const Line* b) {
    return a->targets.size() < b->targets.size();
  });
  const auto positions = static_cast<std::size_t>(options_.positions);
  for (std::size_t begin = 0, end = 0; begin < sorted.size(); begin = end) {
    end = begin + 1;
    while (!options_.deterministic && end < sorted.size() &&
           (end + 1 - begin) * sorted[end]->targets.size() <= positions) {
      ++end;
    }
    const auto batch = std::span(sorted).subspan(begin, end - begin);
    std::vector<PredictorState> own;
    for (Line* line : batch) {
      own.push_back(contexts.at(line->context));
      predictor_->feed(own.back(), std::span(line->targets).first(line->unscored));
    }
    const std::size_t chunk = std::max<std::size_t>(positions / batch.size(), 1);
    for (std::size_t offset = 0; offset < batch.back()->targets.size(); offset += chunk) {
      std::vector<PredictorState*> reading;
      std::vector<Predictor::Ids> ids;
      std::vector<Line*> read;
      for (std::size_t b = 0; b < batch.size(); ++b) {
        const Predictor::Ids scored = batch[b]->scored();
        if (scored.size() <= offset) continue;
        reading.push_back(&own[b]);
        ids.push_back(scored.subspan(offset, std::min(chunk, scored.size() - offset)));
        read.push_back(batch[b]);
      }
      const std::vector<double> nll = predictor_->nll(reading, ids);
      auto next = nll.begin();
      for (std::size_t b = 0; b < read.size(); ++b) {
        const auto count = static_cast<std::ptrdiff_t>(ids[b].size());
        read[b]->nll.insert(read[b]->nll.end(), next, next + count);
        next += count;
      }
    }
  }
}

namespace {

/// Characters of a text before bytes that are asked for in rising order.
class CharacterOffsets {
 public:
  explicit CharacterOffsets(std::string_view text) : text_(text) {}
  std::int64_t before(std::size_t byte) {
    if (byte < byte_) byte_ = 0, characters_ = 0;
    characters_ += count_characters(text_.substr(byte_, byte - byte_));
    byte_ = byte;
    return characters_;
  }

 private:
  std::string_view text_;
  std::size_t byte_ = 0;
  std::int64_t characters_ = 0;
};

/// The word that a token belongs to: the first that does not end before it begins; words.size()
/// for what stands behind them all.
std::size_t word_of(const std::vector<TextSpan>& words, std::size_t from, std::size_t begin) {
  while (from < words.size() && words[from].end <= begin) ++from;
  return from;
}

/// Adds a token's share; NaN: it was not scored.
void add(WordScore& word, double log_probability, bool oov) {
  word.oov = word.oov || oov;
  if (std::isnan(log_probability)) return;
  word.log_probability = (word.tokens == 0 ? 0 : word.log_probability) + log_probability;
  ++word.tokens;
}

}  // namespace

LineScore LineScorer::summary(const Line& line, const TextToScore& text) const {
  LineScore score;
  const std::int64_t ends = options_.eos && !line.targets.empty() ? 1 : 0;
  const std::size_t in_line = line.targets.size() - static_cast<std::size_t>(ends);
  const std::string joined = std::string(line.blanks).append(text.text);
  const bool detail = options_.words || options_.pieces;
  const auto spans = detail
                         ? token_spans(*tokenizer_, joined, std::span(line.targets).first(in_line))
                         : std::vector<TextSpan>();
  const auto words = word_spans(joined);
  const std::size_t shift = line.blanks.size();
  CharacterOffsets offsets(text.text);
  const auto place = [&](auto& part, TextSpan span) {
    span = {std::max(span.begin, shift) - shift, std::max(span.end, shift) - shift};
    part.begin = offsets.before(span.begin);
    part.end = offsets.before(span.end);
    return std::string(text.text.substr(span.begin, span.end - span.begin));
  };

  if (options_.words) {
    for (const TextSpan& span : words) {
      WordScore word;
      word.text = place(word, span);
      word.log_probability = not_scored;
      score.words.push_back(std::move(word));
    }
    if (options_.eos || (words.empty() && in_line > 0)) {
      WordScore end;
      place(end, {joined.size(), joined.size()});
      end.text = options_.eos ? line_end_name : "";
      end.log_probability = not_scored;
      score.words.push_back(std::move(end));
    }
  }

  double known = 0;
  std::size_t word = 0;
  for (std::size_t i = 0; i < line.targets.size(); ++i) {
    const std::int32_t id = line.targets[i];
    // A tokenizer in which nothing can be lacking has no unk: -1, which is no token's id.
    const bool oov = id == tokenizer_->unk();
    double log_probability = i < line.unscored ? not_scored : -line.nll[i - line.unscored];
    if (oov) ++score.oov;
    if (oov && options_.oov == OovPolicy::penalty) log_probability -= options_.oov_penalty;
    if (i >= line.unscored && !(oov && options_.oov == OovPolicy::exclude)) {
      score.log_probability += log_probability;
      ++score.tokens;
    }
    if (i >= line.unscored && !oov) known += log_probability;
    const bool is_end = i == in_line;
    if (options_.pieces) {
      TokenScore piece;
      piece.oov = oov;
      piece.log_probability = log_probability;
      const std::string original =
          place(piece, is_end ? TextSpan{joined.size(), joined.size()} : spans[i]);
      piece.text = is_end ? std::string(line_end_name) : oov ? original : tokenizer_->token(id);
      score.pieces.push_back(std::move(piece));
    }
    if (options_.words) {
      word = is_end ? words.size() : word_of(words, word, spans[i].begin);
      add(score.words[std::min(word, score.words.size() - 1)], log_probability, oov);
    }
  }
  score.perplexity = perplexity_of(score.log_probability, score.tokens);
  score.word_perplexity =
      perplexity_of(score.log_probability, static_cast<std::int64_t>(words.size()) + ends);
  score.byte_perplexity =
      perplexity_of(score.log_probability, static_cast<std::int64_t>(text.text.size()) + ends);
  const std::int64_t scored = static_cast<std::int64_t>(line.scored().size());
  std::int64_t unknown = 0;
  for (const std::int32_t id : line.scored()) unknown += id == tokenizer_->unk() ? 1 : 0;
  score.known_perplexity = perplexity_of(known, scored - unknown);
  return score;
}

void LineScorer::end_file() {
  if (options_.documents) place_ = Place::nowhere;
}

std::vector<LineScore> LineScorer::score(std::span<const TextToScore> texts) {
  std::vector<Line> lines;
  lines.reserve(texts.size());
  for (const TextToScore& text : texts) {
    if (options_.running && !text.context.empty()) {
      throw UsageError("score: a line of running text has what was before as its context");
    }
    lines.push_back(make_line(text));
  }
  if (options_.running) {
    score_running(lines);
  } else {
    score_each(lines);
  }
  std::vector<LineScore> scores;
  scores.reserve(lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) scores.push_back(summary(lines[i], texts[i]));
  return scores;
}

std::vector<LineScore> score_lines(const FrozenModel& model, const Tokenizer& tokenizer,
                                   std::span<const std::string> lines, const ScoreOptions& options,
                                   std::int64_t first_line) {
  LineScorer scorer(make_predictor(model.shared_from_this()), tokenizer, options);
  std::vector<TextToScore> texts;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    texts.push_back({lines[i]});
    scorer.check_text(texts.back(),
                      fmt::format("line {}", first_line + static_cast<std::int64_t>(i)));
  }
  return scorer.score(texts);
}

}  // namespace sluice
