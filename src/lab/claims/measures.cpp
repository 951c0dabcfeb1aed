#include "sluice/lab/claims/measures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "claims/measure_groups.hpp"
#include "codecs.hpp"
#include "own_directory.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/names.hpp"
#include "sluice/lab/lab_directory.hpp"
#include "sluice/training/metrics.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

/// What `text` says, or null when it is no JSON.
Value parse_or_null(const std::string& text) {
  try {
    return parse_json(text, in_file("measured values"));
  } catch (const Error&) {
    return {};
  }
}

Curve validation_curve(const MeasuredRun& measured, double CurvePoint::*x) {
  const TrainConfig& training = measured.variant().training;
  Curve curve;
  for (const CurvePoint& point :
       read_curves(measured.directory(), training.tokens_per_step()).validation) {
    curve.push_back({point.*x, point.loss});
  }
  return curve;
}

double uniform_loss(const MeasuredRun& measured) {
  return measured.comparison.uniform_loss(measured.run.variant);
}

/// At most the loss of a uniform distribution over the vocabulary.
double final_loss(const MeasuredRun& measured) {
  return std::min(measured.run.record.final_loss, uniform_loss(measured));
}

/// Of all steps up to the last that was logged: a line speaks of those since the line before.
double clipped_share(const MeasuredRun& measured) {
  const Metrics metrics = read_metrics(ModelDirectory(measured.directory()).metrics_file());
  double clipped = 0;
  std::int64_t steps = 0;
  for (const TrainLine& line : metrics.train) {
    clipped += line.clipped * static_cast<double>(line.step - steps);
    steps = line.step;
  }
  return steps > 0 ? clipped / static_cast<double>(steps) : std::numeric_limits<double>::infinity();
}

/// Whether both runs have a curve that ends where the run did.
bool both_finished(const MeasuredRun& a, const MeasuredRun& b) {
  return a.run.record.status == RunStatus::finished && b.run.record.status == RunStatus::finished;
}

std::pair<double, double> no_values() {
  return {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
}

double first_reaching(const Curve& curve, double loss) {
  for (std::size_t i = 0; i < curve.size(); ++i) {
    if (curve[i].y > loss) continue;
    if (i == 0) return curve[i].x;
    const XY& before = curve[i - 1];
    const double share = (before.y - loss) / (before.y - curve[i].y);
    return before.x + share * (curve[i].x - before.x);
  }
  return curve.back().x;
}

std::vector<Measure> loss_measures() {
  Measure final{
      .name = "final_loss",
      .unit = "nats per token",
      .description =
          "validation loss at the end of the budget, at most ln V, that of "
          "a uniform distribution, which runs that diverged get",
      .of_run = [](Measuring&, const MeasuredRun& run, double) { return final_loss(run); },
      .of_pair = {},
      .of_blocks = block_losses};
  Measure below{.name = "below_unigram",
                .unit = "nats per token",
                .description =
                    "validation loss of the frequencies of tokens, less final_loss: "
                    "what is learnt beyond them",
                .of_run = [](Measuring& measuring, const MeasuredRun& run,
                             double) { return measuring.unigram_loss(run) - final_loss(run); },
                .of_pair = {}};
  Measure diverged{
      .name = "diverged",
      .unit = "share of runs",
      .description =
          "runs that ended in numbers that are not finite, or with a "
          "validation loss above ln V, that of a uniform distribution",
      .effect = EffectKind::share,
      .of_run = [](Measuring&, const MeasuredRun& run,
                   double) { return run.run.record.final_loss > uniform_loss(run) ? 1.0 : 0.0; },
      .of_pair = {}};
  Measure gap{.name = "train_gap",
              .unit = "nats per token",
              .description =
                  "final_loss less the moving average of the training loss at the end: what does "
                  "not carry over",
              .of_run = [](Measuring&, const MeasuredRun& run,
                           double) { return final_loss(run) - run.run.record.train_loss; },
              .of_pair = {}};
  Measure clipped{
      .name = "clipped_share",
      .unit = "share of steps",
      .description = "steps whose gradient was clipped",
      .of_run = [](Measuring&, const MeasuredRun& run, double) { return clipped_share(run); },
      .of_pair = {}};
  return {final, below, diverged, gap, clipped};
}

std::vector<Measure> curve_measures() {
  const auto pair_of = [](double CurvePoint::*x,
                          std::pair<double, double> (*of)(const Curve&, const Curve&)) {
    return [x, of](const MeasuredRun& a, const MeasuredRun& b) {
      return both_finished(a, b) ? of(validation_curve(a, x), validation_curve(b, x)) : no_values();
    };
  };
  Measure tokens{.name = "tokens_to_loss",
                 .unit = "tokens",
                 .description =
                     "tokens trained on until the validation loss first reaches the one "
                     "that both sides reach, the higher of their final ones",
                 .effect = EffectKind::ratio,
                 .of_run = {},
                 .of_pair = pair_of(&CurvePoint::tokens, tokens_to_shared_loss)};
  Measure time{.name = "loss_at_equal_time",
               .unit = "nats per token",
               .description =
                   "validation loss after the wall-clock time in which the faster side "
                   "uses its budget up, validations included",
               .of_run = {},
               .of_pair = pair_of(&CurvePoint::seconds, losses_at_shared_time)};
  return {tokens, time};
}

std::vector<Measure> all_measures() {
  std::vector<Measure> all = loss_measures();
  for (const auto& group :
       {curve_measures(), speed_measures(), probe_measures(), text_measures()}) {
    all.insert(all.end(), group.begin(), group.end());
  }
  return all;
}

}  // namespace

std::pair<double, double> tokens_to_shared_loss(const Curve& a, const Curve& b) {
  const double loss = std::max(a.back().y, b.back().y);
  return {first_reaching(a, loss), first_reaching(b, loss)};
}

std::pair<double, double> losses_at_shared_time(const Curve& a, const Curve& b) {
  const double time = std::min(a.back().x, b.back().x);
  return {value_at(a, time), value_at(b, time)};
}

const std::vector<Measure>& measures() {
  static const std::vector<Measure> all = all_measures();
  return all;
}

const Measure& find_measure(const std::string& name) {
  std::vector<std::string> names;
  for (const Measure& measure : measures()) {
    if (measure.name == name) return measure;
    names.push_back(measure.name);
  }
  throw UsageError(fmt::format("unknown measure '{}'; {}", name, suggestion(name, names)));
}

Value Measuring::kept(const MeasuredRun& run, const std::string& key,
                      const std::function<Value()>& make) {
  const fs::path file = LabDirectory(out_).measured_file(run.run.plan.hash);
  const std::string record = read_file(run_record_file(run.directory()), most_json_bytes);
  // Covers the run's record and the values: those of an earlier run and damaged ones are measured
  // again.
  const auto checksum_of = [&](const Value& values) {
    const std::string all = record + json_text(values);
    return checksum_hex(all.data(), all.size());
  };
  Value values = Value::Object{};
  if (is_there(file)) {
    const Value read = parse_or_null(read_file(file, most_json_bytes));
    const Value* const found = read.find("values");
    const Value* const checksum = read.find("checksum");
    if (found != nullptr && found->as<Value::Object>() != nullptr && checksum != nullptr &&
        *checksum == Value(checksum_of(*found))) {
      values = *found;
    }
  }
  if (const Value* const known = values.find(key)) return *known;
  check_stop();
  Value made = make();
  values.set(key, made);
  make_own_directory(file.parent_path(), 1);
  Value all = Value::Object{};
  all.set("checksum", checksum_of(values));
  all.set("values", std::move(values));
  write_file(file, json_text(all, 1) + "\n");
  return made;
}

void Measuring::check_stop() const {
  if (stop_ != nullptr && stop_->load() != 0) throw MeasuringStopped{};
}

double Measuring::unigram_loss(const MeasuredRun& run) {
  const PreparedText& text = run.comparison.text();
  const auto [found, missing] = unigram_losses_.try_emplace(run.comparison.data(), 0.0);
  if (!missing) return found->second;
  std::vector<double> counts(static_cast<std::size_t>(text.tokenizer->size()), 1.0);
  for_each_token(text.train, [&](TokenId token) { ++counts[static_cast<std::size_t>(token)]; });
  double total = 0;
  for (const double count : counts) total += count;
  double sum = 0;
  for_each_token(*text.valid, [&](TokenId token) {
    sum -= std::log(counts[static_cast<std::size_t>(token)] / total);
  });
  found->second = sum / static_cast<double>(text.valid->size());
  return found->second;
}

}  // namespace sluice
