#pragma once
// Running the program in a process of its own, and a scratch directory for it.

#include <gtest/gtest.h>
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace sluice::cli_test {

/// How a process ended and what it wrote. A signal that ended it counts as 128 + its number.
struct Outcome {
  int status = -1;
  std::string out;
  std::string err;
};

struct ProcessOptions {
  std::string input = {};
  /// Where standard output goes instead of Outcome::out.
  std::string output_file = {};
  /// Where standard error goes instead of Outcome::err.
  std::string error_file = {};
  /// Descriptors that the process finds closed.
  std::vector<int> closed = {};
  /// Further environment, "NAME=value".
  std::vector<std::string> environment = {};
  /// Whether a file that grows too large ends the process, as the system has it by default.
  bool large_files_kill = false;
  /// Largest file the process may write, in bytes: what comes after fails as on a full disk. 0:
  /// any.
  std::size_t largest_file = 0;
  /// Address space the process may use, in bytes (`ulimit -v`); 0: any.
  std::size_t address_space = 0;
  /// Run without root's right to read everything.
  bool as_nobody = false;
  /// Empty: the program that is built for users.
  std::string program = {};
};

/// A process that runs until it ends or is killed.
class Process {
 public:
  Process(const std::vector<std::string>& arguments, const ProcessOptions& options = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  void signal(int number) const;
  Outcome wait();
  /// Whether it has ended by itself within `milliseconds`.
  bool ended_within(int milliseconds);
  /// Whether it ends by itself, and does not hang.
  bool ends();
  /// Whether it has a handler for the signal yet.
  bool catches(int number) const;
  /// Its threads that do not block the signal: those that it may reach.
  std::vector<pid_t> reached_by(int number) const;
  pid_t id() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
  std::filesystem::path scratch_;
};

Outcome run(const std::vector<std::string>& arguments, const ProcessOptions& options = {});

/// Interrupts a `compare` or `claims run` into `out` while its first run trains. It says that the
/// same command continues, and the run has a checkpoint to go on from.
void interrupt_first_run(const std::vector<std::string>& arguments, const std::string& out);

/// `err` is one line, starts with "sluice COMMAND: " and contains `part`.
::testing::AssertionResult complains(const Outcome& outcome, int status, const std::string& command,
                                     const std::string& part);

/// A directory that is emptied before and removed after each test.
class ScratchTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;
  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) const;
  std::filesystem::path directory_;
};

/// `lines` lines of a small invented language.
std::string sample_text(int lines);

/// Arguments of a training run of a few milliseconds per step, to which others are added.
std::vector<std::string> tiny_training(const std::string& data, const std::string& out,
                                       const std::vector<std::string>& more = {});

}  // namespace sluice::cli_test
