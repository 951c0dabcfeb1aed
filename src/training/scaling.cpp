#include "sluice/training/scaling.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "buckets.hpp"

namespace sluice {
namespace {

constexpr double seconds_per_message = 2e-6;
/// With two processes; each handles 2 (N - 1)/N of the bytes.
constexpr double seconds_per_byte = 0.6e-9;
constexpr double backward_share = 2.0 / 3;
constexpr int exchanges = 3;
constexpr int agreements = 2;

}  // namespace

std::string_view name_of_limit(ScalingLimit limit) {
  switch (limit) {
    case ScalingLimit::latency:
      return "latency";
    case ScalingLimit::bandwidth:
      return "bandwidth";
    case ScalingLimit::work:
      return "adding gradients";
    case ScalingLimit::slowest:
      return "the slowest";
    case ScalingLimit::nothing:
      break;
  }
  return "nothing";
}

TokenTimes token_times(const Metrics& metrics) {
  const std::vector<TrainLine>& lines = metrics.train;
  const auto validated = [&](const TrainLine& from, const TrainLine& to) {
    return std::any_of(
        metrics.validations.begin(), metrics.validations.end(),
        [&](const auto& line) { return line.step >= from.step && line.step <= to.step; });
  };
  // Weighted by tokens, which the last step of an epoch has fewer of.
  double seconds = 0, tokens = 0, squares = 0;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const double time = lines[i].seconds - lines[i - 1].seconds;
    const auto count = static_cast<double>(lines[i].tokens - lines[i - 1].tokens);
    if (!(time > 0) || !(count > 0) || validated(lines[i - 1], lines[i])) continue;
    seconds += time;
    tokens += count;
    squares += time * time / count;
  }
  if (tokens == 0) {
    const double speed = lines.empty() ? 0 : lines.back().tokens_per_second;
    return {.seconds = speed > 0 ? 1 / speed : 0};
  }
  const double mean = seconds / tokens;
  return {.seconds = mean, .deviation = std::sqrt(std::max(0.0, squares / tokens - mean * mean))};
}

double expected_largest(std::int64_t n) {
  // The integral of x d(F^n) by parts, F being the normal distribution function.
  constexpr double step = 0.01;
  constexpr int steps = 900;  // to nine standard deviations
  const auto power = static_cast<double>(n);
  double sum = 0;
  for (int i = 0; i < steps; ++i) {
    const double x = (i + 0.5) * step;
    const double above = 0.5 * std::erfc(x / std::sqrt(2.0));
    sum += 1 - std::pow(1 - above, power) - std::pow(above, power);
  }
  return sum * step;
}

std::vector<double> gradient_buckets(const LanguageModel& model) {
  std::vector<std::int64_t> bytes;
  for (const Parameter& parameter : model.parameters()) {
    if (!parameter.variable.requires_grad()) continue;
    bytes.push_back(parameter.variable.shape().elements() *
                    static_cast<std::int64_t>(sizeof(float)));
  }
  std::reverse(bytes.begin(), bytes.end());
  std::vector<double> buckets;
  auto next = bytes.begin();
  for (const std::size_t leaves : leaves_of_buckets(bytes)) {
    const auto end = next + static_cast<std::ptrdiff_t>(leaves);
    buckets.push_back(static_cast<double>(std::accumulate(next, end, std::int64_t{0})));
    next = end;
  }
  return buckets;
}

namespace {

/// What the exchanges of a step take: all of them, and what of that the backward pass does not
/// hide.
struct ExchangeTime {
  double all = 0, waited = 0;
};

ExchangeTime exchange_time(const StepCost& cost, double gradients, double round, double per_byte) {
  const double backward = backward_share * cost.seconds;
  ExchangeTime time;
  double completed = 0, there = 0;
  for (const double bytes : cost.buckets) {
    const double takes = exchanges * round + bytes * per_byte;
    completed += bytes;
    there = std::max(there, backward * completed / gradients) + takes;
    time.all += takes;
  }
  time.waited = cost.buckets.empty() ? 0 : there - backward;
  return time;
}

}  // namespace

ScalingPoint predict_scaling(const StepCost& cost, const Network& network, std::int64_t processes) {
  ScalingPoint point{.processes = processes};
  point.step_seconds = cost.seconds;
  if (processes > 1) {
    const auto n = static_cast<double>(processes);
    const double gradients = std::accumulate(cost.buckets.begin(), cost.buckets.end(), 0.0);
    // Of each byte: of another's slice to its owner, and of one's own to the others.
    const double handled = 2 * (n - 1) / n;
    const double round = network.latency + (n - 1) * seconds_per_message;
    const double per_byte = handled * cost.sent_share / network.bandwidth;
    const ExchangeTime exchange = exchange_time(cost, gradients, round, per_byte);
    const bool in_every_step = cost.sync_every == 0;
    const double steps = in_every_step ? 1 : static_cast<double>(cost.sync_every);
    const double waited = in_every_step ? exchange.waited : exchange.all / steps;
    const double work = handled * gradients * seconds_per_byte / steps;
    const double slowest = cost.deviation * expected_largest(processes) / std::sqrt(steps);
    point.step_seconds += slowest + work + waited + agreements * round;
    // What is waited for is waited for in the proportion in which it takes time.
    const double in_transfer = exchange.all > 0 ? waited * gradients * per_byte / exchange.all : 0;
    const double in_rounds = waited - in_transfer + agreements * round;
    const double most = std::max({slowest, work, in_transfer, in_rounds});
    point.limit = most == slowest       ? ScalingLimit::slowest
                  : most == work        ? ScalingLimit::work
                  : most == in_transfer ? ScalingLimit::bandwidth
                                        : ScalingLimit::latency;
  }
  point.efficiency = cost.seconds / point.step_seconds;
  point.tokens_per_second = static_cast<double>(processes * cost.tokens) / point.step_seconds;
  return point;
}

}  // namespace sluice
