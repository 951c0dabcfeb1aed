#include "sluice/base/parallel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

using Range = std::pair<std::int64_t, std::int64_t>;

/// Restores the number of threads.
class ParallelTest : public testing::Test {
 protected:
  ~ParallelTest() override { set_thread_count(before_); }
  const int before_ = thread_count();
};

std::set<Range> ranges_of(std::int64_t n, std::int64_t grain) {
  std::mutex mutex;
  std::set<Range> ranges;
  parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
    const std::lock_guard<std::mutex> guard(mutex);
    ranges.emplace(begin, end);
  });
  return ranges;
}

TEST_F(ParallelTest, ThreadCountIsAsBeforeWhenItsScopeEnds) {
  set_thread_count(3);
  {
    const ThreadCount five(5);
    EXPECT_EQ(thread_count(), 5);
    const ThreadCount one(1);
    EXPECT_EQ(thread_count(), 1);
  }
  EXPECT_EQ(thread_count(), 3);
  EXPECT_THROW(ThreadCount(0), UsageError);
  EXPECT_EQ(thread_count(), 3);
}

TEST_F(ParallelTest, RangesCoverOnceAndBeginAtMultiplesOfTheGrain) {
  for (const int threads : {1, 2, 3, 7}) {
    set_thread_count(threads);
    EXPECT_EQ(thread_count(), threads);
    for (const std::int64_t n : {1, 2, 3, 10, 64, 1000}) {
      for (const std::int64_t grain : {1, 3, 64, 2000}) {
        const std::set<Range> ranges = ranges_of(n, grain);
        EXPECT_LE(ranges.size(), static_cast<std::size_t>(threads));
        std::int64_t next = 0;
        for (const auto& [begin, end] : ranges) {
          EXPECT_EQ(begin, next);
          EXPECT_LT(begin, end);
          EXPECT_EQ(begin % grain, 0);
          next = end;
        }
        EXPECT_EQ(next, n);
        EXPECT_EQ(ranges, ranges_of(n, grain));
      }
    }
  }
}

TEST_F(ParallelTest, NothingToDoCallsNothing) {
  EXPECT_TRUE(ranges_of(0, 1).empty());
  EXPECT_TRUE(ranges_of(-5, 1).empty());
}

TEST_F(ParallelTest, UsesSeveralThreads) {
  set_thread_count(2);
  std::mutex mutex;
  std::set<std::thread::id> ids;
  parallel_for(2, 1, [&](std::int64_t, std::int64_t) {
    const std::lock_guard<std::mutex> guard(mutex);
    ids.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(ids.size(), 2U);
}

TEST_F(ParallelTest, NestedCallsStayOnTheirThread) {
  set_thread_count(4);
  std::atomic<int> calls{0};
  std::atomic<int> strays{0};
  parallel_for(4, 1, [&](std::int64_t, std::int64_t) {
    const std::thread::id outer = std::this_thread::get_id();
    parallel_for(100, 1, [&](std::int64_t begin, std::int64_t end) {
      ++calls;
      if (std::this_thread::get_id() != outer || begin != 0 || end != 100) ++strays;
    });
  });
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(strays, 0);
  EXPECT_EQ(ranges_of(4, 1).size(), 4U) << "threads must be back after a nested call";
}

TEST_F(ParallelTest, TheExceptionOfTheFirstRangeReachesTheCaller) {
  set_thread_count(4);
  for (int repeat = 0; repeat < 20; ++repeat) {
    try {
      parallel_for(4, 1, [](std::int64_t begin, std::int64_t) {
        if (begin > 0) throw std::runtime_error(std::to_string(begin));
      });
      FAIL() << "no exception";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "1");
    }
  }
  EXPECT_EQ(ranges_of(4, 1).size(), 4U);
}

TEST_F(ParallelTest, RefusesFewerThanOneThread) {
  EXPECT_THROW(set_thread_count(0), UsageError);
  EXPECT_GE(thread_count(), 1);
}

}  // namespace
}  // namespace sluice
