#include "faults.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "sluice/base/file.hpp"
#include "support.hpp"

namespace sluice::faults {

namespace fs = std::filesystem;
using cli_test::Outcome;
using cli_test::run;

bool exhaustive() { return std::getenv("SLUICE_EXHAUSTIVE") != nullptr; }

const std::vector<std::string> of_files = {"open",  "read",     "write", "sync", "rename", "remove",
                                           "mkdir", "truncate", "lock",  "stat", "map",    "list"};
const std::vector<std::string> of_all = [] {
  std::vector<std::string> all = of_files;
  all.insert(all.end(), {"memory", "thread"});
  return all;
}();

void Faults::SetUp() {
  ScratchTest::SetUp();
  text_ = write("text.txt", cli_test::sample_text(1000));
  lines_ = write("lines.txt", "the cat sat on the mat .\na bird saw the sea .\n");
  whole_ = path("whole");
  ASSERT_EQ(run(training(whole_)).status, 0);
  begun_ = path("begun");
  ASSERT_EQ(run(training(begun_, "3")).status, 0);
  weights_ = read_file(whole_ + "/model.safetensors");
  fs::create_directory(path("work"));
  fs::create_directory(path("tmp"));
}

void Faults::clean() const {
  fs::remove_all(path("work"));
  fs::create_directory(path("work"));
}

void Faults::expect_same_weights(bool anew) const {
  const bool saved = fs::exists(out() + "/checkpoint.safetensors");
  ASSERT_TRUE(saved || anew) << "the last checkpoint is gone";
  const Outcome again =
      saved ? run({"train", "--resume", "--out", out(), "--steps", "6"}) : run(training(out()));
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(tensors_of(out() + "/model.safetensors"), tensors_of(whole_ + "/model.safetensors"));
}

Outcome Faults::act(const Case& test, const std::string& fault) const {
  const std::string root = test.root.empty() ? path("work") : test.root;
  const cli_test::ProcessOptions options{
      .environment = {"LD_PRELOAD=" SLUICE_FAULT_LAYER, "SLUICE_FAULT_ROOT=" + root,
                      "SLUICE_FAULT=" + fault, "SLUICE_FAULT_COUNTS=" + path("counts"),
                      "SLUICE_FAULT_PLACE=" + path("place"), "TMPDIR=" + path("tmp")}};
  return test.act ? test.act(options) : run(test.arguments, options);
}

std::map<std::string, long> Faults::count(const Case& test) const {
  test.prepare();
  const Outcome outcome = act(test, "none:0");
  EXPECT_EQ(outcome.status, 0) << test.name << ": " << outcome.err;
  std::map<std::string, long> counts;
  std::ifstream file(path("counts"));
  std::string kind;
  for (long n = 0; file >> kind >> n;) counts[kind] = n;
  return counts;
}

void Faults::judge(const Case& test, const std::string& kind, bool ever, const Outcome& ended) {
  // No exception's own text is told, however it was caught.
  for (const std::string& said : {ended.out, ended.err}) {
    EXPECT_EQ(said.find("std::"), std::string::npos) << said;
  }
  if (kind == "memory" && ended.status == 128 + SIGSEGV &&
      is_known_crash(read_file(path("place")))) {
    // What was saved before holds all the same.
    ++crashed_;
    test.check(ended);
    return;
  }
  ASSERT_TRUE(ended.status == 0 || ended.status == 1)
      << ended.status << ": " << ended.err << read_file(path("place"));
  if (ended.status == 1) {
    ++refused_;
    // Of threads that cannot be started, OpenMP's library says so itself.
    EXPECT_TRUE(is_sentence(ended.err) || kind == "thread") << ended.err;
  }
  for (const std::string& name : strays(path("work"))) {
    // What cannot be removed because removing fails is removed by the next run.
    EXPECT_TRUE(kind == "remove" || kind == "file" || kind == "memory" || ever) << name;
  }
  EXPECT_TRUE(fs::is_empty(path("tmp"))) << "something is left in the temporary directory";
  test.check(ended);
}

void Faults::inject(const Case& test, const std::vector<std::string>& kinds) {
  const std::map<std::string, long> counts = count(test);
  for (const std::string& kind : kinds) {
    const long all = counts.contains(kind) ? counts.at(kind) : 0;
    const long most = kind == "memory" ? 3 * test.most : test.most;
    for (const long n : chosen(all, exhaustive() ? 0 : most, kind)) {
      for (const char* ever : {"", "+"}) {
        if (*ever != '\0' && !exhaustive() && n % 3 != 0) continue;
        test.prepare();
        const std::string fault = kind + ":" + std::to_string(n) + ever;
        SCOPED_TRACE(test.name + ", " + fault);
        write_file(path("place"), "");
        ++injected_;
        judge(test, kind, *ever != '\0', act(test, fault));
        if (HasFatalFailure()) return;
      }
    }
  }
  RecordProperty(test.name + "_injected", static_cast<int>(injected_));
  std::printf("[          ] %s: %ld faults, %ld refused, %ld known crashes\n", test.name.c_str(),
              injected_, refused_, crashed_);
}

}  // namespace sluice::faults
