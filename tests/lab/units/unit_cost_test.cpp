#include "sluice/lab/units/unit_cost.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "sluice/base/parallel.hpp"

namespace sluice {
namespace {

TEST(UnitCost, IsMeasuredForEveryKindOfUnit) {
  const int threads = thread_count();
  for (const char* name : {"relu", "glu", "prelu", "maxout"}) {
    const UnitCost cost = measure_unit_cost(unit_info(name));
    EXPECT_GT(cost.forward_ns, 0) << name;
    EXPECT_TRUE(std::isfinite(cost.forward_ns)) << name;
    EXPECT_GT(cost.forward_backward_ns, 0) << name;
    EXPECT_TRUE(std::isfinite(cost.forward_backward_ns)) << name;
  }
  EXPECT_EQ(thread_count(), threads);
}

}  // namespace
}  // namespace sluice
