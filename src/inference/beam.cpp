#include "beam.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "choose.hpp"
#include "sluice/base/error.hpp"
#include "sluice/inference/session.hpp"
#include "sluice/tensor/detail/rows.hpp"

namespace sluice {
namespace {

/// A continuation that may go on: `sum` is what its score is made of.
struct Live {
  Session session;
  TextRules rules;
  BeamHypothesis made;
  double sum = 0;
};

struct Candidate {
  double sum;
  std::size_t from;
  std::int32_t id;
  float log_probability;
};

double score_of(double sum, std::size_t tokens, double length_penalty) {
  return tokens == 0 ? 0 : sum / std::pow(static_cast<double>(tokens), length_penalty);
}

class Search {
 public:
  Search(const FrozenModel& model, const BeamOptions& options, const EndsText& ends)
      : model_(model), options_(options), ends_(ends) {}

  std::vector<BeamHypothesis> run(std::span<const std::int32_t> prompt);

 private:
  std::size_t width() const { return static_cast<std::size_t>(options_.beam) - ended_.size(); }
  std::vector<Candidate> candidates();
  void advance();

  const FrozenModel& model_;
  const BeamOptions& options_;
  const EndsText& ends_;
  std::vector<Live> live_;
  std::vector<BeamHypothesis> ended_;
};

std::vector<Candidate> Search::candidates() {
  std::vector<Tensor> rows;
  for (const Live& each : live_) rows.push_back(each.session.hidden());
  const Tensor logs = model_.log_probabilities(stacked_parts(rows, 0, rows.front().dim(1)));
  std::vector<Candidate> all;
  for (std::size_t i = 0; i < live_.size(); ++i) {
    const auto v = static_cast<std::size_t>(logs.dim(1));
    const auto row = logs.span<float>().subspan(i * v, v);
    live_[i].rules.apply(row);
    std::vector<std::pair<std::size_t, float>> allowed;
    for (const std::size_t id : detail::Peaks(row).largest(width()))
      allowed.emplace_back(id, row[id]);
    live_[i].rules.restore(row);
    for (const auto& [id, log] : allowed) {
      // What is banned is no continuation.
      if (std::isinf(log)) continue;
      all.push_back(
          {live_[i].sum + static_cast<double>(log), i, static_cast<std::int32_t>(id), row[id]});
    }
  }
  // Stable: within equals the order is that of the live ones, then of ids.
  std::stable_sort(all.begin(), all.end(),
                   [](const Candidate& a, const Candidate& b) { return a.sum > b.sum; });
  if (all.size() > width()) all.resize(width());
  return all;
}

void Search::advance() {
  const std::vector<Candidate> best = candidates();
  if (best.empty()) {
    // Every token is banned.
    for (Live& each : live_) ended_.push_back(std::move(each.made));
  }
  std::vector<Live> next;
  for (const Candidate& candidate : best) {
    const Live& from = live_[candidate.from];
    BeamHypothesis made = from.made;
    made.ids.push_back(candidate.id);
    made.log_probabilities.push_back(candidate.log_probability);
    made.score = score_of(candidate.sum, made.ids.size(), options_.length_penalty);
    made.ended = ends_ && ends_(made.ids);
    if (made.ended) {
      ended_.push_back(std::move(made));
      continue;
    }
    next.push_back({from.session, from.rules, std::move(made), candidate.sum});
    next.back().rules.add(candidate.id);
  }
  live_ = std::move(next);
  if (live_.empty() || std::cmp_greater_equal(live_.front().made.ids.size(), options_.tokens))
    return;
  std::vector<Session*> sessions;
  std::vector<std::span<const std::int32_t>> ids;
  for (Live& each : live_) {
    sessions.push_back(&each.session);
    ids.push_back(std::span(each.made.ids).last(1));
  }
  Session::step(sessions, ids);
}

std::vector<BeamHypothesis> Search::run(std::span<const std::int32_t> prompt) {
  Session session = model_.session();
  session.feed(prompt);
  live_.push_back(
      {std::move(session), TextRules(options_.rules, prompt, model_.vocabulary()), {}, 0});
  for (std::int64_t t = 0; t < options_.tokens && !live_.empty(); ++t) advance();
  for (Live& each : live_) ended_.push_back(std::move(each.made));
  std::stable_sort(
      ended_.begin(), ended_.end(),
      [](const BeamHypothesis& a, const BeamHypothesis& b) { return a.score > b.score; });
  return std::move(ended_);
}

}  // namespace

void BeamOptions::validate(std::int64_t vocabulary) const {
  if (beam < 1)
    throw UsageError(fmt::format("beam search: the beam must be at least 1, got {}", beam));
  if (tokens < 0) {
    throw UsageError(
        fmt::format("beam search: the number of tokens must be 0 or more, got {}", tokens));
  }
  if (!std::isfinite(length_penalty)) {
    throw UsageError(
        fmt::format("beam search: the length penalty must be a number, got {}", length_penalty));
  }
  rules.validate(vocabulary);
}

std::vector<BeamHypothesis> beam_search(const FrozenModel& model,
                                        std::span<const std::int32_t> prompt,
                                        const BeamOptions& options, const EndsText& ends) {
  options.validate(model.vocabulary());
  if (prompt.empty()) {
    throw UsageError("beam search: the prompt has no token; begin it with the end of a line");
  }
  return Search(model, options, ends).run(prompt);
}

}  // namespace sluice
