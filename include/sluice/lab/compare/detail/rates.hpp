#pragma once
// Which learning rates a variant tries, and which it is judged by.

#include <cstddef>
#include <limits>
#include <optional>
#include <vector>

namespace sluice {

/// The grid around a rate: a third of it, itself, three times it; to two digits.
std::vector<double> rate_grid(double center);

/// Index of the rate to judge a variant by, given its validation losses[rate][seed]. Among the
/// rates with the fewest failures (losses above `worst` or not finite) it is the one with the
/// lowest mean of the other losses.
std::size_t choose_rate(const std::vector<std::vector<double>>& losses,
                        double worst = std::numeric_limits<double>::infinity());

/// The rate to try beyond `rates` (ascending) when the chosen one is the first or the last of them;
/// none otherwise, and none once that side has two more rates than rate_grid() started with.
std::optional<double> rate_beyond(const std::vector<double>& rates, double center,
                                  std::size_t chosen);

/// The same without a centre, for a search that goes on until the best is inside: three times
/// beyond the end, none once the rate would lie further than 3^8 beyond `given`, the rates that the
/// search began with.
std::optional<double> rate_further(const std::vector<double>& rates,
                                   const std::vector<double>& given, std::size_t chosen);

/// Where a golden-section search (Kiefer 1953) on the logarithm of the rate looks next: in the
/// wider of the gaps beside the chosen rate, 0.382 of it away from it. None at an end, and where
/// neighbours are within a tenth of it: their losses no longer differ.
std::optional<double> rate_between(const std::vector<double>& rates, std::size_t chosen);

}  // namespace sluice
