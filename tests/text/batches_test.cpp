#include "sluice/text/batches.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <vector>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

/// A corpus whose token number i is i + 1; 0 is eos.
TokenShards counting_corpus(std::int64_t n) {
  std::vector<TokenId> tokens(static_cast<std::size_t>(n));
  std::iota(tokens.begin(), tokens.end(), 1);
  return {tokens, 0, n + 1};
}

TEST(BatchStream, CoversEveryTargetOncePerEpochButTheRest) {
  for (const std::int64_t n : {12, 13, 23, 24, 100, 101}) {
    const std::int64_t batch = 3;
    const std::int64_t context = 4;
    const BatchStream stream(counting_corpus(n), batch, context);
    const std::int64_t steps = n / (batch * context);
    EXPECT_EQ(stream.steps_per_epoch(), steps);
    const std::int64_t rest = n - steps * batch * context;
    std::vector<TokenId> inputs(static_cast<std::size_t>(batch * context));
    std::vector<TokenId> targets(inputs.size());
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      std::vector<int> seen(static_cast<std::size_t>(n) + 1, 0);
      for (std::int64_t step = 0; step < steps; ++step) {
        EXPECT_EQ(stream.starts_epoch(epoch * steps + step), step == 0);
        stream.read(epoch * steps + step, inputs.data(), targets.data());
        for (std::size_t i = 0; i < targets.size(); ++i) {
          EXPECT_EQ(inputs[i], targets[i] - 1) << "the token before";
          ++seen[static_cast<std::size_t>(targets[i])];
        }
      }
      for (std::int64_t i = 0; i < n; ++i) {
        const bool left_out = epoch % 2 == 0 ? i >= n - rest : i < rest;
        EXPECT_EQ(seen[static_cast<std::size_t>(i) + 1], left_out ? 0 : 1) << n << " " << i;
      }
    }
  }
}

TEST(BatchStream, RowsContinueTheRowsBefore) {
  const BatchStream stream(counting_corpus(50), 2, 5);
  std::vector<TokenId> inputs(10);
  std::vector<TokenId> targets(10);
  stream.read(0, inputs.data(), targets.data());
  EXPECT_EQ(inputs, (std::vector<TokenId>{0, 1, 2, 3, 4, 25, 26, 27, 28, 29}));
  EXPECT_EQ(targets, (std::vector<TokenId>{1, 2, 3, 4, 5, 26, 27, 28, 29, 30}));
  stream.read(1, inputs.data(), targets.data());
  EXPECT_EQ(inputs, (std::vector<TokenId>{5, 6, 7, 8, 9, 30, 31, 32, 33, 34}));
}

TEST(BatchStream, ShortCorporaAreRefused) {
  try {
    const BatchStream stream(counting_corpus(11), 3, 4);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "the corpus is too short: it has 11 tokens, and one step of batch 3 and context 4 "
                 "needs 12; lower the batch, what is accumulated or the context");
  }
  constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  EXPECT_THROW(BatchStream(counting_corpus(11), huge, huge), Error);
  EXPECT_THROW(BatchStream(counting_corpus(11), 0, 4), UsageError);
  EXPECT_THROW(BatchStream(counting_corpus(11), 3, -4), UsageError);
  const BatchStream stream(counting_corpus(12), 3, 4);
  std::vector<TokenId> tokens(12);
  EXPECT_THROW(stream.read(-1, tokens.data(), tokens.data()), Error);
}

}  // namespace
}  // namespace sluice
