#include "sluice/base/file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "sluice/base/error.hpp"

namespace {

/// What was told to reach the disk while it is not null: "file" or "directory", in order.
std::vector<std::string>* synced = nullptr;
/// While it is not null, what is drawn at random, the last first.
std::vector<std::uint64_t>* foreseen = nullptr;

}  // namespace

/// The C library's, which this program calls instead.
extern "C" int fsync(int descriptor) {
  struct stat status {};
  if (synced != nullptr && ::fstat(descriptor, &status) == 0) {
    synced->emplace_back(S_ISDIR(status.st_mode) ? "directory" : "file");
  }
  return static_cast<int>(::syscall(SYS_fsync, descriptor));
}

extern "C" ssize_t getrandom(void* bytes, std::size_t size, unsigned int flags) {
  if (foreseen == nullptr) return ::syscall(SYS_getrandom, bytes, size, flags);
  std::memcpy(bytes, &foreseen->back(), size);
  foreseen->pop_back();
  return static_cast<ssize_t>(size);
}

namespace sluice {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  FileTest() {
    directory_ = fs::temp_directory_path() / ("sluice-file-test-" + std::to_string(::getpid()));
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  ~FileTest() override { fs::remove_all(directory_); }

  fs::path path(const std::string& name) const { return directory_ / name; }
  std::size_t entries() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(directory_), fs::directory_iterator()));
  }

  fs::path directory_;
};

template <class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// Runs `action` in a child process and returns its exit status, or minus the signal that ended it.
template <class Action>
int in_child(Action&& action) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(action());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST_F(FileTest, WritesAndReadsBack) {
  const std::string text("a\0b\xff\n", 5);
  write_file(path("x"), text);
  EXPECT_EQ(read_file(path("x")), text);
  EXPECT_EQ(MappedFile(path("x")).text(), text);
  write_file(path("x"), "shorter");
  EXPECT_EQ(read_file(path("x")), "shorter");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(FileTest, EmptyFilesAreEmpty) {
  write_file(path("x"), "");
  EXPECT_EQ(read_file(path("x")), "");
  EXPECT_TRUE(MappedFile(path("x")).bytes().empty());
}

TEST_F(FileTest, ReadsLargeFilesAndFilesThatDoNotSayTheirSize) {
  const std::string text(3'000'000, 'q');
  write_file(path("x"), text);
  EXPECT_EQ(read_file(path("x")), text);
  EXPECT_FALSE(read_file("/proc/self/status").empty());
}

TEST_F(FileTest, MappingsMove) {
  write_file(path("x"), "one");
  write_file(path("y"), "two");
  MappedFile a(path("x"));
  MappedFile b(std::move(a));
  EXPECT_EQ(b.text(), "one");
  b = MappedFile(path("y"));
  EXPECT_EQ(b.text(), "two");
  EXPECT_EQ(b.path(), path("y"));
}

TEST_F(FileTest, SaysWhyAFileCannotBeRead) {
  const std::string missing = message_of([&] { MappedFile file(path("missing")); });
  EXPECT_EQ(missing, "cannot read '" + path("missing").string() + "': No such file or directory");
  EXPECT_EQ(message_of([&] { read_file(path("missing")); }), missing);
  const std::string directory = message_of([&] { MappedFile file(directory_); });
  EXPECT_EQ(directory,
            "cannot read '" + directory_.string() + "': it is a directory, expected a file");
  EXPECT_EQ(message_of([&] { read_file(directory_); }), directory);
  EXPECT_NE(message_of([&] { MappedFile file("/dev/null"); }).find("not a regular file"),
            std::string::npos);
}

// A link to itself is refused to everybody, root too.
TEST_F(FileTest, WhatTheSystemRefusesIsNotMissing) {
  std::filesystem::create_symlink(path("loop"), path("loop"));
  const auto cause_of = [&](const std::filesystem::path& file, const auto& open) {
    try {
      open(file);
    } catch (const SystemError& error) {
      EXPECT_EQ(error.missing(), error.cause() == ENOENT || error.cause() == ENOTDIR);
      return error.cause();
    } catch (const Error&) {
      return 0;
    }
    return 0;
  };
  const auto mapped = [](const auto& file) { MappedFile{file}; };
  const auto there = [](const auto& file) { static_cast<void>(is_there(file)); };
  EXPECT_EQ(cause_of(path("missing"), mapped), ENOENT);
  EXPECT_EQ(cause_of(path("loop"), mapped), ELOOP);
  EXPECT_EQ(cause_of(path("loop"), [](const auto& file) { read_file(file); }), ELOOP);
  EXPECT_EQ(cause_of(path("loop"), there), ELOOP);
  EXPECT_TRUE(is_there(directory_));
  EXPECT_FALSE(is_there(path("missing")));
  write_file(path("file"), "x");
  EXPECT_TRUE(is_there(path("file")));
  EXPECT_FALSE(is_there(path("file") / "below"));
  EXPECT_EQ(cause_of(directory_, mapped), 0) << "what is no file is not refused by the system";

  const auto taken_for_damage = [&](const std::filesystem::path& file) {
    try {
      MappedFile{file};
    } catch (const Error& error) {
      rethrow_if_refused(error);
    }
  };
  EXPECT_NO_THROW(taken_for_damage(path("missing")));
  EXPECT_NO_THROW(taken_for_damage(directory_));
  EXPECT_THROW(taken_for_damage(path("loop")), SystemError);
}

TEST(Reason, IsSaidWithoutTheTextOfExceptions) {
  EXPECT_EQ(reason_of(Error("a sentence")), "a sentence");
  EXPECT_EQ(reason_of(std::bad_alloc()), "there is not enough memory");
  const std::error_code full(ENOSPC, std::generic_category());
  EXPECT_EQ(reason_of(std::filesystem::filesystem_error("raw", "a\nb", full)),
            "cannot use 'a\\nb': No space left on device");
  EXPECT_EQ(reason_of(std::system_error(full, "raw")),
            "the system refused something: No space left on device");
  EXPECT_EQ(reason_of(std::logic_error("raw")).find("raw"), std::string::npos);
  EXPECT_EQ(reason_of(std::make_exception_ptr(std::bad_alloc())), "there is not enough memory");
  EXPECT_EQ(reason_of(std::make_exception_ptr(5)), "an internal error");
}

TEST_F(FileTest, UncommittedWritesChangeNothing) {
  write_file(path("x"), "old");
  {
    AtomicFile file(path("x"));
    file.write("new");
    EXPECT_EQ(read_file(path("x")), "old");
  }
  EXPECT_EQ(read_file(path("x")), "old");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(FileTest, OverwritingChangesWhatWasWritten) {
  AtomicFile file(path("x"));
  file.write("head and body");
  file.overwrite(1, "EA");
  file.write(" and tail");
  file.commit();
  EXPECT_EQ(read_file(path("x")), "hEAd and body and tail");
  EXPECT_THROW(file.overwrite(0, "x"), Error);
}

TEST_F(FileTest, AChecksumInPartsIsThatOfTheWhole) {
  std::string text(100'000, 'a');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * i >> 3);
  RunningChecksum sum;
  EXPECT_EQ(sum.hex(), checksum_hex("", 0));
  for (std::size_t begin = 0, size = 1; begin < text.size(); begin += size, size = 3 * size + 1) {
    sum.add(text.data() + begin, std::min(size, text.size() - begin));
  }
  EXPECT_EQ(sum.hex(), checksum_hex(text.data(), text.size()));
  write_file(path("x"), text);
  EXPECT_EQ(file_checksum(path("x")), sum.hex());
}

// The content before the name shows it, then the name: else a power cut may leave an empty file.
TEST_F(FileTest, ACommitReachesTheDisk) {
  std::vector<std::string> events;
  synced = &events;
  write_file(path("a"), "text");
  synced = nullptr;
  EXPECT_EQ(events, (std::vector<std::string>{"file", "directory"}));
}

TEST_F(FileTest, WritingAfterCommitIsRefused) {
  AtomicFile file(path("x"));
  file.commit();
  EXPECT_THROW(file.write("more"), Error);
  EXPECT_THROW(file.commit(), Error);
}

TEST_F(FileTest, TwoWritersOfOneFileDoNotMix) {
  AtomicFile first(path("x"));
  AtomicFile second(path("x"));
  first.write("first");
  second.write("second");
  first.commit();
  EXPECT_EQ(read_file(path("x")), "first");
  second.commit();
  EXPECT_EQ(read_file(path("x")), "second");
  EXPECT_EQ(entries(), 1U);
}

// Not even where somebody foresees its name.
TEST_F(FileTest, ALinkInThePlaceOfATemporaryIsNotFollowed) {
  write_file(path("other"), "kept");
  fs::create_symlink(path("other"), path("x.tmp0000000000000007"));
  std::vector<std::uint64_t> numbers = {8, 7};
  foreseen = &numbers;
  AtomicFile file(path("x"));
  foreseen = nullptr;
  file.write("new");
  file.commit();
  EXPECT_EQ(read_file(path("other")), "kept");
  EXPECT_EQ(read_file(path("x")), "new");
  EXPECT_FALSE(fs::is_symlink(path("x")));
}

TEST_F(FileTest, ManyWritersOfOneFileDoNotMix) {
  const auto write_often = [&](char letter) {
    for (std::size_t i = 1; i <= 100; ++i) write_file(path("x"), std::string(1000 * i, letter));
  };
  write_file(path("x"), "aa");
  std::vector<std::thread> writers;
  for (const char letter : {'a', 'b', 'c'}) writers.emplace_back(write_often, letter);
  int torn = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string text = read_file(path("x"));
    if (text.size() < 2 || text.find_first_not_of(text.front()) != std::string::npos) ++torn;
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(read_file(path("x")).size(), 100'000U);
  EXPECT_EQ(entries(), 1U);
}

TEST_F(FileTest, KilledWritersLeaveTheOldFileAndAtMostOneTemporary) {
  write_file(path("x"), "old");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(in_child([&] {
                AtomicFile file(path("x"));
                file.write("a long text that never gets there");
                return ::raise(SIGKILL);
              }),
              -SIGKILL);
  }
  EXPECT_EQ(read_file(path("x")), "old");
  EXPECT_EQ(entries(), 2U);
  write_file(path("x"), "new");
  EXPECT_EQ(read_file(path("x")), "new");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(FileTest, AFullDiskLeavesTheOldFile) {
  write_file(path("x"), "old");
  // A limit on file size stands in for a full disk: write() fails part-way in the same place.
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100'000, 100'000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    const std::string message =
        message_of([&] { write_file(path("x"), std::string(200'000, 'z')); });
    return message == "cannot write '" + path("x").string() + "': File too large" ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(path("x")), "old");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(FileTest, SaysWhyAFileCannotBeWritten) {
  EXPECT_NE(message_of([&] { write_file(path("no/such/x"), "text"); }).find("No such file"),
            std::string::npos);
  fs::create_directory(path("d"));
  EXPECT_NE(message_of([&] { write_file(path("d"), "text"); }).find("it is a directory"),
            std::string::npos);
}

// Who is root could replace a device by a file.
TEST_F(FileTest, OnlyRegularFilesAndLinksAreReplaced) {
  const auto kind_of = [&](const std::string& name) {
    struct stat status {};
    return ::lstat(path(name).c_str(), &status) == 0 ? status.st_mode & S_IFMT : 0;
  };
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  ASSERT_EQ(::mknod(path("socket").c_str(), S_IFSOCK | 0600, 0), 0);
  // The null device, under a name of the test's own: only root may make one, and not everywhere.
  const bool devices = ::mknod(path("device").c_str(), S_IFCHR | 0600, ::makedev(1, 3)) == 0;
  for (const auto& [name, mode] :
       {std::pair("pipe", S_IFIFO), {"socket", S_IFSOCK}, {"device", S_IFCHR}}) {
    if (mode == S_IFCHR && !devices) continue;
    const std::string message =
        "cannot write '" + path(name).string() + "': it is a " + name + ", expected a file or none";
    EXPECT_EQ(message_of([&] { AtomicFile file(path(name)); }), message);
    EXPECT_EQ(message_of([&] { require_replaceable(path(name)); }), message);
    EXPECT_EQ(kind_of(name), static_cast<mode_t>(mode)) << name;
  }
  // What comes meanwhile is not replaced, either.
  {
    AtomicFile file(path("late"));
    ASSERT_EQ(::mkfifo(path("late").c_str(), 0600), 0);
    EXPECT_NE(message_of([&] { file.commit(); }).find("it is a pipe"), std::string::npos);
  }
  EXPECT_EQ(entries(), devices ? 4U : 3U) << "no temporaries";
  // A link to one is left, any other is replaced by the file.
  write_file(path("other"), "kept");
  for (const auto& [target, refused] : {std::pair(path("pipe"), true),
                                        {path("other"), false},
                                        {path("nowhere"), false},
                                        {directory_, false}}) {
    fs::create_symlink(target, path("link"));
    const std::string message = message_of([&] { write_file(path("link"), "new"); });
    EXPECT_EQ(message.find("it is a link to a pipe") != std::string::npos, refused) << message;
    EXPECT_EQ(kind_of("link"), static_cast<mode_t>(refused ? S_IFLNK : S_IFREG)) << target;
    fs::remove(path("link"));
  }
  EXPECT_EQ(read_file(path("other")), "kept");
  // As /dev/stdout is, whatever it is that is open.
  const int open = ::open(path("other").c_str(), O_RDONLY | O_CLOEXEC);
  fs::create_symlink("/proc/self/fd/" + std::to_string(open), path("link"));
  EXPECT_NE(message_of([&] { write_file(path("link"), "new"); }).find("a file that is open"),
            std::string::npos);
  ::close(open);
}

TEST_F(FileTest, LocksExcludeAndNameTheHolder) {
  auto lock = std::make_unique<DirectoryLock>(directory_);
  const std::string message = message_of([&] { DirectoryLock again(directory_); });
  EXPECT_NE(message.find(directory_.string()), std::string::npos);
  EXPECT_NE(message.find("process " + std::to_string(::getpid()) + " holds it"), std::string::npos)
      << message;
  lock.reset();
  DirectoryLock again(directory_);
  EXPECT_THROW(DirectoryLock(path("missing")), Error);
}

TEST_F(FileTest, KillReleasesALock) {
  EXPECT_EQ(in_child([&] {
              DirectoryLock lock(directory_);
              return ::raise(SIGKILL);
            }),
            -SIGKILL);
  EXPECT_NO_THROW(DirectoryLock lock(directory_));
}

TEST(Checksum, IsXxh3) {
  // XXH3_64bits of the empty string, from the xxHash specification.
  EXPECT_EQ(checksum("", 0), 0x2d06800538d394c2U);
  EXPECT_EQ(checksum_hex("", 0), "2d06800538d394c2");
  EXPECT_NE(checksum("a", 1), checksum("b", 1));
}

}  // namespace
}  // namespace sluice
