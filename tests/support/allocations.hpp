#pragma once
// Whether counting allocations that reach the system means anything.

namespace sluice::test {

/// False in builds with AddressSanitizer, where freed buffers are not kept: it is to see every
/// free.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kBuffersAreKept = false;
#else
inline constexpr bool kBuffersAreKept = true;
#endif

}  // namespace sluice::test
