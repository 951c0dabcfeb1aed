#pragma once
// Gradients summed over processes while the backward pass goes on.

#include <cstddef>
#include <cstdint>
#include <future>
#include <span>
#include <vector>

#include "gradient_exchange.hpp"
#include "rank_group.hpp"
#include "sluice/comm/communicator.hpp"

namespace sluice {

/// Sums each leaf's nodes over all processes as MicroSum does, so that the totals have the bits
/// that one process gets. Leaves travel in buckets, filled in the order in which the first process
/// completed them in the first step: a bucket goes as soon as all of it is there and the ones
/// before it have gone. Dense leaves are cut into a slice per process, which gets everyone's nodes
/// of it, adds them and gives the sum to all; of leaves that some node has as sparse rows, every
/// process gets all rows.
class RankExchange final : public GradientExchange {
 public:
  /// `micro_batches` of a step over all processes, at least one for each.
  RankExchange(Communicator& ranks, std::int64_t micro_batches);
  ~RankExchange() override;

  MicroBatches share() const override;
  void ready(std::size_t leaf, const MicroSum& part, GradientSlot& total) override;
  void finish(std::span<double> losses) override;

 private:
  struct Bucket;
  struct Leaf {
    const MicroSum* part = nullptr;
    GradientSlot* total = nullptr;
    bool ready = false;
  };

  void fill_buckets();
  void post_ready();
  void post(Bucket& bucket);
  void sum_dense(Collectives& with, Bucket& bucket);
  void gather_sparse(Collectives& with, Bucket& bucket);
  /// Puts what was summed into the leaves' totals.
  void put(Bucket& bucket);

  Communicator& ranks_;
  const std::int64_t micro_batches_;
  /// The nodes that each process has of every leaf.
  std::vector<std::vector<SumNode>> places_;
  std::vector<Leaf> leaves_;
  std::vector<std::size_t> order_;
  std::vector<Bucket> buckets_;
  std::size_t next_ = 0;
  /// For the communicator's thread alone.
  std::vector<float> outgoing_, incoming_;
};

}  // namespace sluice
