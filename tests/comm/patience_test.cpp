#include "sluice/comm/detail/patience.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using Answer = SpeakingTurn::Answer;

/// What others take to hear that the first process ends the job, and what it takes to end.
constexpr milliseconds to_hear = 100ms, to_end = 300ms;

/// A process that lives, and finds something to complain of.
struct Process {
  int rank = 0;
  milliseconds finds{0};
  /// It gets no time to run from then on, for so long.
  milliseconds stalls{0}, for_long{0};

  bool runs(milliseconds now) const { return now < stalls || now >= stalls + for_long; }
};

/// Who spoke, and when.
using Spoken = std::vector<std::pair<int, milliseconds>>;

/// The processes of a job, each of which looks as often as it should, by a clock that is a number.
Spoken spoken(const std::vector<Process>& processes, bool of_another, bool stopping = false) {
  const SpeakingTurn::Time start{};
  struct Course {
    Process process;
    std::optional<SpeakingTurn> turn;
    milliseconds next;
    bool done = false;
  };
  std::vector<Course> all;
  for (const Process& process : processes) all.push_back({process, {}, process.finds});
  Spoken result;
  std::optional<milliseconds> heard, ended;
  for (milliseconds now{0}; now < 60s && !(ended && now >= *ended); now += 10ms) {
    for (Course& one : all) {
      if (one.done || now < one.next || !one.process.runs(now)) continue;
      const int rank = one.process.rank;
      if (!one.turn) one.turn.emplace(rank, of_another, start + now);
      const Answer answer = one.turn->look(
          start + now, {.first_failed = heard && now >= *heard, .stopping = stopping});
      one.next = now + SpeakingTurn::between_looks;
      one.done = answer != Answer::wait;
      if (answer != Answer::speak) continue;
      result.emplace_back(rank, now);
      if (rank == 0 && !heard) heard = now + to_hear;
      if (!ended) ended = now + to_end;
    }
  }
  return result;
}

std::vector<Process> living(const std::vector<int>& ranks) {
  std::vector<Process> processes;
  for (const int rank : ranks) processes.push_back({.rank = rank});
  return processes;
}

// All miss another process.
TEST(SpeakingTurn, TheFirstThatCanSpeaksAlone) {
  const std::vector<std::pair<std::vector<int>, Spoken>> jobs = {
      {{0, 1, 2, 3}, {{0, 0ms}}},
      {{3, 2, 1, 0}, {{0, 0ms}}},
      {{0, 2}, {{0, 0ms}}},
      {{1, 2, 3}, {{1, 1500ms}}},
      {{3, 2, 1}, {{1, 1500ms}}},
      {{2, 3, 12}, {{2, 3000ms}}},
      {{7, 8}, {{7, 10500ms}}},
      {{12}, {{12, 16500ms}}},
      {{4000}, {{4000, 16500ms}}},  // nobody waits for thousands
      {{}, {}},
  };
  for (const auto& [ranks, expected] : jobs) {
    EXPECT_EQ(spoken(living(ranks), true), expected) << testing::PrintToString(ranks);
  }
}

TEST(SpeakingTurn, WhoFindsItLaterStillComesBeforeTheNext) {
  EXPECT_EQ(spoken({{.rank = 1, .finds = 1000ms}, {.rank = 2}}, true), (Spoken{{1, 2500ms}}));
  EXPECT_EQ(spoken({{.rank = 1}, {.rank = 2, .finds = 1000ms}}, true), (Spoken{{1, 1500ms}}));
}

// Something of their own, as a file that all cannot read, or one of them.
TEST(SpeakingTurn, TheFirstSpeaksForThoseWithTheSameComplaint) {
  EXPECT_EQ(spoken(living({0, 1, 2, 3}), false), (Spoken{{0, 0ms}}));
  EXPECT_EQ(spoken({{.rank = 0, .finds = 1000ms}, {.rank = 1}, {.rank = 5}}, false),
            (Spoken{{0, 1000ms}}));
  for (const int rank : {1, 2, 30}) {
    EXPECT_EQ(spoken(living({rank}), false), (Spoken{{rank, 1500ms}}));
  }
}

// It has not heard that another spoke meanwhile.
TEST(SpeakingTurn, WhoGotNoTimeToRunDoesNotSpeakOnWaking) {
  EXPECT_EQ(spoken({{.rank = 1, .stalls = 100ms, .for_long = 5000ms}, {.rank = 2}}, true),
            (Spoken{{2, 3000ms}}));
  const SpeakingTurn::Time start{};
  SpeakingTurn turn(1, true, start);
  EXPECT_EQ(turn.look(start, {}), Answer::wait);
  EXPECT_EQ(turn.look(start + 1h, {}), Answer::wait);
  EXPECT_EQ(turn.look(start + 1h + 50ms, {.first_failed = true}), Answer::silent);
}

TEST(SpeakingTurn, LooksThatComeLateOrEarlyDelayItAtMost) {
  for (const auto& [apart, looks] :
       std::map<milliseconds, int>{{50ms, 30}, {70ms, 30}, {10ms, 150}}) {
    SpeakingTurn::Time now{};
    SpeakingTurn turn(1, true, now);
    for (int i = 1; i < looks; ++i) {
      now += apart;
      ASSERT_EQ(turn.look(now, {}), Answer::wait) << i;
    }
    EXPECT_EQ(turn.look(now + apart, {}), Answer::speak);
  }
}

TEST(SpeakingTurn, WhoIsToldToStopLeavesItToTheFirst) {
  EXPECT_EQ(spoken(living({0, 1, 2}), true, true), (Spoken{{0, 0ms}}));
  EXPECT_EQ(spoken(living({1, 2}), true, true), Spoken{});
}

// Processes tell how many exchanges they have begun; three of them here.
TEST(Straggler, IsWhoHasBegunNothingWhileOthersWait) {
  const Straggler::Time start{};
  Straggler all(3);
  const auto at = [&](int seconds, std::vector<std::int64_t> begun) {
    for (int rank = 0; rank < 3; ++rank) all.saw(rank, begun[static_cast<std::size_t>(rank)]);
    return all.look(start + std::chrono::seconds(seconds), 60).value_or(-1);
  };
  EXPECT_EQ(at(0, {5, 5, 5}), -1);
  // All are busy, however long it takes.
  EXPECT_EQ(at(1000, {5, 5, 5}), -1);
  EXPECT_EQ(at(1001, {6, 5, 6}), -1);
  EXPECT_EQ(at(1060, {6, 5, 6}), -1);
  EXPECT_EQ(at(1061, {6, 5, 6}), 1);
  EXPECT_EQ(at(2000, {6, 5, 6}), -1) << "once";
  // It goes on, and is slow again.
  EXPECT_EQ(at(2001, {6, 6, 6}), -1);
  EXPECT_EQ(at(2500, {7, 6, 7}), -1);
  EXPECT_EQ(at(2560, {7, 6, 7}), 1);
  // The one that hears the others may be it; the furthest behind counts.
  EXPECT_EQ(at(2561, {7, 9, 8}), -1);
  EXPECT_EQ(at(2621, {7, 9, 8}), 0);
}

TEST(Straggler, TheTimeBeforeOthersWaitedDoesNotCount) {
  const Straggler::Time start{};
  Straggler both(2);
  both.saw(0, 1);
  EXPECT_FALSE(both.look(start, 10));
  both.saw(1, 1);
  EXPECT_FALSE(both.look(start + 9s, 10));
  both.saw(0, 2);
  EXPECT_FALSE(both.look(start + 19s, 10));
  EXPECT_FALSE(both.look(start + 28s, 10));
  EXPECT_EQ(both.look(start + 29s, 10), 1);
}

TEST(TimeoutWhenStopping, IsAQuarterWithinBounds) {
  const std::vector<std::pair<double, double>> rows = {{0.5, 0.5}, {2, 2},   {5, 5},   {12, 5},
                                                       {20, 5},    {24, 6},  {60, 15}, {120, 30},
                                                       {300, 30},  {1e6, 30}};
  for (const auto& [timeout, expected] : rows) {
    EXPECT_EQ(timeout_when_stopping(timeout), expected) << timeout;
  }
}

}  // namespace
}  // namespace sluice
