#include "ranks.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <thread>

#include "options.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/comm/rank_work.hpp"
#include "stop_signals.hpp"

namespace sluice::cli {
namespace {

/// How long another process than the first waits before it complains: until then the first one
/// has, if all have the same to complain of.
constexpr std::chrono::milliseconds after_the_first{1500};
constexpr std::chrono::milliseconds look{50};
/// When the first one cannot speak, the next does, and ends the others before they would.
constexpr std::chrono::milliseconds after_the_one_before{1500};
constexpr int most_turns = 10;

std::unique_ptr<Communicator>& joined() {
  static std::unique_ptr<Communicator> communicator;
  return communicator;
}

}  // namespace

void check_command_for_ranks(std::string_view command) {
  constexpr std::array<std::string_view, 7> shared = {"train", "compare", "claims", "eval",
                                                      "score", "rescore", "inspect"};
  if (!Communicator::launched() || command.empty() ||
      std::find(shared.begin(), shared.end(), command) != shared.end()) {
    return;
  }
  throw UsageError("the command runs in one process: start it without mpirun or srun");
}

Communicator& ranks(const Communicator::Options& options) {
  if (!joined()) {
    joined() =
        Communicator::launched() ? Communicator::open(options) : std::make_unique<Communicator>();
  }
  return *joined();
}

bool speaks() { return Communicator::launched_rank() == 0; }

std::optional<std::string> complainer(bool of_another) {
  // Who was stopped and finds the others gone was given up by them.
  if (of_another && joined() && joined()->was_missed()) return std::nullopt;
  if (speaks()) return "";
  if (!joined()) return std::nullopt;
  const int turn = of_another ? std::min(joined()->rank() - 1, most_turns) : 0;
  const auto patience = after_the_first + after_the_one_before * turn;
  for (auto waited = patience.zero(); waited < patience; waited += look) {
    if (joined()->first_failed()) return std::nullopt;
    std::this_thread::sleep_for(look);
  }
  // Who is told to stop and cannot is not the one that failed.
  if (StopSignals::received() != 0) return std::nullopt;
  return joined()->title(joined()->rank()) + ": ";
}

std::int64_t jobs_of_process(std::int64_t threads) {
  if (ranks().alone()) return 0;
  const std::int64_t cores = std::max<std::int64_t>(sysconf(_SC_NPROCESSORS_ONLN), 1);
  return std::max<std::int64_t>(1,
                                cores / std::max<std::int64_t>(threads, 1) / ranks().local_size());
}

int threads_of_process() {
  // A launcher binds processes to cores of their own, to some that they share, or not at all.
  const auto cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  return std::clamp(cores / ranks().local_size(), 1, thread_count());
}

void check_input_of_ranks(bool standard_input) {
  if (ranks().alone() || !standard_input) return;
  throw UsageError("standard input reaches one process alone: give the text as a file");
}

void divide_cores() {
  if (!ranks().alone() && !threads_given()) set_thread_count(threads_of_process());
}

PieceWork& shared_work() {
  static const std::unique_ptr<PieceWork> work = []() -> std::unique_ptr<PieceWork> {
    if (ranks().alone()) return std::make_unique<OwnWork>();
    return std::make_unique<RankWork>(ranks());
  }();
  return *work;
}

int leave_ranks(int status) {
  if (joined() && !joined()->alone()) joined()->close();
  return status;
}

int fail_ranks(int status) {
  if (joined() && !joined()->alone()) joined()->abort(status);
  return status;
}

}  // namespace sluice::cli
