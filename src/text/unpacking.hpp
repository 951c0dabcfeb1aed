#pragma once
// Texts that are unpacked into files, by the thread that asks or by one of their own.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "sluice/base/file.hpp"
#include "text_reader.hpp"

namespace sluice {

/// Copies all that `reader` gives to `out`. Calls told(bytes so far) after each piece; false ends
/// it there. What is no text at all is refused before its end, which it may not have, unless any
/// bytes will do.
void unpack_text(TextReader& reader, bool any_bytes, OutputFile& out,
                 const std::function<bool(std::uint64_t)>& told);

/// A text on its way into a file. Any number of threads may wait for it.
class UnpackedText {
 public:
  /// Waits until so many bytes are in the file, or all there are; returns how many are. Throws what
  /// ended the unpacking, as TextInputs' constructor does.
  std::uint64_t wait_for(std::uint64_t bytes) const;
  /// How many bytes it will have, by what was unpacked so far.
  std::uint64_t expected_size() const;

 private:
  friend class BackgroundUnpacker;

  mutable std::mutex mutex_;
  mutable std::condition_variable more_;
  std::uint64_t written_ = 0;
  double fraction_ = 0;  // of the packed file
  bool done_ = false;
  std::exception_ptr failure_;
};

/// A thread that unpacks texts, one after another.
class BackgroundUnpacker {
 public:
  BackgroundUnpacker() = default;
  /// Gives up what is not unpacked.
  ~BackgroundUnpacker();
  BackgroundUnpacker(const BackgroundUnpacker&) = delete;
  BackgroundUnpacker& operator=(const BackgroundUnpacker&) = delete;

  /// The text that `reader`, which must not be a pipe, will give to `out`, which must outlive this
  /// object. Waits where many are before it, as each holds a file open.
  std::shared_ptr<const UnpackedText> add(std::unique_ptr<TextReader> reader, OutputFile& out,
                                          bool any_bytes);

 private:
  struct Job {
    std::unique_ptr<TextReader> reader;
    OutputFile* out = nullptr;
    bool any_bytes = false;
    std::shared_ptr<UnpackedText> text;
  };
  void work();
  void unpack(Job& job) const;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> waiting_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace sluice
