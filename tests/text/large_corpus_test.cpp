// A text that does not fit into the address space is tokenised and read.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "sluice/base/parallel.hpp"
#include "sluice/text/corpus.hpp"
#include "support.hpp"

namespace sluice {
namespace {

/// Address space in use, in bytes.
std::size_t address_space() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;  // whose shadow memory is larger than any limit
#else
constexpr bool sanitized = false;
#endif

TEST_F(TextTest, ATextMayBeLargerThanMemory) {
  if (sanitized) GTEST_SKIP() << "sanitizers need address space";
  constexpr std::size_t size = 160'000'000;
  const auto text = path("large");
  {
    std::ofstream out(text, std::ios::binary);
    std::string lines;
    while (lines.size() < 1'000'000) lines += "the gate opens\n";
    for (std::size_t written = 0; written < size; written += lines.size()) out << lines;
  }
  const auto tokenizer = trained("byte", "x");
  const pid_t child = ::fork();
  if (child == 0) {
    // Of its own, so that no thread of the parent's is waited for.
    set_thread_count(1);
    constexpr std::size_t room = 60'000'000;
    const struct rlimit limit = {address_space() + room, address_space() + room};
    ::setrlimit(RLIMIT_AS, &limit);
    int status = 1;
    try {
      const TokenShards shards = tokenize_corpus({text}, *tokenizer, path("cache"));
      TokenId last = -1;
      shards.read(shards.size() - 1, 1, &last);
      status = shards.size() >= static_cast<std::int64_t>(size) && last == '\n' ? 0 : 2;
    } catch (...) {
      status = 3;
    }
    ::_exit(status);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace sluice
