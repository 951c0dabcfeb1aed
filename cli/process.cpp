#include "process.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <new>
#include <thread>

#include "sluice/base/file.hpp"

namespace sluice::cli {
namespace {

constexpr int failure = 1;

std::atomic<const char*> command_name{""};
static_assert(std::atomic<const char*>::is_always_lock_free,
              "a signal handler may only touch these");

/// A message that is put together without memory being allocated, as signal handlers must.
class Sentence {
 public:
  void add(const char* text, std::size_t most) {
    const std::size_t size = std::min({std::strlen(text), most, text_.size() - size_});
    for (std::size_t i = 0; i < size; ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      text_.at(size_++) = byte < ' ' || byte == 0x7f ? '?' : text[i];
    }
  }
  void say() {
    text_.at(std::min(size_++, text_.size() - 1)) = '\n';
    [[maybe_unused]] const ssize_t written =
        ::write(STDERR_FILENO, text_.data(), std::min(size_, text_.size()));
  }

 private:
  std::array<char, 480> text_{};
  std::size_t size_ = 0;
};

void lost(int /*signal*/, siginfo_t* info, void* /*context*/) {
  static std::atomic_flag told = ATOMIC_FLAG_INIT;
  if (!told.test_and_set()) {
    constexpr std::size_t most_of_name = 240;
    const char* const name = mapped_file_at(info->si_addr);
    Sentence sentence;
    sentence.add("sluice ", 16);
    sentence.add(command_name.load(), 16);
    sentence.add(": cannot read '", 16);
    sentence.add(name != nullptr ? name : "a file", most_of_name);
    sentence.add("': it became shorter while it was read, or its disk fails", 80);
    sentence.say();
  }
  ::_exit(failure);
}

/// An exception that nothing can catch: thrown where the C++ library, or a package, allows none.
[[noreturn]] void ended() {
  Sentence sentence;
  sentence.add("sluice ", 16);
  sentence.add(command_name.load(), 16);
  try {
    if (const auto thrown = std::current_exception()) std::rethrow_exception(thrown);
    sentence.add(": an internal error", 32);
  } catch (const std::bad_alloc&) {
    sentence.add(": there is not enough memory", 32);
  } catch (...) {
    sentence.add(": an internal error", 32);
  }
  sentence.say();
  ::_exit(failure);
}

/// The C library reserves 64 MB of address space, an arena, for each thread that allocates, up to
/// eight a core. They are never used whole, but `ulimit -v` counts them: of such a limit they may
/// have a quarter.
void limit_arenas() {
  constexpr rlim_t arena_bytes = rlim_t{64} << 20;
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  const rlim_t arenas = std::max<rlim_t>(limit.rlim_cur / 4 / arena_bytes, 1);
  if (arenas < 8 * rlim_t{std::max(std::thread::hardware_concurrency(), 1U)}) {
    ::mallopt(M_ARENA_MAX, static_cast<int>(arenas));
  }
}

}  // namespace

void prepare_process() {
  limit_arenas();
  std::set_terminate(ended);
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest that is free: this one.
    [[maybe_unused]] const int opened = ::open("/dev/null", O_RDWR);
  }
  std::signal(SIGXFSZ, SIG_IGN);
}

void tell_of_lost_files(const char* command) {
  command_name.store(command);
  struct sigaction action {};
  action.sa_sigaction = lost;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace sluice::cli
