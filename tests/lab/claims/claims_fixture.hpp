#pragma once
// Claims that are run on a tiny text, and what came of them as JSON.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "claim_support.hpp"
#include "lab/support.hpp"
#include "sluice/base/file.hpp"
#include "sluice/lab/claims/claim_runs.hpp"

namespace sluice::lab_test {

using nlohmann::json;

class Claims : public Lab {
 protected:
  ClaimRequest request() const {
    return {.data = {directory_ / "text.txt"}, .out = out(), .jobs = 1};
  }
  static Claim claim(const json& text, bool quick = false) {
    return parse_claim(text.dump(), "tiny.json", quick);
  }
  json claims_file() const { return json::parse(read_file(out() / "claims.json")); }
};

inline json as_json(const ClaimResult& result) {
  ClaimResults results;
  results.claims = {result};
  return json::parse(claims_json(results))["claims"][0];
}

/// Counts what is trained, planned and reported.
struct ClaimCounter {
  ClaimCallbacks callbacks() {
    ClaimCallbacks callbacks;
    callbacks.compare.trained = [this](const CompareRun&) { ++trained; };
    callbacks.compare.note = [this](const std::string& note) { notes.push_back(note); };
    callbacks.planned = [this](const Claim&, const ClaimComparison&, const Comparison&) {
      ++planned;
    };
    return callbacks;
  }
  int trained = 0, planned = 0;
  std::vector<std::string> notes;
};

/// A part of one value: `measure` of GLU.
inline json single(const std::string& measure) {
  return {{"statement", measure},
          {"measure", measure},
          {"a", {{"variant", {{"unit", "glu"}}}}},
          {"expect", "greater"}};
}

inline json with_at(const std::string& measure, int at) {
  json part = single(measure);
  part["at"] = at;
  return part;
}

}  // namespace sluice::lab_test
