#include "sluice/inference/evaluate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/tensor/detail/rows.hpp"

namespace sluice {
namespace {

/// Positions in one forward pass: enough rows for fast matrix products, little memory.
constexpr std::int64_t rows_per_pass = 2048;
constexpr std::int64_t most_segments = 32;
/// At most one position in this many is spent on warming up.
constexpr std::int64_t warm_up_share = 32;

/// A text read as `segments` windows side by side. Window s covers positions [s·stride,
/// s·stride + length) and scores them all but its first `warm_up`, which the window before it
/// scores; the first window scores these, too.
struct Plan {
  std::int64_t segments = 1;
  std::int64_t warm_up = 0;
  std::int64_t stride = 0;
  std::int64_t length = 0;
  std::int64_t chunk = 0;
};

Plan plan(std::int64_t tokens, std::optional<std::int64_t> receptive_field,
          const EvalOptions& options) {
  Plan plan;
  plan.warm_up = receptive_field ? *receptive_field - 1 : options.warm_up;
  // Segments of nothing but warm-up score nothing; more of them than tokens are of no use.
  const std::int64_t own = std::max<std::int64_t>(tokens - plan.warm_up, 1);
  plan.segments = !receptive_field && options.warm_up == 0 ? 1 : options.segments;
  if (plan.segments == 0) {
    const std::int64_t affordable =
        plan.warm_up == 0 ? most_segments : own / (warm_up_share * plan.warm_up);
    plan.segments = std::clamp<std::int64_t>(affordable, 1, most_segments);
  }
  plan.segments = std::min(plan.segments, own);
  plan.stride = (own + plan.segments - 1) / plan.segments;
  plan.length = std::min(plan.stride + plan.warm_up, tokens);
  plan.chunk =
      options.chunk > 0 ? options.chunk : std::max<std::int64_t>(rows_per_pass / plan.segments, 1);
  plan.chunk = std::min(plan.chunk, plan.length);
  return plan;
}

/// One pass: tokens of the windows that have some, and which of their rows are scored.
struct Pass {
  std::vector<std::int32_t> ids, targets, scored_rows, scored_targets;
  std::vector<std::int64_t> lengths;
  std::vector<StackState*> states;
};

/// Reads the windows' tokens from `offset` on, at most plan.chunk of each.
Pass read_pass(const Plan& plan, const TokenShards& corpus, std::int64_t offset,
               std::vector<StackState>& states) {
  Pass pass;
  const std::int64_t time = std::min(plan.chunk, plan.length - offset);
  for (std::int64_t s = 0; s < plan.segments; ++s) {
    const std::int64_t begin = s * plan.stride + offset;
    const std::int64_t present = std::clamp<std::int64_t>(corpus.size() - begin, 0, time);
    if (present == 0) continue;
    const std::size_t row = pass.ids.size();
    pass.ids.resize(row + static_cast<std::size_t>(present));
    pass.targets.resize(pass.ids.size());
    corpus.read_pairs(begin, present, pass.ids.data() + row, pass.targets.data() + row);
    pass.lengths.push_back(present);
    pass.states.push_back(&states[static_cast<std::size_t>(s)]);
    const std::int64_t skipped =
        s == 0 ? 0 : std::clamp<std::int64_t>(plan.warm_up - offset, 0, present);
    for (std::size_t r = row + static_cast<std::size_t>(skipped); r < pass.ids.size(); ++r) {
      pass.scored_rows.push_back(static_cast<std::int32_t>(r));
      pass.scored_targets.push_back(pass.targets[r]);
    }
  }
  return pass;
}

void check(const FrozenModel& model, const TokenShards& corpus, const EvalOptions& options) {
  if (options.segments < 0 || options.chunk < 0 || options.warm_up < 0) {
    throw UsageError(
        fmt::format("evaluate: segments, chunk and warm_up must not be negative, got {}, {} and {}",
                    options.segments, options.chunk, options.warm_up));
  }
  if (corpus.size() == 0) throw Error("evaluate: the text has no tokens; give it some");
  if (corpus.vocabulary() != model.vocabulary()) {
    throw Error(
        fmt::format("evaluate: the text was cut into tokens of a vocabulary of {} and the "
                    "model has {}; use the model's tokenizer",
                    corpus.vocabulary(), model.vocabulary()));
  }
}

}  // namespace

EvalResult evaluate(const FrozenModel& model, const TokenShards& corpus,
                    const EvalOptions& options) {
  check(model, corpus, options);
  const auto start = std::chrono::steady_clock::now();
  const Plan plan = sluice::plan(corpus.size(), model.receptive_field(), options);

  EvalResult result;
  std::vector<StackState> states(static_cast<std::size_t>(plan.segments));
  for (std::int64_t offset = 0; offset < plan.length; offset += plan.chunk) {
    const Pass pass = read_pass(plan, corpus, offset, states);
    Tensor hidden = model.hidden(pass.ids, PackedRows(pass.lengths), pass.states);
    if (pass.scored_rows.size() != pass.ids.size()) {
      hidden = pick_rows(hidden, pass.scored_rows, "evaluate");
    }
    for (const double nll : model.nll(hidden, pass.scored_targets)) result.nll += nll;
    result.tokens += static_cast<std::int64_t>(pass.scored_rows.size());
    if (options.progress) options.progress(result.tokens, corpus.size());
  }

  result.perplexity = std::exp(result.nll / static_cast<double>(result.tokens));
  result.characters = corpus.info().characters;
  if (result.characters > 0) {
    result.bits_per_character =
        result.nll / std::numbers::ln2 / static_cast<double>(result.characters);
  }
  result.oov = corpus.info().oov;
  result.vocabulary = corpus.vocabulary();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.tokens_per_second = static_cast<double>(result.tokens) / result.seconds;
  return result;
}

}  // namespace sluice
