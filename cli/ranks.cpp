#include "ranks.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <thread>

#include "options.hpp"
#include "output.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/version.hpp"
#include "sluice/comm/detail/patience.hpp"
#include "sluice/comm/rank_work.hpp"
#include "stop_signals.hpp"

namespace sluice::cli {
namespace {

/// Bytes of standard input that travel at a time.
constexpr std::size_t input_piece = std::size_t{1} << 22;

/// As many bytes as there are, `size` at most; -1, with errno, when reading fails.
ssize_t read_whole(int descriptor, char* to, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(descriptor, to + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return got;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return static_cast<ssize_t>(done);
}

std::unique_ptr<Communicator>& joined() {
  static std::unique_ptr<Communicator> communicator;
  return communicator;
}

/// A log of this process, where one was asked for and it is not the one that speaks anyway.
void begin_log() {
  const char* const directory = std::getenv(logs_variable);
  const Communicator& all = *joined();
  if (directory == nullptr || *directory == '\0' || all.leads()) return;
  keep_log(std::filesystem::path(directory) / fmt::format("rank-{}.log", all.rank()));
  add_to_log(fmt::format("sluice {}: {} of {}, process {}\n", library_version(),
                         all.title(all.rank()), all.size(), getpid()));
}

}  // namespace

void check_command_for_ranks(std::string_view command) {
  constexpr std::array<std::string_view, 7> shared = {"train", "compare", "claims", "eval",
                                                      "score", "rescore", "inspect"};
  if (command.empty() || !Communicator::launched() ||
      std::find(shared.begin(), shared.end(), command) != shared.end()) {
    return;
  }
  throw UsageError("the command runs in one process: start it without mpirun or srun");
}

Communicator& ranks(const Communicator::Options& options) {
  if (!joined()) {
    joined() =
        Communicator::launched() ? Communicator::open(options) : std::make_unique<Communicator>();
    begin_log();
    Facts facts = {{"version", std::string(library_version())}};
    for (auto& flag : given_flags()) facts.push_back(std::move(flag));
    joined()->check_same(facts);
  }
  return *joined();
}

bool has_voice() { return speaks() || keeps_log(); }

bool speaks() {
  try {
    return Communicator::launched_rank() == 0;
  } catch (const Error&) {
    return true;  // of the environment itself, which no process can be told from others by
  }
}

std::optional<std::string> complainer(bool of_another) {
  // Who was stopped and finds the others gone was given up by them.
  if (of_another && joined() && joined()->was_missed()) return std::nullopt;
  // Of another the sentence itself says which; of itself it must, where there are others.
  const bool several = joined() && !joined()->alone();
  if (speaks()) return several && !of_another ? joined()->title(0) + ": " : "";
  if (!joined()) return std::nullopt;
  const auto now = [] { return std::chrono::steady_clock::now(); };
  SpeakingTurn turn(joined()->rank(), of_another, now());
  const auto look = [&] {
    return turn.look(now(), {.first_failed = joined()->first_failed(),
                             .stopping = StopSignals::received() != 0});
  };
  SpeakingTurn::Answer answer = look();
  for (; answer == SpeakingTurn::Answer::wait; answer = look()) {
    std::this_thread::sleep_for(SpeakingTurn::between_looks);
  }
  if (answer == SpeakingTurn::Answer::silent) return std::nullopt;
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

void share_standard_input(bool is_read) {
  if (ranks().alone() || !is_read) return;
  ScratchFile copy;
  std::string piece(speaks() ? input_piece : 0, '\0');
  while (true) {
    if (speaks()) {
      const ssize_t got = read_whole(STDIN_FILENO, piece.data(), piece.size());
      if (got < 0) {
        throw Error(fmt::format("cannot read 'standard input': {}",
                                std::generic_category().message(errno)));
      }
      piece.resize(static_cast<std::size_t>(got));
    }
    const std::string shared = ranks().broadcast(piece);
    if (shared.empty()) break;
    copy.write(shared);
  }
  const int file = ::open(copy.path().c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 || ::dup2(file, STDIN_FILENO) < 0) {
    throw Error(fmt::format("cannot read what the first process had in standard input: {}",
                            std::generic_category().message(errno)));
  }
  ::close(file);
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
