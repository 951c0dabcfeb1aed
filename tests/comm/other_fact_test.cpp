// What is said of processes that are not alike.
#include "sluice/comm/detail/other_fact.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

/// "RANK NAME FIRST THERE", or "".
std::string other_of(const std::vector<Facts>& of_all) {
  std::vector<std::string> bytes;
  for (const Facts& facts : of_all) bytes.push_back(bytes_of_facts(facts));
  const auto found = find_other(bytes);
  if (!found) return "";
  return std::to_string(found->rank) + " " + found->name + " " + found->first + " " + found->there;
}

TEST(OtherFact, IsTheFirstInWhichAProcessDiffers) {
  const Facts plain = {{"version", "1"}, {"model", "a"}, {"text", "t"}};
  EXPECT_EQ(other_of({plain}), "");
  EXPECT_EQ(other_of({plain, plain, plain}), "");
  EXPECT_EQ(other_of({plain, plain, {{"version", "1"}, {"model", "b"}, {"text", "u"}}}),
            "2 model a b");
  // The fact counts before the process, in the order in which the first one names them.
  EXPECT_EQ(other_of({plain,
                      {{"version", "1"}, {"model", "a"}, {"text", "u"}},
                      {{"version", "2"}, {"model", "a"}, {"text", "t"}}}),
            "2 version 1 2");
  // The order in which others name them does not count.
  EXPECT_EQ(other_of({plain, {{"text", "t"}, {"model", "a"}, {"version", "1"}}}), "");
  EXPECT_EQ(other_of({{}, {}}), "");
}

TEST(OtherFact, MayBeMissing) {
  EXPECT_EQ(other_of({{{"--context", "8"}}, {}}), "1 --context 8 none");
  EXPECT_EQ(other_of({{}, {}, {{"--context", ""}}}), "2 --context none ");
  EXPECT_EQ(other_of({{{"a", "1"}}, {{"b", "2"}}}), "1 a 1 none");
}

}  // namespace
}  // namespace sluice
