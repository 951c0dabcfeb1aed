#include "sluice/lab/compare/detail/rates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>

namespace sluice {
namespace {

constexpr double spacing = 3;
/// Steps from the centre to the furthest rate that is tried.
constexpr int furthest = 3;

/// The same for a search that goes on.
constexpr double furthest_search = 8;
/// Neighbouring rates nearer than this, as a ratio, are not searched between.
constexpr double narrow = 1.1;

double two_digits(double rate) { return std::stod(fmt::format("{:.1e}", rate)); }

}  // namespace

std::vector<double> rate_grid(double center) {
  return {two_digits(center / spacing), center, two_digits(center * spacing)};
}

std::size_t choose_rate(const std::vector<std::vector<double>>& losses, double worst) {
  std::size_t best = 0;
  std::size_t fewest = std::numeric_limits<std::size_t>::max();
  double lowest = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < losses.size(); ++i) {
    std::size_t failed = 0;
    double sum = 0;
    for (const double loss : losses[i]) {
      if (std::isfinite(loss) && loss <= worst) {
        sum += loss;
      } else {
        ++failed;
      }
    }
    const std::size_t learnt = losses[i].size() - failed;
    const double average =
        learnt > 0 ? sum / static_cast<double>(learnt) : std::numeric_limits<double>::infinity();
    if (failed > fewest || (failed == fewest && !(average < lowest))) continue;
    best = i;
    fewest = failed;
    lowest = average;
  }
  return best;
}

std::optional<double> rate_beyond(const std::vector<double>& rates, double center,
                                  std::size_t chosen) {
  const bool first = chosen == 0;
  if (!first && chosen + 1 != rates.size()) return std::nullopt;
  const double next = two_digits(first ? rates[chosen] / spacing : rates[chosen] * spacing);
  const double steps = std::abs(std::log(next / center)) / std::log(spacing);
  // Rounding moves rates a little.
  if (steps > furthest + 0.5) return std::nullopt;
  return next;
}

std::optional<double> rate_further(const std::vector<double>& rates,
                                   const std::vector<double>& given, std::size_t chosen) {
  const bool first = chosen == 0;
  if (!first && chosen + 1 != rates.size()) return std::nullopt;
  const double next = two_digits(first ? rates[chosen] / spacing : rates[chosen] * spacing);
  const double beyond = first ? given.front() / next : next / given.back();
  if (std::log(beyond) / std::log(spacing) > furthest_search + 0.5) return std::nullopt;
  return next;
}

std::optional<double> rate_between(const std::vector<double>& rates, std::size_t chosen) {
  if (chosen == 0 || chosen + 1 >= rates.size()) return std::nullopt;
  const double below = std::log(rates[chosen] / rates[chosen - 1]);
  const double above = std::log(rates[chosen + 1] / rates[chosen]);
  // The smaller part of a gap cut in the golden section.
  constexpr double part = 2 - std::numbers::phi;
  const double step = above >= below ? part * above : -part * below;
  if (std::max(above, below) < std::log(narrow)) return std::nullopt;
  const double next = two_digits(rates[chosen] * std::exp(step));
  if (std::find(rates.begin(), rates.end(), next) != rates.end()) return std::nullopt;
  return next;
}

}  // namespace sluice
