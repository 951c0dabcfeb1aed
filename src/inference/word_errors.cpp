#include "sluice/inference/word_errors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <istream>
#include <limits>
#include <optional>

#include "nbest_fields.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/random.hpp"
#include "sluice/text/line_parts.hpp"

namespace sluice {
namespace {

/// Draws of lists ("boot").
constexpr std::uint32_t bootstrap_stream = 0x626F6F74;

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (const TextSpan& span : word_spans(text)) {
    words.push_back(text.substr(span.begin, span.end - span.begin));
  }
  return words;
}

double total_of(const RatedHypothesis& hypothesis, const RescoreWeights& weights) {
  return hypothesis.given + weights.weight * hypothesis.log_probability +
         weights.word_reward * static_cast<double>(hypothesis.words);
}

const RatedHypothesis& chosen(const RatedList& list, const RescoreWeights& weights) {
  const RatedHypothesis* best = &list.hypotheses.front();
  for (const RatedHypothesis& other : list.hypotheses) {
    if (total_of(other, weights) > total_of(*best, weights)) best = &other;
  }
  return *best;
}

std::int64_t errors_of(std::span<const RatedList> lists, const RescoreWeights& weights) {
  std::int64_t errors = 0;
  for (const RatedList& list : lists) errors += chosen(list, weights).errors;
  return errors;
}

double rate_of(std::int64_t errors, std::int64_t words) {
  return static_cast<double>(errors) / static_cast<double>(std::max<std::int64_t>(words, 1));
}

/// A hypothesis' total along one weight: at + slope · weight.
struct Line {
  double slope = 0, at = 0;
  std::int64_t errors = 0;
};

/// Where along a weight the choice of a list changes, and what that changes.
struct Turn {
  double place = 0;
  std::int64_t more_errors = 0;
};

/// Adds the turns of one list to `turns`; returns the errors of its choice at -infinity.
std::int64_t upper_envelope(std::vector<Line> lines, std::vector<Turn>& turns) {
  std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
    return a.slope != b.slope ? a.slope < b.slope : a.at > b.at;
  });
  std::vector<Line> hull;
  std::vector<double> from;
  const auto meeting = [](const Line& a, const Line& b) {
    return (a.at - b.at) / (b.slope - a.slope);
  };
  for (const Line& line : lines) {
    if (!hull.empty() && hull.back().slope == line.slope) continue;  // never above the first
    while (hull.size() > 1 && meeting(hull.back(), line) <= from.back()) {
      hull.pop_back();
      from.pop_back();
    }
    from.push_back(hull.empty() ? -std::numeric_limits<double>::infinity()
                                : meeting(hull.back(), line));
    hull.push_back(line);
  }
  for (std::size_t i = 1; i < hull.size(); ++i) {
    turns.push_back({from[i], hull[i].errors - hull[i - 1].errors});
  }
  return hull.front().errors;
}

/// The best value of one weight, the other as it is, in [least, infinity).
double best_along(std::span<const RatedList> lists, const RescoreWeights& weights, bool words,
                  double least) {
  std::vector<Turn> turns;
  std::int64_t errors = 0;
  for (const RatedList& list : lists) {
    std::vector<Line> lines;
    for (const RatedHypothesis& hypothesis : list.hypotheses) {
      RescoreWeights without = weights;
      (words ? without.word_reward : without.weight) = 0;
      lines.push_back({words ? static_cast<double>(hypothesis.words) : hypothesis.log_probability,
                       total_of(hypothesis, without), hypothesis.errors});
    }
    errors += upper_envelope(std::move(lines), turns);
  }
  std::sort(turns.begin(), turns.end(),
            [](const Turn& a, const Turn& b) { return a.place < b.place; });

  const double current = words ? weights.word_reward : weights.weight;
  if (turns.empty()) return current;  // no choice depends on it
  // Beyond the outermost turns nothing changes: a step of 1 stands for all that.
  double best = current;
  std::int64_t fewest = std::numeric_limits<std::int64_t>::max();
  double widest = 0;
  for (std::size_t i = 0; i <= turns.size(); ++i) {
    const double begin =
        i == 0 ? std::max(least, turns.front().place - 2) : std::max(least, turns[i - 1].place);
    const double end = i == turns.size() ? begin + 2 : turns[i].place;
    const double width = end - begin;
    if (width > 0 && (errors < fewest || (errors == fewest && width > widest))) {
      fewest = errors;
      widest = width;
      best = begin + width / 2;
    }
    if (i < turns.size()) errors += turns[i].more_errors;
  }
  return best;
}

}  // namespace

std::int64_t word_errors(std::string_view reference, std::string_view hypothesis) {
  const auto wanted = words_of(reference), got = words_of(hypothesis);
  std::vector<std::int64_t> row(got.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = static_cast<std::int64_t>(j);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    std::int64_t diagonal = row[0]++;
    for (std::size_t j = 0; j < got.size(); ++j) {
      const std::int64_t replaced = diagonal + (wanted[i] == got[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::vector<RatedList> rate_hypotheses(std::span<const Hypothesis> hypotheses,
                                       const std::map<std::string, std::string>& references) {
  std::vector<RatedList> lists;
  const std::string* list = nullptr;
  for (const Hypothesis& hypothesis : hypotheses) {
    const auto reference = references.find(hypothesis.list);
    if (reference == references.end()) {
      throw Error(fmt::format("rescore: the list {} has no reference", in_quotes(hypothesis.list)));
    }
    if (list == nullptr || *list != hypothesis.list) {
      list = &hypothesis.list;
      lists.push_back({{}, static_cast<std::int64_t>(words_of(reference->second).size())});
    }
    lists.back().hypotheses.push_back({hypothesis.given, hypothesis.log_probability,
                                       hypothesis.words,
                                       word_errors(reference->second, hypothesis.text)});
  }
  return lists;
}

ErrorRate word_error_rate(std::span<const RatedList> lists, const RescoreWeights& weights,
                          std::uint64_t seed) {
  constexpr std::uint32_t draws = 1000;
  std::vector<std::int64_t> errors, words;
  std::int64_t all_errors = 0, all_words = 0;
  for (const RatedList& list : lists) {
    errors.push_back(chosen(list, weights).errors);
    words.push_back(list.reference_words);
    all_errors += errors.back();
    all_words += words.back();
  }
  ErrorRate rate;
  rate.rate = rate_of(all_errors, all_words);
  std::vector<double> drawn;
  for (std::uint32_t draw = 0; draw < draws && !lists.empty(); ++draw) {
    const RandomKey key{seed, bootstrap_stream, draw};
    std::int64_t drawn_errors = 0, drawn_words = 0;
    for (std::size_t i = 0; i < lists.size(); ++i) {
      const std::size_t one = key.bits(i) % lists.size();
      drawn_errors += errors[one];
      drawn_words += words[one];
    }
    drawn.push_back(rate_of(drawn_errors, drawn_words));
  }
  std::sort(drawn.begin(), drawn.end());
  if (!drawn.empty()) {
    rate.low = drawn[draws / 40];
    rate.high = drawn[draws - 1 - draws / 40];
  }
  return rate;
}

double least_error_rate(std::span<const RatedList> lists) {
  std::int64_t errors = 0, words = 0;
  for (const RatedList& list : lists) {
    words += list.reference_words;
    errors += std::min_element(list.hypotheses.begin(), list.hypotheses.end(),
                               [](const RatedHypothesis& a, const RatedHypothesis& b) {
                                 return a.errors < b.errors;
                               })
                  ->errors;
  }
  return rate_of(errors, words);
}

RescoreWeights tune_weights(std::span<const RatedList> lists, bool tune_words) {
  if (lists.empty()) throw Error("rescore: weights are tuned on lists, and there are none");
  constexpr int most_rounds = 20;
  std::optional<RescoreWeights> best;
  std::int64_t fewest = 0;
  for (const double start : {0.0, 0.1, 0.3, 1.0, 3.0}) {
    RescoreWeights weights{start, 0};
    std::int64_t errors = errors_of(lists, weights);
    for (int round = 0; round < most_rounds; ++round) {
      RescoreWeights next = weights;
      next.weight = best_along(lists, next, false, 0);
      if (tune_words) {
        next.word_reward = best_along(lists, next, true, -std::numeric_limits<double>::infinity());
      }
      const std::int64_t fewer = errors_of(lists, next);
      if (fewer >= errors && round > 0) break;
      if (fewer <= errors) weights = next;
      if (fewer >= errors) break;
      errors = fewer;
    }
    if (!best || errors < fewest) {
      best = weights;
      fewest = errors;
    }
  }
  return *best;
}

std::map<std::string, std::string> read_references(std::istream& in, LineFormat format) {
  std::map<std::string, std::string> references;
  std::int64_t number = 0;
  for (std::string line; std::getline(in, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();
    const std::string where = fmt::format("line {} of the references", number + 1);
    std::string list = std::to_string(number), text = line;
    if (format == LineFormat::kaldi) {
      const KaldiFields fields = kaldi_fields(line, where);
      list = fields.id;
      text = fields.rest;
    } else if (format == LineFormat::jsonl) {
      const Value value =
          parse_json(line, {.where = where, .origin = FieldPlace::Origin::file}, json_line);
      const Value* const id = value.find("id");
      const Value* const said = value.find("text");
      if (id == nullptr || said == nullptr || said->as<std::string>() == nullptr) {
        throw Error(fmt::format("{}: expected an object with the fields 'id' and 'text', got {}",
                                where, shown(value)));
      }
      list = id->as<std::string>() != nullptr ? *id->as<std::string>() : json_text(*id);
      text = *said->as<std::string>();
    }
    if (!references.emplace(list, text).second) {
      throw Error(fmt::format("{}: {} is there twice", where, in_quotes(list)));
    }
  }
  return references;
}

}  // namespace sluice
