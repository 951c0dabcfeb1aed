#include "sluice/lab/compare/detail/rates.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string>

namespace sluice {
namespace {

constexpr double spacing = 3;
/// Steps from the centre to the furthest rate that is tried.
constexpr int furthest = 3;

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

}  // namespace sluice
