#include "unpacking.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "counting.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

constexpr std::size_t unpacked_at_once = std::size_t{1} << 18;
constexpr std::size_t most_waiting = 16;

}  // namespace

void unpack_text(TextReader& reader, bool any_bytes, OutputFile& out,
                 const std::function<bool(std::uint64_t)>& told) {
  std::string piece(unpacked_at_once, '\0');
  std::uint64_t written = 0;
  while (const std::size_t got = reader.read(piece.data(), piece.size())) {
    const std::string_view read(piece.data(), got);
    if (const std::size_t nul = read.find('\0'); nul < got && !any_bytes) {
      require_text(read.substr(nul), reader.title(), static_cast<std::int64_t>(written + nul));
    }
    out.write(read);
    written += got;
    if (!told(written)) return;
  }
}

std::uint64_t UnpackedText::wait_for(std::uint64_t bytes) const {
  std::unique_lock lock(mutex_);
  more_.wait(lock, [&] { return done_ || written_ >= bytes; });
  if (failure_ && written_ < bytes) std::rethrow_exception(failure_);
  return written_;
}

std::uint64_t UnpackedText::expected_size() const {
  const std::lock_guard lock(mutex_);
  if (done_ || fraction_ <= 0) return written_;
  return static_cast<std::uint64_t>(static_cast<double>(written_) / fraction_);
}

BackgroundUnpacker::~BackgroundUnpacker() {
  stop_ = true;
  {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<const UnpackedText> BackgroundUnpacker::add(std::unique_ptr<TextReader> reader,
                                                            OutputFile& out, bool any_bytes) {
  auto text = std::make_shared<UnpackedText>();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_.size() < most_waiting; });
  waiting_.push_back({std::move(reader), &out, any_bytes, text});
  changed_.notify_all();
  if (thread_.joinable()) return text;
  try {
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error& failure) {
    throw SystemError(
        fmt::format("cannot start a thread to unpack texts: {}", failure.code().message()),
        failure.code().value());
  }
  return text;
}

void BackgroundUnpacker::work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stop_ || !waiting_.empty(); });
    if (stop_) return;
    Job job = std::move(waiting_.front());
    waiting_.pop_front();
    changed_.notify_all();
    lock.unlock();
    unpack(job);
  }
}

void BackgroundUnpacker::unpack(Job& job) const {
  UnpackedText& text = *job.text;
  std::exception_ptr failure;
  try {
    unpack_text(*job.reader, job.any_bytes, *job.out, [&](std::uint64_t written) {
      const std::lock_guard lock(text.mutex_);
      text.written_ = written;
      text.fraction_ = job.reader->fraction();
      text.more_.notify_all();
      return !stop_;
    });
  } catch (...) {
    failure = std::current_exception();
  }
  const std::lock_guard lock(text.mutex_);
  text.failure_ = failure;
  text.done_ = true;
  text.more_.notify_all();
}

}  // namespace sluice
