#include "ranks.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <thread>

#include "sluice/base/error.hpp"
#include "stop_signals.hpp"

namespace sluice::cli {
namespace {

/// How long another process than the first waits before it complains: until then the first one
/// has, if all have the same to complain of.
constexpr std::chrono::milliseconds after_the_first{1500};
constexpr std::chrono::milliseconds look{50};
/// 128 + the number of the signal that asked all to stop.
constexpr int least_signal_status = 129;

std::unique_ptr<Communicator>& joined() {
  static std::unique_ptr<Communicator> communicator;
  return communicator;
}

}  // namespace

void check_command_for_ranks(std::string_view command) {
  constexpr std::array shared = {std::string_view("train"), std::string_view("compare"),
                                 std::string_view("claims")};
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

std::optional<std::string> complainer() {
  if (speaks()) return "";
  if (!joined()) return std::nullopt;
  for (auto waited = after_the_first.zero(); waited < after_the_first; waited += look) {
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

int leave_ranks(int status) {
  if (!joined() || joined()->alone()) return status;
  if (status == 0 || status >= least_signal_status) {
    joined()->close();
  } else {
    joined()->abort(status);
  }
  return status;
}

}  // namespace sluice::cli
