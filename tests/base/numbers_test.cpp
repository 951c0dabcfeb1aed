#include "sluice/base/numbers.hpp"

#include <gtest/gtest.h>

#include <limits>

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

TEST(ClockTime, HasHoursWhenThereAreSome) {
  EXPECT_EQ(clock_time(0), "0:00");
  EXPECT_EQ(clock_time(6.6), "0:07");
  EXPECT_EQ(clock_time(754), "12:34");
  EXPECT_EQ(clock_time(3599.6), "1:00:00");
  EXPECT_EQ(clock_time(13506), "3:45:06");
  EXPECT_EQ(clock_time(-1), "0:00");
  EXPECT_EQ(clock_time(std::numeric_limits<double>::infinity()), "277777:46:40");
}

TEST(SpanOfTime, NamesItsUnit) {
  EXPECT_EQ(span_of_time(4.24), "4.2 s");
  EXPECT_EQ(span_of_time(9.94), "9.9 s");
  EXPECT_EQ(span_of_time(9.96), "10 s");
  EXPECT_EQ(span_of_time(59.4), "59 s");
  EXPECT_EQ(span_of_time(59.5), "1:00 min");
  EXPECT_EQ(span_of_time(425), "7:05 min");
  EXPECT_EQ(span_of_time(3723), "1:02:03 h");
}

}  // namespace
}  // namespace sluice
