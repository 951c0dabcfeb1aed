#include "sluice/lab/units/reading_cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <span>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/random.hpp"
#include "sluice/inference/session.hpp"
#include "sluice/lab/compare/matching.hpp"
#include "sluice/lab/compare/statistics.hpp"

namespace sluice {
namespace {

double median_seconds(const std::function<void()>& work) {
  work();  // warms up
  std::array<double, 3> seconds{};
  for (double& each : seconds) {
    const auto start = std::chrono::steady_clock::now();
    work();
    each = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  return center(seconds, Statistic::median);
}

}  // namespace

ReadingCost measure_reading(const std::shared_ptr<const FrozenModel>& model, std::int64_t length) {
  if (length < 1 || length > most_reading_length) {
    throw UsageError(
        fmt::format("a length must be from 1 to {} tokens, got {}", most_reading_length, length));
  }
  const ModelConfig& config = model->config();
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < length; ++i) {
    const std::uint32_t bits = RandomKey{1, 0, 0}.bits(static_cast<std::uint64_t>(i));
    ids.push_back(static_cast<std::int32_t>(bits % static_cast<std::uint64_t>(config.vocabulary)));
  }
  ReadingCost cost{
      .length = length,
      .flop = static_cast<double>(flops_per_token(config)) * static_cast<double>(length),
      .sequential = config.architecture().sequential(config, length)};
  cost.at_once = median_seconds([&] {
    Session session = model->session();
    session.feed(ids);
  });
  cost.stepped = std::min(length, most_stepped);
  const auto few = std::span(ids).first(static_cast<std::size_t>(cost.stepped));
  cost.one_by_one = median_seconds([&] {
                      Session session = model->session();
                      for (const std::int32_t id : few) session.feed(id);
                    }) *
                    static_cast<double>(length) / static_cast<double>(cost.stepped);
  return cost;
}

}  // namespace sluice
