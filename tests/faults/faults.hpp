#pragma once
// Runs commands with one fault after another, each counted by the preloaded layer.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cli/program.hpp"

namespace sluice::faults {

/// Every fault when the tests are the slow ones, a few of each kind else.
bool exhaustive();

/// Kinds of faults: of what is asked of files, and all.
extern const std::vector<std::string> of_files, of_all;

/// A command, what must be there before it, and what must hold once it has ended.
struct Case {
  std::string name;
  std::vector<std::string> arguments;
  /// Makes the scratch directory as the command finds it.
  std::function<void()> prepare;
  /// Called after a fault: `ended` is how the command with it did.
  std::function<void(const cli_test::Outcome& ended)> check;
  /// The only files whose operations fail: those whose path begins with it; all of work/ when
  /// empty.
  std::string root = {};
  /// Of each kind, how many faults are tried unless all are (all with 0); of allocations, three
  /// times as many.
  long most = 2;
  /// Instead of running the command: what takes more, a server, say.
  std::function<cli_test::Outcome(const cli_test::ProcessOptions&)> act = {};
};

class Faults : public cli_test::ScratchTest {
 protected:
  void SetUp() override;

  std::vector<std::string> training(const std::string& out, const std::string& steps = "6") const {
    return cli_test::tiny_training(text_, out,
                                   {"--steps", steps, "--validate-every", "2", "--checkpoint-every",
                                    "1", "--log-every", "1", "--schedule", "constant"});
  }
  std::string out() const { return path("work/out"); }
  void clean() const;

  /// The run in out() goes on, or is begun anew, to the weights of the run without a fault.
  void expect_same_weights(bool anew) const;

  /// Runs the case with one fault after another.
  void inject(const Case& test, const std::vector<std::string>& kinds);

  std::string text_, lines_, whole_, begun_, weights_;

 private:
  /// How many operations of each kind the case has without a fault.
  std::map<std::string, long> count(const Case& test) const;
  cli_test::Outcome act(const Case& test, const std::string& fault) const;
  void judge(const Case& test, const std::string& kind, bool ever, const cli_test::Outcome& ended);

  long injected_ = 0, refused_ = 0, crashed_ = 0;
};

}  // namespace sluice::faults
