#include "amx.hpp"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sluice::kernels {
namespace {

// Linux gives tiles to processes that ask for them.
bool tiles_granted() {
  constexpr long request = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request, tile_data) == 0;
}

}  // namespace

bool has_amx_tiles() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
    constexpr unsigned bfloat16 = 1U << 22U, tile = 1U << 24U, int8 = 1U << 25U;
    constexpr unsigned all = bfloat16 | tile | int8;
    return (d & all) == all && tiles_granted();
  }();
  return has;
}

}  // namespace sluice::kernels

#endif
