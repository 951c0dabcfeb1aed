// Numbers on their way between processes.
#include "sum_wire.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace sluice {
namespace {

std::vector<float> over(SumWire& wire) {
  std::vector<float> arrived(wire.size());
  const std::span<std::byte> room = wire.room(arrived);
  EXPECT_EQ(room.size(), wire.bytes().size());
  std::memcpy(room.data(), wire.bytes().data(), room.size());
  wire.arrived(arrived);
  return arrived;
}

TEST(SumWire, Float32ComesAsItWent) {
  SumWire wire(Precision::f32, 1);
  const std::vector<float> values{1.0F + 0x1p-20F, -3.5F, 0.0F};
  wire.append(values.data(), 2, {.leaf = 4, .slot = 0, .offset = 0, .elements = 3});
  wire.append(values.data() + 2, 1, {.leaf = 4, .slot = 0, .offset = 2, .elements = 3});
  EXPECT_EQ(over(wire), values);
  EXPECT_TRUE(wire.errors().empty());
  wire.clear();
  EXPECT_EQ(wire.size(), 0U);
}

// Each number is rounded; the sum of what went is the sum of what was to go, up to one rounding.
TEST(SumWire, WhatRoundingLosesGoesNextTime) {
  constexpr int times = 300;
  SumWire wire(Precision::bf16, 2);
  wire.expect(1, 3);
  const std::vector<float> values{1.001F, -0.3337F, 1e-3F};
  std::vector<double> went(values.size());
  bool rounded = false;
  for (int i = 0; i < times; ++i) {
    wire.clear();
    // From another slot, whose errors are its own.
    wire.append(values.data(), 1, {.leaf = 1, .slot = 0, .offset = 1, .elements = 3});
    for (std::int64_t at = 0; at < 3; ++at) {
      wire.append(values.data() + at, 1, {.leaf = 1, .slot = 1, .offset = at, .elements = 3});
    }
    const std::vector<float> arrived = over(wire);
    for (std::size_t at = 0; at < went.size(); ++at) went[at] += arrived[at + 1];
    rounded = rounded || arrived[1] != values[0];
    for (const float value : arrived) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof bits);
      EXPECT_EQ(bits & 0xFFFFU, 0U) << value << " is no bfloat16";
    }
  }
  EXPECT_TRUE(rounded);
  for (std::size_t at = 0; at < went.size(); ++at) {
    const double meant = times * static_cast<double>(values[at]);
    EXPECT_NEAR(went[at], meant, std::abs(values[at]) * 0x1p-7) << at;
  }
  EXPECT_EQ(wire.errors().at(1).size(), 6U);
}

}  // namespace
}  // namespace sluice
