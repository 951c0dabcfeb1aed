// The report's sections on claims.

#include <gtest/gtest.h>

#include <string>

#include "lab/report/report_samples.hpp"
#include "sluice/lab/claims/claim_results.hpp"
#include "sluice/lab/report/report.hpp"

namespace sluice::lab_test {
namespace {

bool has(const std::string& page, const std::string& part) {
  return page.find(part) != std::string::npos;
}

// What does not hold is not put as a fact.
TEST(ReportClaims, AreNoFactsWhereTheyDoNotHold) {
  json claims = sample_claims();
  claims["claims"][1]["plain"] = "Straight paths are quicker.";
  const auto words = [&](const char* verdict) {
    claims["claims"][1]["verdict"] = verdict;
    const ClaimResults results = parse_claim_results(claims.dump(), "claims.json");
    return report_html({.claims = &results});
  };
  EXPECT_TRUE(has(words("holds"), "<p>Straight paths are quicker.</p>"));
  EXPECT_TRUE(has(words("fails"),
                  "<p><b>Fails here.</b> The claim: Straight paths are quicker.</p>\n"
                  "<p>What was tested: GLU reaches"));
  EXPECT_TRUE(has(words("inconclusive"), "<p><b>Not decided here.</b> The claim: Straight"));
  EXPECT_TRUE(has(words("equal"), "<p><b>Equal here, within a stated bound.</b> The claim: "));
  claims["claims"][1]["plain"] = "Are straight paths quicker?";
  EXPECT_TRUE(has(words("fails"), "<b>Fails here.</b> The question: Are"));
  claims["claims"][1].erase("plain");
  EXPECT_TRUE(has(words("fails"), "<b>Fails here.</b> The claim: GLU reaches"));
}

}  // namespace
}  // namespace sluice::lab_test
