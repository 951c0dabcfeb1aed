#include "sluice/base/profile.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/parallel.hpp"

namespace sluice {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

/// Sleeping takes at least as long as asked and, on a busy machine, longer: sums and lower bounds
/// are what tests can rely on.
void pass(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

std::map<std::string, ProfileEntry> by_name() {
  std::map<std::string, ProfileEntry> out;
  for (const ProfileEntry& entry : profile_entries()) {
    EXPECT_FALSE(out.contains(entry.name)) << entry.name << " twice";
    out[entry.name] = entry;
  }
  return out;
}

double total_seconds() {
  double total = 0;
  for (const ProfileEntry& entry : profile_entries()) total += entry.seconds;
  return total;
}

class ProfileTest : public testing::Test {
 protected:
  ProfileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-profile-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = name;
  }
  ~ProfileTest() override {
    stop_trace();
    stop_profile();
    set_thread_count(before_);
    std::filesystem::remove_all(directory_);
  }
  std::vector<json> trace() const {
    const std::filesystem::path file = directory_ / "trace.json";
    write_chrome_trace(file);
    const json trace = json::parse(read_file(file));
    std::vector<json> events;
    for (const json& event : trace.at("traceEvents")) {
      if (event.at("ph") == "X") events.push_back(event);
    }
    return events;
  }
  std::filesystem::path directory_;
  const int before_ = thread_count();
};

TEST_F(ProfileTest, AThreadBesideCountsByItself) {
  start_profile();
  start_trace();
  {
    const ProfileScope step("step");
    std::thread other([] {
      const ProfileScope unseen("unseen");
      const ProfileScope outer(ProfileScope::Beside(), "outer");
      const ProfileScope inner(ProfileScope::Beside(), "inner");
      pass(30);
    });
    other.join();
  }
  stop_profile();
  stop_trace();
  const auto entries = by_name();
  EXPECT_EQ(entries.size(), 3U);
  EXPECT_TRUE(entries.at("inner").beside);
  EXPECT_TRUE(entries.at("outer").beside);
  EXPECT_FALSE(entries.at("step").beside);
  EXPECT_GE(entries.at("inner").seconds, 0.03);
  EXPECT_LE(entries.at("outer").seconds + entries.at("inner").seconds, entries.at("step").seconds);
  EXPECT_GE(entries.at("step").seconds, 0.03) << "what is beside takes nothing of it";
  for (const json& event : trace()) {
    EXPECT_EQ(event.at("tid"), event.at("name") == "step" ? 0 : 1000) << event;
  }
}

TEST_F(ProfileTest, CountsSelfTimeCallsAndWork) {
  start_profile();
  const auto start = Clock::now();
  {
    const ProfileScope outer("outer", 100, 10);
    pass(20);
    for (int i = 0; i < 3; ++i) {
      const ProfileScope inner("inner", 7, 5);
      pass(10);
      const ProfileScope same("inner");
      pass(10);
    }
  }
  const double wall = std::chrono::duration<double>(Clock::now() - start).count();
  stop_profile();
  const auto entries = by_name();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries.at("outer").calls, 1U);
  EXPECT_EQ(entries.at("inner").calls, 6U);
  EXPECT_EQ(entries.at("outer").flops, 100);
  EXPECT_EQ(entries.at("outer").bytes, 10);
  EXPECT_EQ(entries.at("inner").flops, 21);
  EXPECT_EQ(entries.at("inner").bytes, 15);
  EXPECT_GE(entries.at("outer").seconds, 0.020);
  EXPECT_GE(entries.at("inner").seconds, 0.060);
  // The self times make up the outermost scope, so they are no longer than the time around it.
  EXPECT_LE(total_seconds(), wall);
  EXPECT_GE(total_seconds(), 0.080);
}

TEST_F(ProfileTest, NothingIsGatheredUnlessAsked) {
  start_profile();
  stop_profile();
  { const ProfileScope off("off"); }
  EXPECT_TRUE(profile_entries().empty());

  start_profile();
  { const ProfileScope on("first"); }
  stop_profile();
  { const ProfileScope off("off"); }
  resume_profile();
  { const ProfileScope on("second"); }
  stop_profile();
  const auto both = by_name();
  EXPECT_EQ(both.size(), 2U);
  EXPECT_TRUE(both.contains("first") && both.contains("second"));

  start_profile();
  EXPECT_TRUE(profile_entries().empty()) << "start_profile forgets";
}

TEST_F(ProfileTest, AScopeOfAnEarlierProfileIsForgotten) {
  start_profile();
  {
    const ProfileScope early("early");
    start_profile();
    const ProfileScope late("late");
  }
  EXPECT_FALSE(by_name().contains("early"));
  EXPECT_TRUE(by_name().contains("late"));
}

TEST_F(ProfileTest, OtherThreadsCountOnlyInsideAParallelFor) {
  start_profile();
  std::thread([] { const ProfileScope stray("stray"); }).join();
  EXPECT_TRUE(profile_entries().empty());
  std::thread([] {
    set_thread_count(2);
    parallel_for(2, 1, [](std::int64_t, std::int64_t) { const ProfileScope stray("stray"); });
  }).join();
  EXPECT_TRUE(profile_entries().empty());
}

TEST_F(ProfileTest, AddsUpTheWorkOfAllThreads) {
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    start_profile();
    for (int repeat = 0; repeat < 10; ++repeat) {
      const ProfileScope outer("outer");
      parallel_for(12, 1, [](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const ProfileScope inner("inner", 2, 3);
          const ProfileScope deeper("deeper", static_cast<double>(i));
        }
      });
    }
    stop_profile();
    const auto entries = by_name();
    EXPECT_EQ(entries.at("outer").calls, 10U) << threads;
    EXPECT_EQ(entries.at("inner").calls, 120U) << threads;
    EXPECT_EQ(entries.at("inner").flops, 240) << threads;
    EXPECT_EQ(entries.at("inner").bytes, 360) << threads;
    EXPECT_EQ(entries.at("deeper").flops, 10 * 66) << threads;
  }
}

// Two threads that spend 40 and 80 ms in a scope count as 60 ms there; the scope around them is
// charged for what it did itself and for the waiting, 20 ms more.
TEST_F(ProfileTest, TimeOnManyThreadsCountsAsWallTime) {
  set_thread_count(2);
  start_profile();
  const auto start = Clock::now();
  {
    const ProfileScope outer("outer");
    pass(10);
    parallel_for(2, 1, [](std::int64_t begin, std::int64_t) {
      const ProfileScope inner("inner");
      pass(begin == 0 ? 40 : 80);
    });
  }
  const double wall = std::chrono::duration<double>(Clock::now() - start).count();
  stop_profile();
  const auto entries = by_name();
  EXPECT_GE(entries.at("inner").seconds, 0.060);
  EXPECT_GE(entries.at("outer").seconds, 0.010);
  EXPECT_LE(total_seconds(), wall);
  EXPECT_GE(total_seconds(), 0.090 - 1e-6);
}

TEST_F(ProfileTest, ScopesInsideANestedParallelForStayWithTheirThread) {
  set_thread_count(2);
  start_profile();
  const auto start = Clock::now();
  {
    const ProfileScope outer("outer");
    parallel_for(2, 1, [](std::int64_t, std::int64_t) {
      const ProfileScope middle("middle");
      parallel_for(100, 1, [](std::int64_t, std::int64_t) {
        const ProfileScope inner("inner");
        pass(10);
      });
    });
  }
  const double wall = std::chrono::duration<double>(Clock::now() - start).count();
  stop_profile();
  const auto entries = by_name();
  EXPECT_EQ(entries.at("inner").calls, 2U);
  EXPECT_GE(entries.at("inner").seconds, 0.010);
  EXPECT_LE(total_seconds(), wall) << "time in the inner scope counts in the middle one too";
}

TEST_F(ProfileTest, TheTraceIsJsonWithNestedEvents) {
  set_thread_count(2);
  start_profile();
  { const ProfileScope before("before"); }
  start_trace();
  {
    const ProfileScope outer("outer \"quoted\" \\ name\n", 3e12, 17);
    { const ProfileScope inner("inner"); }
    parallel_for(2, 1, [](std::int64_t, std::int64_t) {
      const ProfileScope range("range", 1);
      pass(1);
    });
  }
  stop_trace();
  { const ProfileScope after("after"); }
  stop_profile();

  const std::vector<json> events = trace();
  ASSERT_EQ(events.size(), 4U);
  const json& outer = events[0];
  EXPECT_EQ(outer.at("name"), "outer \"quoted\" \\ name\n");
  EXPECT_EQ(outer.at("ts"), 0);
  EXPECT_EQ(outer.at("args"), (json{{"flops", 3'000'000'000'000}, {"bytes", 17}}));
  std::map<std::string, std::vector<int>> threads;
  for (const json& event : events) {
    threads[event.at("name")].push_back(event.at("tid"));
    EXPECT_GE(event.at("ts"), outer.at("ts"));
    // Nanoseconds, so that sums of decimal fractions compare exactly.
    const auto ns = [&](const json& e, const char* field) {
      return std::llround(e.at(field).get<double>() * 1000);
    };
    EXPECT_LE(ns(event, "ts") + ns(event, "dur"), ns(outer, "ts") + ns(outer, "dur"));
  }
  EXPECT_EQ(threads["inner"], std::vector<int>{0});
  EXPECT_EQ(threads["range"], (std::vector<int>{0, 1}));
  EXPECT_EQ(events[1].at("name"), "inner");
  EXPECT_TRUE(events[1].at("args").empty());

  // Without events it is a trace all the same, and a new profile forgets them.
  start_profile();
  stop_profile();
  EXPECT_TRUE(trace().empty());
  EXPECT_THROW(write_chrome_trace(directory_ / "missing" / "trace.json"), Error);
}

}  // namespace
}  // namespace sluice
