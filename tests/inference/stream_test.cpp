#include "sluice/inference/stream.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "sluice/base/error.hpp"
#include "support.hpp"
#include "support/allocations.hpp"

namespace sluice {
namespace {

using testing_support::model;
using testing_support::random_ids;

constexpr std::int64_t vocabulary = 30;

/// The distribution after each of `ids`, by one forward pass over all: [T, V].
Tensor batch_distributions(LanguageModel& lm, const std::vector<std::int32_t>& ids) {
  const NoGrad no_grad;
  ModelState state;
  return lm.log_probabilities(
      lm.hidden(ids, 1, static_cast<std::int64_t>(ids.size()), state, {}).value());
}

/// Largest difference of a stream that reads ids[0, prompt) at once and the rest one by one.
/// Relative to 1 + |log-probability|: float32 sums in another order stay within 2e-5, through the
/// deepest preset's 40 layers.
double largest_difference(LanguageModel& lm, const std::vector<std::int32_t>& ids,
                          std::size_t prompt) {
  const Tensor expected = batch_distributions(lm, ids);
  const std::int64_t v = expected.dim(1);
  Stream stream(lm);
  double largest = 0;
  for (std::size_t t = std::max<std::size_t>(prompt, 1) - 1; t < ids.size(); ++t) {
    const std::size_t from = static_cast<std::size_t>(stream.position());
    stream.feed(std::span(ids).subspan(from, t + 1 - from));
    const auto actual = stream.log_probabilities();
    EXPECT_EQ(actual.size(), static_cast<std::size_t>(v));
    const float* row = expected.data<float>() + static_cast<std::int64_t>(t) * v;
    for (std::int64_t i = 0; i < v; ++i) {
      const double difference = std::abs(actual[static_cast<std::size_t>(i)] - row[i]);
      largest = std::max(largest, difference / (1 + std::abs(row[i])));
    }
  }
  return largest;
}

// Every preset's kernels, residuals and changes of width, with a sixteenth of its channels.
TEST(Stream, EqualsBatchForEveryPresetShape) {
  for (const Preset& preset : presets()) {
    auto layers = parse_layers(preset.layers);
    for (LayerSpec& layer : layers) layer.channels = std::max<std::int64_t>(layer.channels / 16, 2);
    const auto lm = model(layers_string(layers), vocabulary, {12});
    const auto ids = random_ids(static_cast<std::size_t>(*lm->receptive_field()) + 6, vocabulary);
    for (const std::size_t prompt : {std::size_t{3}, ids.size() - 3}) {
      EXPECT_LT(largest_difference(*lm, ids, prompt), 2e-5) << preset.name << " prompt " << prompt;
    }
  }
}

TEST(Stream, EqualsBatchForEverySoftmax) {
  for (const bool tie : {false, true}) {
    for (const bool adaptive : {false, true}) {
      const auto cutoffs =
          adaptive ? std::vector<std::int64_t>{10, 20} : std::vector<std::int64_t>{};
      const auto lm = model("[(16,3)]*3", vocabulary, cutoffs, 16, tie);
      EXPECT_LT(largest_difference(*lm, random_ids(20, vocabulary), 4), 2e-5)
          << "tie " << tie << " adaptive " << adaptive;
    }
  }
}

// A prompt longer than one forward pass reads at a time.
TEST(Stream, LongPrompts) {
  const auto lm = model("[(8,4)]*3", vocabulary);
  const auto ids = random_ids(1300, vocabulary);
  EXPECT_LT(largest_difference(*lm, ids, 1290), 2e-5);
}

TEST(Stream, MemoryPerTokenIsConstant) {
  const auto lm = model("[(16,4)]*4", vocabulary);
  Stream stream(*lm);
  const auto ids = random_ids(400, vocabulary);
  const auto feed = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      stream.feed(ids[i]);
      stream.log_probabilities();
    }
  };
  feed(0, 50);
  const AllocatorStats before = allocator_stats();
  feed(50, 400);
  EXPECT_EQ(allocator_stats().bytes_in_use, before.bytes_in_use);
  EXPECT_EQ(allocator_stats().peak_bytes_in_use, before.peak_bytes_in_use);
  if (test::kBuffersAreKept) {
    EXPECT_EQ(allocator_stats().system_allocations, before.system_allocations);
  }
}

TEST(Stream, ResetStartsAnew) {
  const auto lm = model("[(8,3)]*2", vocabulary);
  Stream stream(*lm);
  EXPECT_THROW(stream.log_probabilities(), Error);
  const std::vector<std::int32_t> ids = {4, 5};
  stream.feed(ids);
  const auto first = stream.log_probabilities();
  const std::vector<float> expected(first.begin(), first.end());
  stream.feed(6);
  EXPECT_EQ(stream.position(), 3);
  stream.reset();
  EXPECT_EQ(stream.position(), 0);
  EXPECT_THROW(stream.log_probabilities(), Error);
  stream.feed(ids);
  const auto again = stream.log_probabilities();
  EXPECT_EQ(std::vector<float>(again.begin(), again.end()), expected);
  EXPECT_THROW(stream.feed(static_cast<std::int32_t>(vocabulary)), Error);
}

}  // namespace
}  // namespace sluice
