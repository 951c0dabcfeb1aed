#include "text_reader.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "sluice/base/error.hpp"
#include "sluice/text/detail/utf8.hpp"

namespace sluice {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{1} << 18;

/// Whether it is a device that nobody writes text to, and that may have no end: terminals are none,
/// and /dev/null is an empty text.
bool is_no_text(int descriptor, const struct stat& status) {
  if (S_ISBLK(status.st_mode)) return true;
  struct stat null {};
  return S_ISCHR(status.st_mode) && ::isatty(descriptor) == 0 &&
         (::stat("/dev/null", &null) != 0 || null.st_rdev != status.st_rdev);
}

}  // namespace

TextReader::TextReader(const std::filesystem::path& path)
    : title_(path == standard_input ? "standard input" : path.string()) {
  const auto refuse = [this](const std::string& why, int cause = 0) {
    if (descriptor_ >= 0) ::close(descriptor_);
    const std::string said = fmt::format("cannot read '{}': {}", title_, why);
    if (cause != 0) throw SystemError(said, cause);
    throw Error(said);
  };
  descriptor_ = path == standard_input ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                       : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) {
    refuse(std::generic_category().message(errno), errno);
  }
  if (S_ISDIR(status.st_mode)) refuse("it is a directory, expected a file");
  if (is_no_text(descriptor_, status)) refuse("it is a device, expected a file or a pipe");
  regular_ = S_ISREG(status.st_mode) && path != standard_input;
  size_ = S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size) : 0;
  try {
    while (may_be_compressed(raw_) && fill()) {
    }
    decoder_ = decoder_for(raw_);
    char byte = 0;
    while (start_.size() < byte_order_mark.size() && byte_order_mark.starts_with(start_) &&
           next(&byte, 1) == 1) {
      start_ += byte;
    }
    if (start_ == byte_order_mark) start_.clear();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

TextReader::~TextReader() { ::close(descriptor_); }

/// Reads more behind what is not yet used; false at the end.
bool TextReader::fill() {
  if (ended_) return false;
  std::string more(raw_);
  const std::size_t had = more.size();
  more.resize(std::max(buffer_bytes, had + 1));
  ssize_t got = 0;
  do {
    got = ::read(descriptor_, more.data() + had, more.size() - had);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    const int cause = errno;
    throw SystemError(
        fmt::format("cannot read '{}': {}", title_, std::generic_category().message(cause)), cause);
  }
  more.resize(had + static_cast<std::size_t>(got));
  buffer_.swap(more);
  raw_ = buffer_;
  taken_ += static_cast<std::uint64_t>(got);
  ended_ = got == 0;
  return !ended_;
}

std::size_t TextReader::next(char* out, std::size_t room) {
  for (;;) {
    if (raw_.empty()) fill();
    if (!decoder_) {
      const std::size_t n = std::min(room, raw_.size());
      std::copy_n(raw_.begin(), n, out);
      raw_.remove_prefix(n);
      return n;
    }
    const std::size_t had = raw_.size();
    std::size_t got = 0;
    try {
      got = decoder_->decode(raw_, ended_, out, room);
    } catch (const Error& error) {
      throw Error(fmt::format("cannot read '{}': {}", title_, error.what()));
    }
    if (got > 0) return got;
    if (ended_ && raw_.empty()) {
      if (decoder_->finished()) return 0;
      throw Error(fmt::format("cannot read '{}': its compressed data end too early", title_));
    }
    if (raw_.size() == had && had > 0) {
      throw Error(fmt::format("cannot read '{}': its compressed data are damaged", title_));
    }
  }
}

std::size_t TextReader::read(char* out, std::size_t room) {
  if (start_.empty()) return next(out, room);
  const std::size_t n = std::min(room, start_.size());
  std::copy_n(start_.begin(), n, out);
  start_.erase(0, n);
  return n;
}

bool TextReader::ready() const {
  if (!start_.empty() || !raw_.empty() || size_ > 0) return true;
  struct pollfd watched = {descriptor_, POLLIN, 0};
  return ::poll(&watched, 1, 0) > 0;
}

double TextReader::fraction() const {
  return size_ == 0 ? 0 : std::min(1.0, static_cast<double>(taken_) / static_cast<double>(size_));
}

}  // namespace sluice
