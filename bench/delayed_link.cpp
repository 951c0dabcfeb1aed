// A link between two network namespaces with a rate and a delay, for kernels without tc netem:
//   delayed_link A B BITS_PER_SECOND DELAY_MICROSECONDS
// makes the TUN devices A and B, says "ready" (move them to their namespaces then), and carries
// packets from one to the other until it is ended. 0 bits per second: no limit.

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

struct Packet {
  Clock::time_point arrives;
  std::vector<char> bytes;
};

/// One way of the link.
struct Way {
  Way(int source, int target) : from(source), to(target) {}

  int from, to;
  std::deque<Packet> packets;
  Clock::time_point free;  // when the last of them has been sent
};

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int tun(const char* name) {
  const int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device < 0) fail("delayed_link: /dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(device, TUNSETIFF, &request) < 0) fail(name);
  return device;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) {
    std::fputs("usage: delayed_link A B BITS_PER_SECOND DELAY_MICROSECONDS\n", stderr);
    return 2;
  }
  const double bytes_per_second = std::atof(arguments[3]) / 8;
  const auto delay = nanoseconds(static_cast<long long>(std::atof(arguments[4]) * 1e3));
  const int a = tun(arguments[1]), b = tun(arguments[2]);
  std::array<Way, 2> ways{Way(a, b), Way(b, a)};
  prctl(PR_SET_TIMERSLACK, 1UL);
  std::puts("ready");
  std::fflush(stdout);

  std::vector<char> buffer(1 << 16);
  for (;;) {
    auto now = Clock::now();
    auto next = now + std::chrono::seconds(1);
    for (Way& way : ways) {
      for (ssize_t size; (size = read(way.from, buffer.data(), buffer.size())) > 0;) {
        now = Clock::now();
        way.free = std::max(way.free, now);
        if (bytes_per_second > 0) {
          way.free += nanoseconds(
              static_cast<long long>(static_cast<double>(size) / bytes_per_second * 1e9));
        }
        way.packets.push_back({way.free + delay, {buffer.begin(), buffer.begin() + size}});
      }
      for (now = Clock::now(); !way.packets.empty() && way.packets.front().arrives <= now;
           way.packets.pop_front()) {
        // A packet that is not taken is lost, as on any link.
        if (write(way.to, way.packets.front().bytes.data(), way.packets.front().bytes.size()) < 0)
          continue;
      }
      if (!way.packets.empty()) next = std::min(next, way.packets.front().arrives);
    }
    const auto wait = std::max(next - Clock::now(), nanoseconds(0));
    const timespec timeout{.tv_sec = 0, .tv_nsec = std::min<long>(wait.count(), 999'999'999)};
    std::array<pollfd, 2> sources{pollfd{a, POLLIN, 0}, pollfd{b, POLLIN, 0}};
    if (ppoll(sources.data(), sources.size(), &timeout, nullptr) < 0) fail("delayed_link: ppoll");
  }
}
