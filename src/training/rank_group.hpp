#pragma once
// The processes that train one model together, as a run's parts see them.

#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "checkpointer.hpp"
#include "micro_sums.hpp"
#include "sluice/comm/communicator.hpp"

namespace sluice {

/// Which of `n` micro-batches process `rank` of `size` computes: runs that follow each other, as
/// equal as may be.
inline MicroBatches share_of(std::int64_t n, int rank, int size) {
  return {n * rank / size, n * (rank + 1) / size};
}

/// What processes agree on between two steps: clocks and signals are each process's own.
struct Moment {
  double elapsed = 0;
  bool checkpoint_due = false;
  int stop = 0;
};

class RankGroup {
 public:
  /// Null: this process alone.
  explicit RankGroup(Communicator* ranks) : ranks_(ranks) {}

  bool several() const { return ranks_ != nullptr && !ranks_->alone(); }
  /// Whether this process is the one that writes files and tells of what happens.
  bool leads() const { return !several() || ranks_->leads(); }
  int rank() const { return several() ? ranks_->rank() : 0; }
  int size() const { return several() ? ranks_->size() : 1; }
  Communicator& ranks() const { return *ranks_; }

  MicroBatches share(std::int64_t n) const { return share_of(n, rank(), size()); }

  /// The leader's moment, with the signal of whoever got one.
  Moment agree(const Moment& own) const;
  /// What the leader has.
  template <class T>
  T from_leader(const T& own) const {
    return several() ? ranks_->gather(own).front() : own;
  }
  /// Sends a tensor to the leader, which calls receive() for one that is like it.
  void send(const Tensor& tensor) const;
  Tensor receive(int from, const Shape& shape, DType dtype) const;
  /// Fills in what other processes know of `values`, one for each micro-batch.
  void gather(std::span<double> values) const;
  /// Throws RankError naming the first process, and the first fact, that is not as the leader's.
  void check_same(const Fingerprint& facts) const;
  /// What to say when a process runs on another kind of processor than the leader, which may round
  /// otherwise; empty when all are alike.
  std::string other_processor() const;

 private:
  Communicator* ranks_;
};

}  // namespace sluice
