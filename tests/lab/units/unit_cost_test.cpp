#include "sluice/lab/units/unit_cost.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "sluice/base/parallel.hpp"
#include "support/eventually.hpp"

namespace sluice {
namespace {

TEST(UnitCost, IsMeasuredForEveryKindOfUnit) {
  const int threads = thread_count();
  for (const char* name : {"relu", "glu", "prelu", "maxout"}) {
    const auto begin = std::chrono::steady_clock::now();
    UnitCost cost = measure_unit_cost(unit_info(name));
    const std::chrono::duration<double, std::nano> all = std::chrono::steady_clock::now() - begin;
    // On any machine: eight passes, at least, fit into the time of the call; and no core computes
    // ten elements in a picosecond.
    for (const double ns : {cost.forward_ns, cost.forward_backward_ns}) {
      EXPECT_LT(8 * ns * static_cast<double>(unit_cost_elements), all.count()) << name;
      EXPECT_GT(ns, 1e-4) << name;
    }
    // Another program may have had the core throughout one measurement, not each time.
    EXPECT_TRUE(eventually([&] {
      cost = measure_unit_cost(unit_info(name));
      return cost.forward_backward_ns > cost.forward_ns;
    })) << name;
  }
  EXPECT_EQ(thread_count(), threads);
}

}  // namespace
}  // namespace sluice
