// Allocations that can fail.
#include <cstdlib>
#include <new>

#include "fault_layer.hpp"

namespace {

using namespace sluice::faults;

void* allocate(std::size_t size, std::size_t alignment, bool throws) {
  void* memory_found = nullptr;
  if (!fails(memory)) {
    if (alignment == 0) {
      memory_found = std::malloc(size == 0 ? 1 : size);
    } else if (::posix_memalign(&memory_found, alignment, size) != 0) {
      memory_found = nullptr;
    }
  }
  if (memory_found == nullptr && throws) throw std::bad_alloc();
  return memory_found;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size, 0, true); }
void* operator new[](std::size_t size) { return allocate(size, 0, true); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, 0, false);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, 0, false);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment), true);
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment), true);
}
void operator delete(void* memory_given) noexcept { std::free(memory_given); }
void operator delete[](void* memory_given) noexcept { std::free(memory_given); }
void operator delete(void* memory_given, std::size_t) noexcept { std::free(memory_given); }
void operator delete[](void* memory_given, std::size_t) noexcept { std::free(memory_given); }
void operator delete(void* memory_given, std::align_val_t) noexcept { std::free(memory_given); }
void operator delete[](void* memory_given, std::align_val_t) noexcept { std::free(memory_given); }
void operator delete(void* memory_given, std::size_t, std::align_val_t) noexcept {
  std::free(memory_given);
}
void operator delete[](void* memory_given, std::size_t, std::align_val_t) noexcept {
  std::free(memory_given);
}
