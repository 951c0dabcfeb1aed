#pragma once
// Which learning rates a variant tries, and which it is judged by.

#include <cstddef>
#include <limits>
#include <optional>
#include <vector>

namespace sluice {

/// The grid around a rate: a third of it, itself, three times it; to two digits.
std::vector<double> rate_grid(double center);

/// Index of the rate to judge a variant by, losses[rate][seed] being its validation losses: one
/// without (else with the fewest) failures, losses above `worst` or not finite, and of those the
/// one whose other losses have the lowest mean.
std::size_t choose_rate(const std::vector<std::vector<double>>& losses,
                        double worst = std::numeric_limits<double>::infinity());

/// The rate to try beyond `rates` (ascending) when the chosen one is at an end of them; none when
/// it is inside, or when two more than rate_grid() had are there already on that side.
std::optional<double> rate_beyond(const std::vector<double>& rates, double center,
                                  std::size_t chosen);

}  // namespace sluice
