#include "sluice/base/numbers.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Grouped, SetsCommasBetweenThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(-123456), "-123,456");
  EXPECT_EQ(grouped(INT64_MIN), "-9,223,372,036,854,775,808");
}

TEST(Numbers, WholeNumbersAreWhole) {
  EXPECT_EQ(whole_number("-12"), -12);
  EXPECT_EQ(whole_number("+12"), 12);
  EXPECT_EQ(whole_number("1e6"), 1'000'000);
  EXPECT_EQ(whole_number("9223372036854775807"), INT64_MAX);
  for (const char* text : {"", "x", "1x", " 1", "2.5", "1e-3", "9223372036854775808", "1e300",
                           "1e17", "0x10", "nan", "+-1", "-"}) {
    EXPECT_EQ(whole_number(text), std::nullopt) << text;
  }
}

TEST(Numbers, RealNumbersAreFiniteAndNotLost) {
  EXPECT_EQ(real_number("2e-3"), 0.002);
  EXPECT_EQ(real_number("-1"), -1.0);
  EXPECT_EQ(real_number("0.0e5"), 0.0);
  EXPECT_EQ(real_number("5e-324"), 5e-324);
  for (const char* text : {"", "x", "1x", " 1", "1e400", "1e-400", "inf", "nan", "0x10", "1,5"}) {
    EXPECT_EQ(real_number(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace sluice
