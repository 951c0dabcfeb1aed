#pragma once
// A count that processes share.

#include <atomic>
#include <cstdint>
#include <vector>

#include "mpi_table.hpp"

namespace sluice {

/// The first process keeps the count and answers whoever asks for the next number. For the
/// communicator's thread, restart() and next_here() excepted.
class SharedCount {
 public:
  SharedCount(const MpiTable& mpi, int rank, int size);

  /// The next number, in the first process; from any thread.
  std::int64_t next_here() { return next_++; }
  /// Of the first process, while no other asks; from any thread.
  void restart() { next_ = 0; }
  /// Answers those who have asked. To be called often.
  void serve();
  /// Forgets what is under way.
  void end();

  static constexpr int question_tag = 3;
  static constexpr int answer_tag = 4;

 private:
  struct Peer {
    int rank;
    void* asked = nullptr;
    void* answered = nullptr;
    std::int64_t question = 0, answer = 0;
  };

  const MpiTable& mpi_;
  std::vector<Peer> peers_;  // none but in the first process
  std::atomic<std::int64_t> next_{0};
};

}  // namespace sluice
