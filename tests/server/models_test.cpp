#include "models.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>

#include "server/support.hpp"
#include "sluice/base/profile.hpp"

namespace sluice::server_test {
namespace {

using server::ModelHost;

/// Whether log-probabilities are computed.
bool computes(ModelHost& host) {
  start_profile();
  host.warm_new();
  stop_profile();
  const auto entries = profile_entries();
  return std::any_of(entries.begin(), entries.end(), [](const ProfileEntry& entry) {
    return std::string_view(entry.name) == "softmax" && entry.calls > 0;
  });
}

TEST(ModelHost, WarmsEachLoadedModelOnce) {
  const Models models;
  ServerOptions options;
  options.models = {models.add("small", "char"), models.add("other", "word")};
  ModelHost host(options);
  EXPECT_FALSE(computes(host));
  host.load();
  EXPECT_TRUE(computes(host));
  EXPECT_FALSE(computes(host));
  host.load();
  EXPECT_TRUE(computes(host));
}

}  // namespace
}  // namespace sluice::server_test
