// claims.json: what is computed when it is read, and files of before.

#include "sluice/lab/claims/claim_results.hpp"

#include <gtest/gtest.h>

#include "claims_fixture.hpp"

namespace sluice::lab_test {
namespace {

/// A claim with a part that was open after five seeds: differences of -1 on average, whose
/// deviation is 1.
ClaimResult open_claim() {
  PartResult part;
  part.statement = "a is below b";
  part.measure = "final_loss";
  part.values_a = {-1, -2, 0, -2, 0};
  part.values_b = {0, 0, 0, 0, 0};
  part.n = 5;
  part.looks = {5, 8, 12, 18, 27, 40};
  part.looked = 1;
  ClaimResult claim;
  claim.name = "open";
  claim.parts = {part};
  return claim;
}

/// Read from a file whose part was changed by `change`.
template <class Change>
ClaimResult read(const Change& change, const ClaimResult& claim = open_claim()) {
  ClaimResults results;
  results.claims = {claim};
  json file = json::parse(claims_json(results));
  change(file["claims"][0]["parts"][0]);
  return parse_claim_results(file.dump(), "claims.json").claims.at(0);
}

TEST(ClaimResults, ForecastsAreMadeWhenTheyAreRead) {
  const auto of_looks = [](std::int64_t looked) {
    return read([&](json& part) { part["looked"] = looked; }).parts[0].seeds_to_tell;
  };
  const LookPlan looks = plan_looks(5, 40);
  const PartResult part = open_claim().parts[0];
  const std::int64_t seeds = forecast({}, looks, part.values_a, part.values_b).seeds;
  ASSERT_GT(seeds, 5);
  // A file of before has none, or 0 of what was never asked.
  EXPECT_EQ(of_looks(1), seeds);
  EXPECT_EQ(read([](json& of) { of.erase("seeds_to_tell"); }).parts[0].seeds_to_tell, seeds);
  const ClaimResult old = read([](json& of) { of["seeds_to_tell"] = 0; });
  EXPECT_EQ(old.parts[0].seeds_to_tell, seeds);
  EXPECT_NE(format_claim(old).find(std::to_string(seeds) + " seeds would tell"), std::string::npos);
  EXPECT_EQ(as_json(old)["parts"][0]["seeds_to_tell"], seeds);

  // Of the looks that are to come: none is left, or it is past the one that would have done.
  EXPECT_EQ(of_looks(6), std::nullopt);
  EXPECT_GT(of_looks(5), seeds);
  EXPECT_EQ(read([](json& of) { of["verdict"] = "holds"; }).parts[0].seeds_to_tell, std::nullopt);
}

// What would hardly be told is said of what was computed alone.
TEST(ClaimResults, NothingIsForetoldOfWhatTellsNothing) {
  const auto foretold = [](const auto& change) {
    const ClaimResult claim = read(change);
    EXPECT_EQ(claim.parts[0].seeds_to_tell.has_value(),
              format_claim(claim).find("would") != std::string::npos);
    return claim.parts[0].seeds_to_tell;
  };
  EXPECT_EQ(foretold([](json& of) { of["values_a"] = {1, -1, 1, -1, 0}; }), 0);
  EXPECT_EQ(foretold([](json& of) { of["values_a"][2] = nullptr; }), std::nullopt);
  EXPECT_EQ(foretold([](json& of) { of["values_a"] = of["values_b"] = {1}; }), std::nullopt);
  EXPECT_EQ(foretold([](json& of) { of.erase("looks"); }), std::nullopt);
  // Files may say anything.
  EXPECT_EQ(foretold([](json& of) { of["values_b"] = {0, 0}; }), std::nullopt);
  EXPECT_EQ(foretold([](json& of) { of["kind"] = "share"; }), std::nullopt);
  EXPECT_EQ(foretold([](json& of) { of["kind"] = "ratio"; }), std::nullopt);
  EXPECT_EQ(foretold([](json& of) { of["looks"] = {40, 5}; }), std::nullopt);
  EXPECT_EQ(foretold([](json& of) { of["looks"] = {-1, 5}; }), std::nullopt);
  EXPECT_EQ(foretold([](json& of) { of["looks"] = {5, 1'000'000'000'000}; }), std::nullopt);
  EXPECT_EQ(foretold([](json& of) { of["looked"] = -1; }), std::nullopt);
}

TEST(ClaimResults, DesignsAreKept) {
  ClaimResult claim = open_claim();
  EXPECT_FALSE(as_json(claim).contains("design"));
  EXPECT_EQ(read([](json&) {}, claim).design, "");
  claim.design = "0123456789abcdef";
  EXPECT_EQ(read([](json&) {}, claim).design, claim.design);
}

}  // namespace
}  // namespace sluice::lab_test
