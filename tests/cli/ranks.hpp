#pragma once
// Several processes of the program under a real mpirun.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.hpp"

namespace sluice::cli_test {

/// Steps that no test waits for: hours of them.
inline constexpr const char* endless_steps = "100000000";

/// Tests of it are skipped where MPI is missing, unless SLUICE_REQUIRE_MPI is set.
class Ranks : public ScratchTest {
 protected:
  void SetUp() override;

  /// `grace` is what mpirun leaves processes, in seconds, between asking them to end and killing
  /// them.
  static ProcessOptions options(int grace = 2);
  /// What has mpirun run `command` in so many processes.
  static std::vector<std::string> on(int ranks, const std::vector<std::string>& command);
  /// What has it run a command in the first of two processes and another in the second.
  static std::vector<std::string> beside(const std::vector<std::string>& first,
                                         const std::vector<std::string>& second);
  static Outcome run_on(int ranks, const std::vector<std::string>& command);
  /// A run of six micro-batches a step.
  std::vector<std::string> six(const std::string& out, const std::vector<std::string>& more) const;
  /// Waits until the job that writes to "out" has begun to train.
  void await_training(Process& job) const;
  /// Sends a signal to the process of that rank that writes to "out"; how many there were.
  int signal_rank(int rank, int number) const;
  /// The step that the checkpoint of a run is of.
  std::int64_t saved_step(const std::string& out) const;
  /// What the runs left behind, times apart.
  void expect_same(const std::string& a, const std::string& b) const;
  std::vector<nlohmann::json> lines_of(const std::string& out) const;
  /// Trains as the flags say, in one process to "one"+name and in 2 and 3, which must make the
  /// same; returns what these said.
  std::vector<Outcome> train_on_any_number(const std::string& name,
                                           const std::vector<std::string>& flags) const;

  std::string text_;
};

/// What a command wrote; its exit status is `status`.
std::string written(const Outcome& outcome, int status);

}  // namespace sluice::cli_test
