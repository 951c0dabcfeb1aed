// sluice plan: what more processes would bring, from the speed of a run.

#include <gtest/gtest.h>

#include <string>

#include "program.hpp"

namespace sluice::cli_test {
namespace {

class Plan : public ScratchTest {};

TEST_F(Plan, PredictsFromTheSpeedOfARun) {
  const std::string text = write("text.txt", sample_text(400));
  ASSERT_EQ(run(tiny_training(text, path("model"), {"--steps", "6", "--log-every", "2"})).status,
            0);
  const Outcome plan = run({"plan", path("model"), "--bandwidth", "1gbit", "--latency", "0.2ms",
                            "--efficiency", "0.01"});
  EXPECT_EQ(plan.status, 0) << plan.err;
  EXPECT_NE(plan.out.find("\n     1024 "), std::string::npos) << plan.out;
  EXPECT_NE(plan.out.find("100.0% ================== "), std::string::npos) << plan.out;
  for (const std::string wrong : {"1", "gbit", "-1gbit", "1gb"}) {
    EXPECT_TRUE(
        complains(run({"plan", path("model"), "--bandwidth", wrong}), 2, "plan", "--bandwidth"))
        << wrong;
  }
  EXPECT_TRUE(complains(run({"plan", path("nothing")}), 1, "plan", "nothing"));
  EXPECT_TRUE(
      complains(run({"plan", path("model"), "--deviation", "-3"}), 2, "plan", "--deviation"));
  const Outcome uneven = run({"plan", path("model"), "--deviation", "50", "--latency", "0.001us"});
  EXPECT_NE(uneven.out.find("give or take 50%"), std::string::npos) << uneven.out;
  EXPECT_NE(uneven.out.find("the slowest limits"), std::string::npos) << uneven.out;
}

}  // namespace
}  // namespace sluice::cli_test
