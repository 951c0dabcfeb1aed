#include "sluice/inference/session.hpp"

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
  return lm.freeze_tokens({})->log_probabilities(
      lm.hidden(ids, 1, static_cast<std::int64_t>(ids.size()), state, {}).value());
}

std::vector<float> values(const Tensor& tensor) {
  return {tensor.span<float>().begin(), tensor.span<float>().end()};
}

/// Largest difference of a session that reads ids[0, prompt) at once and the rest one by one.
/// Relative to 1 + |log-probability|: float32 sums in another order stay within 2e-5, through the
/// deepest preset's 40 layers.
double largest_difference(LanguageModel& lm, const std::vector<std::int32_t>& ids,
                          std::size_t prompt) {
  const Tensor expected = batch_distributions(lm, ids);
  const std::int64_t v = expected.dim(1);
  Session session = FrozenModel::freeze(lm)->session();
  double largest = 0;
  for (std::size_t t = std::max<std::size_t>(prompt, 1) - 1; t < ids.size(); ++t) {
    const std::size_t from = static_cast<std::size_t>(session.position());
    session.feed(std::span(ids).subspan(from, t + 1 - from));
    const Tensor logs = session.log_probabilities();
    EXPECT_EQ(logs.shape(), Shape{v});
    const auto actual = logs.span<float>();
    const float* row = expected.data<float>() + static_cast<std::int64_t>(t) * v;
    for (std::int64_t i = 0; i < v; ++i) {
      const double difference = std::abs(actual[static_cast<std::size_t>(i)] - row[i]);
      largest = std::max(largest, difference / (1 + std::abs(row[i])));
    }
  }
  return largest;
}

// Every preset's kernels, residuals and changes of width, with a sixteenth of its channels.
TEST(Session, EqualsBatchForEveryPresetShape) {
  for (const Preset& preset : presets()) {
    auto layers = preset.config.shape<GcnnShape>().layers;
    for (LayerSpec& layer : layers) layer.channels = std::max<std::int64_t>(layer.channels / 16, 2);
    const auto lm = model(layers_string(layers), vocabulary, {12});
    const auto ids = random_ids(static_cast<std::size_t>(*lm->receptive_field()) + 6, vocabulary);
    for (const std::size_t prompt : {std::size_t{3}, ids.size() - 3}) {
      EXPECT_LT(largest_difference(*lm, ids, prompt), 2e-5) << preset.name << " prompt " << prompt;
    }
  }
}

TEST(Session, EqualsBatchForEverySoftmax) {
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
TEST(Session, LongPrompts) {
  const auto lm = model("[(8,4)]*3", vocabulary);
  const auto ids = random_ids(1300, vocabulary);
  EXPECT_LT(largest_difference(*lm, ids, 1290), 2e-5);
}

TEST(Session, MemoryPerTokenIsConstant) {
  const auto lm = model("[(16,4)]*4", vocabulary);
  Session session = FrozenModel::freeze(*lm)->session();
  const auto ids = random_ids(400, vocabulary);
  const auto feed = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      session.feed(ids[i]);
      session.log_probabilities();
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

TEST(Session, ResetStartsAnew) {
  const auto lm = model("[(8,3)]*2", vocabulary);
  Session session = FrozenModel::freeze(*lm)->session();
  EXPECT_THROW(session.log_probabilities(), Error);
  const std::vector<std::int32_t> ids = {4, 5};
  session.feed(ids);
  const std::vector<float> expected = values(session.log_probabilities());
  session.feed(6);
  EXPECT_EQ(session.position(), 3);
  session.reset();
  EXPECT_EQ(session.position(), 0);
  EXPECT_THROW(session.log_probabilities(), Error);
  session.feed(ids);
  EXPECT_EQ(values(session.log_probabilities()), expected);
  EXPECT_THROW(session.feed(static_cast<std::int32_t>(vocabulary)), Error);
}

TEST(Session, BadStepsAreRefusedAndReadNothing) {
  const auto lm = model("[(8,3)]*2", vocabulary);
  const auto frozen = FrozenModel::freeze(*lm);
  Session one = frozen->session(), two = frozen->session(),
          other = FrozenModel::freeze(*lm)->session();
  const std::vector<std::int32_t> good = {4, 5}, bad = {4, -1};
  const std::span<const std::int32_t> ids[] = {good, good}, foreign[] = {good, bad};
  Session* const twice[] = {&one, &one};
  EXPECT_THROW(Session::step(twice, ids), Error);
  Session* const mixed[] = {&one, &other};
  EXPECT_THROW(Session::step(mixed, ids), Error);
  Session* const both[] = {&one, &two};
  EXPECT_THROW(Session::step(both, std::span(ids).first(1)), Error);
  EXPECT_THROW(Session::step(both, foreign), Error);
  EXPECT_EQ(one.position(), 0);
  Session::step(both, ids);
  Session::step({}, {});
  EXPECT_EQ(two.position(), 2);
}

// A session keeps its model alive.
TEST(Session, OutlivesWhoMadeIt) {
  Session session = FrozenModel::freeze(*model("[(8,3)]", vocabulary))->session();
  session.feed(3);
  EXPECT_EQ(session.log_probabilities().elements(), vocabulary);
}

// What a text costs that is not read on: the inputs that its layers still need, and a hidden row.
// Eight layers of 512 channels, four wide, take 8 · 3 · 512 + 512 floats: 51,200 bytes.
TEST(Session, IdleOnesAreSmall) {
  const auto lm = model("[(16,4)]*8", vocabulary, {12}, 16);
  Session session = FrozenModel::freeze(*lm)->session();
  EXPECT_EQ(session.bytes(), 0U);
  session.feed(random_ids(40, vocabulary));
  EXPECT_EQ(session.bytes(), (8 * 3 * 16 + 16) * sizeof(float));
}

}  // namespace
}  // namespace sluice
