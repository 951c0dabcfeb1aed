#include "sluice/inference/detail/pass_rows.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "support.hpp"

namespace sluice::detail {
namespace {

using testing_support::model;
using testing_support::random_ids;

constexpr std::int64_t vocabulary = 30;
constexpr std::array<std::size_t, 4> lengths = {3, 1, 0, 6};

std::vector<float> values(const Tensor& tensor) {
  return {tensor.span<float>().begin(), tensor.span<float>().end()};
}

/// Texts of these lengths, of which one has nothing to read, in one pass.
class PassRowsTest : public ::testing::Test {
 protected:
  PassRowsTest() {
    std::size_t at = 0;
    for (std::size_t i = 0; i < lengths.size(); at += lengths[i++]) {
      const auto part = std::span(ids_).subspan(at, lengths[i]);
      first_.push_back(pass_.rows());
      if (i % 2 == 0) {
        std::ranges::copy(part, pass_.make_room(states_[i], part.size()).begin());
      } else {
        pass_.add(states_[i], part);
      }
    }
  }

  const std::shared_ptr<const FrozenModel> model_ =
      FrozenModel::freeze(*model("[(12,3)]*2", vocabulary, {10}));
  const std::vector<std::int32_t> ids_ = random_ids(10, vocabulary);
  std::array<StackState, lengths.size()> states_;
  PassRows pass_;
  std::vector<std::int64_t> first_;
};

TEST_F(PassRowsTest, ReadsEachTextBehindItsOwnState) {
  EXPECT_FALSE(pass_.empty());
  EXPECT_EQ(pass_.rows(), 10);
  EXPECT_EQ(first_, (std::vector<std::int64_t>{0, 3, 4, 4}));
  std::array<StackState, 3> states;
  const std::array<StackState*, 3> with = {&states[0], &states[1], &states[2]};
  const std::vector<std::int64_t> some = {3, 1, 6};
  EXPECT_EQ(values(pass_.read(*model_)), values(model_->hidden(ids_, PackedRows(some), with)));
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    EXPECT_EQ(states_[i].position, static_cast<std::int64_t>(lengths[i]));
  }
}

TEST_F(PassRowsTest, AnswersWhatIsAsked) {
  const Tensor hidden = pass_.read(*model_);
  EXPECT_TRUE(pass_.nll(*model_, hidden).empty());
  const std::vector<std::int32_t> all = random_ids(10, vocabulary, 2);
  const std::vector<double> expected = model_->nll(hidden, all);
  PassRows every = pass_, some = pass_;
  std::vector<double> expected_of_some;
  for (std::size_t r = 0; r < all.size(); ++r) {
    every.ask(static_cast<std::int64_t>(r), all[r]);
    if (r % 3 == 0) continue;
    some.ask(static_cast<std::int64_t>(r), all[r]);
    expected_of_some.push_back(expected[r]);
  }
  EXPECT_TRUE(std::ranges::equal(every.targets(), all));
  EXPECT_EQ(every.nll(*model_, hidden), expected);
  // Float32 products of fewer rows.
  const std::vector<double> found = some.nll(*model_, hidden);
  ASSERT_EQ(found.size(), expected_of_some.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected_of_some[i], 1e-5);
}

TEST_F(PassRowsTest, OwnRowsKeepNothingElseAlive) {
  const Tensor hidden = pass_.read(*model_);
  const Tensor row = own_row(hidden, 4);
  EXPECT_EQ(row.shape(), (Shape{1, hidden.dim(1)}));
  EXPECT_EQ(values(row), values(hidden.rows(4, 5)));
  EXPECT_TRUE(row.unique());
  // Alone it is no more than a view.
  EXPECT_EQ(own_row(row, 0).raw(), row.raw());
}

TEST(PassRows, AreNoneAtFirst) {
  PassRows pass;
  StackState state;
  EXPECT_TRUE(pass.make_room(state, 0).empty());
  pass.add(state, {});
  EXPECT_TRUE(pass.empty());
  EXPECT_EQ(pass.rows(), 0);
  EXPECT_TRUE(pass.targets().empty());
}

}  // namespace
}  // namespace sluice::detail
