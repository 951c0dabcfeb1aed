// A layer between the program and the C library, to be preloaded: it counts what the program asks
// the system for, can refuse any of it, and can record it.
//
//   SLUICE_FAULT_ROOT=DIR    files below it are looked at, and no others (a path without links)
//   SLUICE_FAULT=KIND:N      the N-th (from 1) operation of KIND fails: open, read, write, sync,
//   rename,
//                            remove, mkdir, truncate, lock, stat, map, list, memory, thread; or
//                            "file", any of them but the last two
//   SLUICE_FAULT=KIND:N+     so do all that follow
//   SLUICE_FAULT_COUNTS=FILE gets "KIND COUNT" lines when the program ends
//   SLUICE_FAULT_RECORD=FILE gets what changes files, see Record in recording.hpp
//   SLUICE_FAULT_PLACE=FILE  gets where in which library an allocation was refused: lines of
//                            "LIBRARY FUNCTION OFFSET", the innermost first
//
// Counting starts with main(), of allocations where the command begins: most of those before are of
// its flags. Allocations are those by operator new and anonymous mappings.
#include <dirent.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "fault_layer.hpp"
#include "recording.hpp"

namespace {

using namespace sluice::faults;

constexpr std::array<const char*, kinds> kind_names = {
    "open",     "read", "write", "sync", "rename", "remove", "mkdir",
    "truncate", "lock", "stat",  "map",  "list",   "memory", "thread"};
/// What the operation fails with.
constexpr std::array<int, kinds> causes = {EMFILE, EIO,    ENOSPC, EIO,    EIO, EIO,    ENOSPC,
                                           EIO,    ENOLCK, EIO,    ENOMEM, EIO, ENOMEM, EAGAIN};
constexpr int most_descriptors = 4096;

std::array<std::atomic<long>, kinds> counts{};
std::atomic<long> file_count{0};
std::array<std::atomic<bool>, most_descriptors> followed{};
std::atomic<bool> counting{false};
/// Whether the command has begun.
std::atomic<bool> commanded{false};

struct Settings {
  std::array<char, PATH_MAX> root{};
  std::size_t root_size = 0;
  int kind = -1;  // kinds: any of files
  long number = 0;
  bool ever = false;
  const char* counts_file = nullptr;
  int record = -1;
  int place = -1;
};
Settings settings;

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}
#define NEXT(name) \
  static auto* const real = reinterpret_cast<decltype(&::name)>(::dlsym(RTLD_NEXT, #name))

/// Whether the path, relative to the directory `at`, is below the root.
bool below_root(int at, const char* path) {
  if (!counting.load(std::memory_order_relaxed) || settings.root_size == 0) return false;
  std::array<char, PATH_MAX> whole{};
  if (path[0] != '/') {
    ssize_t size = 0;
    if (at == AT_FDCWD) {
      size = ::syscall(SYS_getcwd, whole.data(), whole.size() - 1);
      if (size > 0) --size;
    } else {
      std::array<char, 64> link{};
      std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", at);
      size = ::syscall(SYS_readlink, link.data(), whole.data(), whole.size() - 1);
    }
    if (size <= 0) return false;
    if (static_cast<std::size_t>(size) < settings.root_size) return false;
    return std::memcmp(whole.data(), settings.root.data(), settings.root_size) == 0;
  }
  return std::strncmp(path, settings.root.data(), settings.root_size) == 0;
}

bool is_followed(int descriptor) {
  return descriptor >= 0 && descriptor < most_descriptors &&
         followed[static_cast<std::size_t>(descriptor)];
}

// ---- recording ----

/// Allocates nothing and calls no function of this layer.
void put(const void* data, std::size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const long written = ::syscall(SYS_write, settings.record, at, size);
    if (written <= 0) return;
    at += written;
    size -= static_cast<std::size_t>(written);
  }
}

std::mutex recording;

void record(Operation operation, long file, long offset, const void* first, std::size_t first_size,
            const void* second = nullptr, std::size_t second_size = 0) {
  if (settings.record < 0) return;
  const std::lock_guard lock(recording);
  const sluice::faults::Header header{operation, file, offset, first_size, second_size};
  put(&header, sizeof header);
  put(first, first_size);
  if (second_size > 0) put(second, second_size);
}

long inode_of(int descriptor) {
  struct stat status {};
  if (::syscall(SYS_fstat, descriptor, &status) != 0) return 0;
  return static_cast<long>(status.st_ino);
}

void record_path(Operation operation, long file, const char* path, const char* other = nullptr) {
  record(operation, file, 0, path, std::strlen(path), other,
         other == nullptr ? 0 : std::strlen(other));
}

// ---- settings ----

int made_anew(const char* file) {
  return static_cast<int>(
      ::syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
}

void read_settings() {
  if (const char* root = std::getenv("SLUICE_FAULT_ROOT")) {
    settings.root_size = std::min(std::strlen(root), settings.root.size() - 1);
    std::memcpy(settings.root.data(), root, settings.root_size);
  }
  if (const char* fault = std::getenv("SLUICE_FAULT")) {
    const char* const colon = std::strchr(fault, ':');
    if (colon != nullptr) {
      const std::size_t size = static_cast<std::size_t>(colon - fault);
      for (int kind = 0; kind < kinds; ++kind) {
        const char* name = kind_names[static_cast<std::size_t>(kind)];
        if (std::strlen(name) == size && std::strncmp(fault, name, size) == 0) settings.kind = kind;
      }
      if (std::strncmp(fault, "file:", 5) == 0) settings.kind = kinds;
      char* end = nullptr;
      settings.number = std::strtol(colon + 1, &end, 10);
      settings.ever = *end == '+';
    }
  }
  settings.counts_file = std::getenv("SLUICE_FAULT_COUNTS");
  if (const char* file = std::getenv("SLUICE_FAULT_RECORD")) settings.record = made_anew(file);
  if (const char* file = std::getenv("SLUICE_FAULT_PLACE")) settings.place = made_anew(file);
  std::array<void*, 1> frame{};
  ::backtrace(frame.data(), 1);  // which allocates once
}

/// What asked for the allocation that is refused. Allocates nothing.
void tell_place() {
  if (settings.place < 0) return;
  std::array<void*, 64> frames{};
  const int count = ::backtrace(frames.data(), static_cast<int>(frames.size()));
  std::array<char, 512> line{};
  for (int i = 0; i < count; ++i) {
    Dl_info found{};
    if (::dladdr(frames.at(static_cast<std::size_t>(i)), &found) == 0) continue;
    const char* const slash = std::strrchr(found.dli_fname, '/');
    const long offset = static_cast<const char*>(frames.at(static_cast<std::size_t>(i))) -
                        static_cast<const char*>(found.dli_fbase);
    const int size = std::snprintf(line.data(), line.size(), "%s %s 0x%lx\n",
                                   slash == nullptr ? found.dli_fname : slash + 1,
                                   found.dli_sname == nullptr ? "?" : found.dli_sname, offset);
    const auto most = static_cast<int>(line.size()) - 1;
    static_cast<void>(::syscall(SYS_write, settings.place, line.data(),
                                static_cast<std::size_t>(size < most ? size : most)));
  }
}

void write_counts() {
  counting = false;
  if (settings.counts_file == nullptr) return;
  const int file = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, settings.counts_file,
                                              O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  std::array<char, 64> line{};
  for (int kind = 0; kind <= kinds; ++kind) {
    const auto k = static_cast<std::size_t>(kind);
    const int size =
        std::snprintf(line.data(), line.size(), "%s %ld\n", kind == kinds ? "file" : kind_names[k],
                      kind == kinds ? file_count.load() : counts[k].load());
    static_cast<void>(::syscall(SYS_write, file, line.data(), static_cast<std::size_t>(size)));
  }
  ::syscall(SYS_close, file);
}

using Main = int (*)(int, char**, char**);
Main program_main = nullptr;

int counted_main(int argc, char** argv, char** environment) {
  read_settings();
  std::atexit(write_counts);
  counting = true;
  return program_main(argc, argv, environment);
}

int opened(int descriptor, int at, const char* path, int flags, bool existed) {
  if (descriptor < 0 || descriptor >= most_descriptors || !below_root(at, path)) return descriptor;
  followed[static_cast<std::size_t>(descriptor)] = true;
  if ((flags & O_CREAT) != 0 && !existed)
    record_path(Operation::create, inode_of(descriptor), path);
  return descriptor;
}

bool exists(int at, const char* path) { return ::syscall(SYS_faccessat, at, path, F_OK) == 0; }

template <class Real>
int open_with(Real&& real, int at, const char* path, int flags) {
  const bool ours = below_root(at, path);
  if (ours && fails(file_open)) return -1;
  const bool existed = ours && exists(at, path);
  return opened(real(), at, path, flags, existed);
}

unsigned mode_of(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, unsigned) : 0;
}

template <class Real>
ssize_t write_with(Real&& real, int descriptor, const void* data, long offset) {
  if (!is_followed(descriptor)) return real();
  if (fails(file_write)) return -1;
  long at = offset;
  if (at < 0) {
    struct stat status {};
    const bool appends = (::fcntl(descriptor, F_GETFL) & O_APPEND) != 0;
    ::syscall(SYS_fstat, descriptor, &status);
    at =
        appends ? static_cast<long>(status.st_size) : ::syscall(SYS_lseek, descriptor, 0, SEEK_CUR);
  }
  const ssize_t written = real();
  if (written > 0) {
    record(Operation::write, inode_of(descriptor), at, data, static_cast<std::size_t>(written));
  }
  return written;
}

int truncate_with(int descriptor, long size, int (*real)(int, off_t)) {
  if (!is_followed(descriptor)) return real(descriptor, size);
  if (fails(file_truncate)) return -1;
  const int result = real(descriptor, size);
  if (result == 0) record(Operation::truncate, inode_of(descriptor), size, "", 0);
  return result;
}

int sync_with(int descriptor, int (*real)(int)) {
  if (!is_followed(descriptor)) return real(descriptor);
  if (fails(file_sync)) return -1;
  const int result = real(descriptor);
  std::array<char, 64> link{};
  std::array<char, PATH_MAX> path{};
  std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", descriptor);
  ::syscall(SYS_readlink, link.data(), path.data(), path.size() - 1);
  if (result == 0) record_path(Operation::sync, inode_of(descriptor), path.data());
  return result;
}

void* map_with(void* at, std::size_t size, int protection, int flags, int descriptor,
               off_t offset) {
  const bool anonymous = (flags & MAP_ANONYMOUS) != 0;
  const bool failing = anonymous ? fails(memory) : is_followed(descriptor) && fails(file_map);
  if (failing) return MAP_FAILED;
  return reinterpret_cast<void*>(
      ::syscall(SYS_mmap, at, size, protection, flags, descriptor, offset));
}

}  // namespace

bool sluice::faults::fails(Kind kind) {
  if (!counting.load(std::memory_order_relaxed)) return false;
  if (kind == memory && !commanded.load(std::memory_order_relaxed)) return false;
  const long number = ++counts[kind];
  const long of_files = kind < memory ? ++file_count : 0;
  if (settings.kind < 0) return false;
  const long n = settings.kind == kinds ? of_files : settings.kind == kind ? number : 0;
  if (n == 0 || (settings.ever ? n < settings.number : n != settings.number)) return false;
  if (kind == memory && n == settings.number) tell_place();
  errno = causes[kind];
  return true;
}

extern "C" {

int __libc_start_main(Main main, int argc, char** argv, void (*init)(), void (*fini)(),
                      void (*rtld_fini)(), void* stack_end) {
  program_main = main;
  using Start = int(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);
  return next<Start>("__libc_start_main")(counted_main, argc, argv, init, fini, rtld_fini,
                                          stack_end);
}

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const unsigned mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_with(
      [&] { return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode)); },
      AT_FDCWD, path, flags);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const unsigned mode = mode_of(flags, arguments);
  va_end(arguments);
  return open(path, flags, mode);
}

int openat(int at, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const unsigned mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_with([&] { return static_cast<int>(::syscall(SYS_openat, at, path, flags, mode)); },
                   at, path, flags);
}

FILE* fopen64(const char* path, const char* mode) {
  NEXT(fopen);
  const bool ours = below_root(AT_FDCWD, path);
  if (ours && fails(file_open)) return nullptr;
  FILE* const file = real(path, mode);
  if (ours && file != nullptr) {
    const int descriptor = ::fileno(file);
    if (descriptor < most_descriptors) followed[static_cast<std::size_t>(descriptor)] = true;
  }
  return file;
}
FILE* fopen(const char* path, const char* mode) { return fopen64(path, mode); }

int close(int descriptor) {
  if (descriptor >= 0 && descriptor < most_descriptors) {
    followed[static_cast<std::size_t>(descriptor)] = false;
  }
  return static_cast<int>(::syscall(SYS_close, descriptor));
}

ssize_t read(int descriptor, void* data, size_t size) {
  if (is_followed(descriptor) && fails(file_read)) return -1;
  return ::syscall(SYS_read, descriptor, data, size);
}

ssize_t pread64(int descriptor, void* data, size_t size, off_t offset) {
  if (is_followed(descriptor) && fails(file_read)) return -1;
  return ::syscall(SYS_pread64, descriptor, data, size, offset);
}
ssize_t pread(int descriptor, void* data, size_t size, off_t offset) {
  return pread64(descriptor, data, size, offset);
}

ssize_t write(int descriptor, const void* data, size_t size) {
  return write_with([&] { return ::syscall(SYS_write, descriptor, data, size); }, descriptor, data,
                    -1);
}

ssize_t pwrite64(int descriptor, const void* data, size_t size, off_t offset) {
  return write_with([&] { return ::syscall(SYS_pwrite64, descriptor, data, size, offset); },
                    descriptor, data, offset);
}
ssize_t pwrite(int descriptor, const void* data, size_t size, off_t offset) {
  return pwrite64(descriptor, data, size, offset);
}

int fsync(int descriptor) {
  NEXT(fsync);
  return sync_with(descriptor, real);
}

int ftruncate(int descriptor, off_t size) {
  NEXT(ftruncate);
  return truncate_with(descriptor, size, real);
}
int ftruncate64(int descriptor, off_t size) { return ftruncate(descriptor, size); }

int flock(int descriptor, int operation) {
  NEXT(flock);
  if (is_followed(descriptor) && fails(file_lock)) return -1;
  return real(descriptor, operation);
}

int rename(const char* from, const char* to) {
  NEXT(rename);
  if (!below_root(AT_FDCWD, from)) return real(from, to);
  if (fails(file_rename)) return -1;
  const int result = real(from, to);
  if (result == 0) record_path(Operation::rename, 0, from, to);
  return result;
}

int unlink(const char* path) {
  NEXT(unlink);
  if (!below_root(AT_FDCWD, path)) return real(path);
  if (fails(file_remove)) return -1;
  const int result = real(path);
  if (result == 0) record_path(Operation::remove, 0, path);
  return result;
}

int unlinkat(int at, const char* path, int flags) {
  NEXT(unlinkat);
  if (below_root(at, path) && fails(file_remove)) return -1;
  return real(at, path, flags);
}

int remove(const char* path) {
  NEXT(remove);
  if (!below_root(AT_FDCWD, path)) return real(path);
  if (fails(file_remove)) return -1;
  const int result = real(path);
  if (result == 0) record_path(Operation::remove, 0, path);
  return result;
}

int mkdir(const char* path, mode_t mode) {
  NEXT(mkdir);
  if (!below_root(AT_FDCWD, path)) return real(path, mode);
  if (fails(file_mkdir)) return -1;
  const int result = real(path, mode);
  if (result == 0) record_path(Operation::make_directory, 0, path);
  return result;
}

int stat(const char* path, struct stat* status) {
  if (below_root(AT_FDCWD, path) && fails(file_stat)) return -1;
  return static_cast<int>(::syscall(SYS_newfstatat, AT_FDCWD, path, status, 0));
}
int stat64(const char* path, struct stat64* status) {
  return ::stat(path, reinterpret_cast<struct stat*>(status));
}
int lstat(const char* path, struct stat* status) {
  if (below_root(AT_FDCWD, path) && fails(file_stat)) return -1;
  return static_cast<int>(::syscall(SYS_newfstatat, AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW));
}
int lstat64(const char* path, struct stat64* status) {
  return ::lstat(path, reinterpret_cast<struct stat*>(status));
}
int fstat(int descriptor, struct stat* status) {
  if (is_followed(descriptor) && fails(file_stat)) return -1;
  return static_cast<int>(::syscall(SYS_fstat, descriptor, status));
}
int fstat64(int descriptor, struct stat64* status) {
  return ::fstat(descriptor, reinterpret_cast<struct stat*>(status));
}

DIR* opendir(const char* path) {
  NEXT(opendir);
  if (below_root(AT_FDCWD, path) && fails(file_list)) return nullptr;
  return real(path);
}

int sigaction(int number, const struct sigaction* action, struct sigaction* before) {
  NEXT(sigaction);
  // The program's last preparation, see tell_of_lost_files() in cli/process.cpp.
  if (number == SIGBUS) commanded = true;
  return real(number, action, before);
}

void* mmap(void* at, size_t size, int protection, int flags, int descriptor, off_t offset) {
  return map_with(at, size, protection, flags, descriptor, offset);
}
void* mmap64(void* at, size_t size, int protection, int flags, int descriptor, off_t offset) {
  return map_with(at, size, protection, flags, descriptor, offset);
}

int pthread_create(pthread_t* id, const pthread_attr_t* attributes, void* (*run)(void*),
                   void* given) {
  NEXT(pthread_create);
  if (fails(thread)) return EAGAIN;
  return real(id, attributes, run, given);
}

}  // extern "C"
