// Measures of speed, with as many threads as each run was trained with. No training runs while text
// speed and token latency are measured; training speed is measured beside the other jobs. All of
// them suffer from other load on the machine.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

#include "claims/measure_groups.hpp"
#include "codecs.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/inference/evaluate.hpp"
#include "sluice/inference/session.hpp"
#include "sluice/lab/compare/statistics.hpp"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

/// Repetitions, of which the median counts.
constexpr int readings = 3;
constexpr std::int64_t tokens_to_read = 8192;
constexpr std::size_t tokens_to_answer = 256;
constexpr std::size_t tokens_before = 64;

std::vector<TokenId> first_tokens(const MeasuredRun& run, std::int64_t most) {
  const TokenShards& valid = *run.comparison.text().valid;
  std::vector<TokenId> tokens(static_cast<std::size_t>(std::min(most, valid.size())));
  valid.read(0, static_cast<std::int64_t>(tokens.size()), tokens.data());
  return tokens;
}

/// Tokens per second when reading one text from beginning to end, parallel over time if the model
/// allows it.
double text_speed(const MeasuredRun& run) {
  const LoadedFrozenModel loaded = load_frozen_model(run.directory());
  const PreparedText& text = run.comparison.text();
  const TokenShards shards(first_tokens(run, tokens_to_read), text.valid->eos(),
                           text.valid->vocabulary());
  EvalOptions options;
  options.segments = 1;
  std::vector<double> speeds;
  speeds.reserve(readings);
  for (int i = 0; i < readings; ++i) {
    speeds.push_back(evaluate(*loaded.model, shards, options).tokens_per_second);
  }
  return center(speeds, Statistic::median);
}

/// Microseconds from a token to the distribution of the next.
double token_latency(const MeasuredRun& run) {
  const LoadedFrozenModel loaded = load_frozen_model(run.directory());
  const std::vector<TokenId> tokens = first_tokens(run, tokens_to_answer + tokens_before);
  Session session = loaded.model->session();
  const std::size_t before = std::min(tokens_before, tokens.size() / 2);
  session.feed({tokens.data(), before});
  std::vector<double> times;
  times.reserve(tokens.size());
  for (std::size_t i = before; i < tokens.size(); ++i) {
    const auto start = Clock::now();
    session.feed(tokens[i]);
    session.log_probabilities();
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  return center(times, Statistic::median);
}

/// A number that was kept.
double number_of(const Value& value) {
  return field_codec<double>({}).read(value, in_file("measured values"));
}

/// `measure` of a run that has a model, kept under its name.
Measure kept_measure(const char* name, const char* unit, const char* description,
                     double (*measure)(const MeasuredRun&)) {
  return {.name = name,
          .unit = unit,
          .description = description,
          .effect = EffectKind::ratio,
          .of_run =
              [name, measure](Measuring& measuring, const MeasuredRun& run, double) {
                if (run.run.record.status == RunStatus::diverged) {
                  return std::numeric_limits<double>::infinity();
                }
                const auto timed = [&]() -> Value {
                  const ThreadCount threads(static_cast<int>(run.comparison.threads()));
                  return measure(run);
                };
                return number_of(measuring.kept(run, name, timed));
              },
          .of_pair = {}};
}

}  // namespace

std::vector<Measure> speed_measures() {
  Measure training{.name = "training_speed",
                   .unit = "tokens per second",
                   .description = "median speed of training, validations left out",
                   .effect = EffectKind::ratio,
                   .of_run = [](Measuring&, const MeasuredRun& run,
                                double) { return run.run.record.tokens_per_second; },
                   .of_pair = {}};
  return {training,
          kept_measure("text_speed", "tokens per second",
                       "speed of scoring one text of at most 8,192 tokens, the median of three "
                       "times: parallel over its positions where the model is, over nothing else",
                       text_speed),
          kept_measure("token_latency", "microseconds",
                       "time from a token to the distribution of the next in a stream, the median "
                       "of at most 256 times",
                       token_latency)};
}

}  // namespace sluice
