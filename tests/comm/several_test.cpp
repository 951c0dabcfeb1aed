// What several processes do together. ctest starts three of them under mpirun (comm_ranks); alone
// there is nothing to test.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <thread>

#include "sluice/comm/communicator.hpp"
#include "sluice/comm/rank_work.hpp"

namespace sluice {
namespace {

/// As the program was started: another test changes the environment.
const bool launched = Communicator::launched();

class Several : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (launched) ranks_ = Communicator::open({});
  }
  static void TearDownTestSuite() {
    if (ranks_) ranks_->close();
    ranks_.reset();
  }
  void SetUp() override {
    if (!ranks_) GTEST_SKIP() << "several processes are started by mpirun";
  }
  static std::string name(int rank) { return std::string(static_cast<std::size_t>(rank) * 7, 'r'); }

  static std::unique_ptr<Communicator> ranks_;
};
std::unique_ptr<Communicator> Several::ranks_;

TEST_F(Several, TellEachOther) {
  const int size = ranks_->size(), rank = ranks_->rank();
  ASSERT_GT(size, 1);
  std::vector<std::string> names;
  std::vector<int> numbers;
  for (int r = 0; r < size; ++r) names.push_back(name(r)), numbers.push_back(3 * r);
  EXPECT_EQ(ranks_->all_gather(name(rank)), names);
  EXPECT_EQ(ranks_->gather(3 * rank), numbers);
  EXPECT_EQ(ranks_->gather(rank == 1)[1], true);
  EXPECT_EQ(ranks_->broadcast(name(rank), 1), name(1));
  EXPECT_EQ(ranks_->collect(name(rank)), rank == 0 ? names : std::vector<std::string>{});
  names.pop_back();
  const Communicator::Scattered some =
      ranks_->scatter(rank == 0 ? names : std::vector<std::string>{"no"});
  EXPECT_EQ(some.parts, size - 1);
  EXPECT_EQ(some.part, rank < some.parts ? name(rank) : "");
  EXPECT_EQ(ranks_->scatter({}).parts, 0);
}

TEST_F(Several, SayWhoIsNotAlike) {
  RankWork work(*ranks_);
  work.check_same({{"version", "1"}, {"model", "a"}});
  const std::string model = ranks_->rank() == 1 ? "b" : "a";
  try {
    work.check_same({{"version", "1"}, {"model", model}});
    ADD_FAILURE() << "another model went unseen";
  } catch (const RankError& error) {
    const std::string said = error.what();
    EXPECT_EQ(
        said.rfind(
            ranks_->title(1) + " has another model than " + ranks_->title(0) + ": a, got b; ", 0),
        0U)
        << said;
  }
  work.check_same({{"model", "a"}});
}

TEST_F(Several, StreamsComeBackInOrder) {
  RankWork work(*ranks_);
  EXPECT_EQ(work.leads(), ranks_->rank() == 0);
  for (const bool more : {true, false}) {
    int read = 0;
    std::string written;
    work.stream(
        [&]() -> std::optional<PieceWork::Piece> {
          if (read == 10) return std::nullopt;
          return PieceWork::Piece{std::to_string(read++), more};
        },
        [](std::string_view piece) { return "<" + std::string(piece) + ">"; },
        [&](std::string_view result) { written += result; });
    EXPECT_EQ(written, work.leads() ? "<0><1><2><3><4><5><6><7><8><9>" : "");
    EXPECT_EQ(read, work.leads() ? 10 : 0);
  }
}

// Who comes late does less; what comes of it is the same.
TEST_F(Several, PiecesGoToWhoIsFree) {
  RankWork work(*ranks_);
  for (const std::int64_t n : {0, 1, 40}) {
    int mine = 0;
    if (work.leads()) std::this_thread::sleep_for(std::chrono::milliseconds(300));
    const std::vector<std::string> results = work.map(n, [&](std::int64_t i) {
      ++mine;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      return std::to_string(i * i);
    });
    std::vector<std::string> expected;
    for (std::int64_t i = 0; work.leads() && i < n; ++i) expected.push_back(std::to_string(i * i));
    EXPECT_EQ(results, expected);
    int all = 0;
    for (const int each : ranks_->gather(mine)) all += each;
    EXPECT_EQ(all, n);
  }
}

}  // namespace
}  // namespace sluice
