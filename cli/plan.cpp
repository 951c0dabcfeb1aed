// sluice plan: what several machines would make of a run.

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/models/memory.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/training/metrics.hpp"
#include "sluice/training/scaling.hpp"
#include "sluice/training/settings.hpp"

namespace sluice::cli {
namespace {

constexpr std::int64_t most_processes = 1024;

/// What the command line said.
struct PlanFlags {
  std::string model;
  std::string bandwidth = "10gbit";
  std::string latency = "50us";
  std::int64_t tokens = 1'000'000'000;
  double efficiency = 0.8;
  double deviation = std::numeric_limits<double>::quiet_NaN();  // as measured
};

/// A number above 0 with one of these units. Throws UsageError naming the flag.
double with_unit(const std::string& flag, const std::string& text,
                 const std::vector<std::pair<std::string, double>>& units) {
  for (const auto& [unit, factor] : units) {
    if (!text.ends_with(unit)) continue;
    const double number = parse_number(flag, text.substr(0, text.size() - unit.size()));
    if (number > 0) return number * factor;
  }
  std::string known;
  for (const auto& unit : units) known += (known.empty() ? "" : ", ") + unit.first;
  throw UsageError(
      fmt::format("{}: expected a number above 0 with one of {}, got '{}'", flag, known, text));
}

Network network_of(const PlanFlags& flags) {
  constexpr double bits = 1.0 / 8;
  return {.latency = with_unit("--latency", flags.latency, {{"us", 1e-6}, {"ms", 1e-3}}),
          .bandwidth = with_unit("--bandwidth", flags.bandwidth,
                                 {{"gbit", 1e9 * bits}, {"mbit", 1e6 * bits}})};
}

TokenTimes times_of(const Metrics& metrics, const std::string& model) {
  const TokenTimes times = token_times(metrics);
  if (times.seconds == 0) {
    throw Error(
        fmt::format("'{}' has no line of its training's speed: train some more steps, or with "
                    "--log-every 1",
                    model));
  }
  return times;
}

int plan(const PlanFlags& flags) {
  const Network network = network_of(flags);
  if (flags.tokens < 1) throw UsageError("--tokens: expected a number above 0");
  if (!(flags.efficiency > 0 && flags.efficiency <= 1)) {
    throw UsageError("--efficiency: expected a number above 0, 1 at most");
  }
  const bool measured = std::isnan(flags.deviation);
  if (!measured && !(flags.deviation >= 0 && flags.deviation <= 1000)) {
    throw UsageError("--deviation: expected a number from 0 to 1000");
  }
  const ModelDirectory files(flags.model);
  files.check_trained();
  const ModelConfig model = files.model_config();
  const TrainConfig training = saved_settings(files).training.values;
  const TokenTimes times = times_of(read_metrics(files.metrics_file()), flags.model);
  const std::int64_t tokens = training.batch * training.context;
  const double seconds = static_cast<double>(tokens) * times.seconds;
  const double deviation = measured ? times.deviation / times.seconds : flags.deviation / 100;
  const double gradients = 4 * static_cast<double>(model.parameter_count());
  const StepCost cost{.seconds = seconds,
                      .tokens = tokens,
                      .deviation = deviation * seconds,
                      .buckets = gradient_buckets(*make_model(model, std::nullopt)),
                      .sent_share = training.communicate == Precision::bf16 ? 0.5 : 1.0,
                      .sync_every = training.sync_every};
  const double memory = static_cast<double>(training_memory_estimate(
                            model, training.batch, training.context, training.kept_per_parameter(),
                            training.recompute)) +
                        2 * gradients;
  constexpr double giga = 1e9;
  std::string text = fmt::format(
      "a micro-batch of {} tokens takes {:.4g} s in one process (measured: {} tokens/s), "
      "give or take {:.2g}%; {} parameters, in {}; {} and {}\n\n"
      "{:>9} {:>13} {:>8}  {:<25} {:>9} {:>9}\n",
      grouped(tokens), seconds, grouped(std::llround(1 / times.seconds)), 100 * deviation,
      grouped(model.parameter_count()),
      counted(static_cast<std::int64_t>(cost.buckets.size()), "bucket"), flags.bandwidth,
      flags.latency, "processes", "tokens/s", "hours", "efficiency", "GB each", "limit");
  ScalingPoint best;
  for (std::int64_t n = 1; n <= most_processes; n *= 2) {
    const ScalingPoint point = predict_scaling(cost, network, n);
    if (point.efficiency >= flags.efficiency) best = point;
    constexpr double columns = 18;
    const auto bar = static_cast<std::size_t>(std::lround(columns * point.efficiency));
    text += fmt::format("{:>9} {:>13} {:>8.3g}  {:>5.1f}% {:<18} {:>9.3g} {:>9}\n", n,
                        grouped(std::llround(point.tokens_per_second)),
                        static_cast<double>(flags.tokens) / point.tokens_per_second / 3600,
                        100 * point.efficiency, std::string(bar, '='),
                        n == 1 ? memory / giga - 2 * gradients / giga : memory / giga,
                        name_of_limit(point.limit));
  }
  const ScalingPoint next = predict_scaling(cost, network, 2 * best.processes);
  text += best.processes >= most_processes
              ? fmt::format("\nall of these numbers have an efficiency of {:g}% or more\n",
                            100 * flags.efficiency)
              : fmt::format("\n{} process{} at {:g}% efficiency or more; beyond, {} limits\n",
                            best.processes, best.processes == 1 ? "" : "es", 100 * flags.efficiency,
                            name_of_limit(next.limit));
  print(text);
  return 0;
}

}  // namespace

void add_plan(CLI::App& program, int& status) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App& app = add_command(program, "plan", "Predict how a run would scale to several machines");
  add_footer(app, "One micro-batch per process (weak scaling); docs/cluster.md has the formula.",
             {"sluice plan model --bandwidth 25gbit --tokens 1e10"});
  add_text(app, "MODEL", flags->model, "directory of a run by one process, some steps long", "")
      .required();
  add_text(app, "--bandwidth", flags->bandwidth,
           "of each machine's network, like 25gbit or 100mbit (default 10gbit)", "RATE");
  add_text(app, "--latency", flags->latency,
           "of a message between two machines, like 50us or 5ms (default 50us)", "TIME");
  add_integer(app, "--tokens", flags->tokens, "to train on, for the hours (default 1e9)");
  add_number(app, "--efficiency", flags->efficiency,
             "the least that counts as efficient (default 0.8)");
  add_number(app, "--deviation", flags->deviation,
             "standard deviation of a step's time, in % of it (default: what the run's "
             "lines tell, which is a step's with --log-every 1)");
  when_chosen(app, [flags, &status] { status = plan(*flags); });
}

}  // namespace sluice::cli
