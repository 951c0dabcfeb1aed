#pragma once
// Gradients summed over processes while the backward pass goes on.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "buckets.hpp"
#include "gradient_exchange.hpp"
#include "rank_group.hpp"
#include "sluice/comm/communicator.hpp"
#include "sluice/training/config.hpp"
#include "sum_wire.hpp"

namespace sluice {

/// Sums each leaf's nodes over all processes as MicroSum does, so that the totals have the bits
/// that one process gets. Leaves travel in buckets, filled in the order in which the first process
/// completed them in the first step: a bucket goes as soon as all of it is there and the ones
/// before it have gone. Dense leaves are cut into a slice per process, which gets everyone's nodes
/// of it, adds them and gives the sum to all, or keeps it where leaves are divided; of leaves that
/// some node has as sparse rows, every process gets all rows.
class RankExchange final : public GradientExchange {
 public:
  /// `micro_batches` of a step over all processes, at least one for each. At bf16 dense leaves
  /// travel rounded (SumWire), a node once and a total once; the totals have the same bits in all
  /// processes, but depend on how many there are.
  RankExchange(Communicator& ranks, std::int64_t micro_batches,
               Precision precision = Precision::f32);
  ~RankExchange() override;

  MicroBatches share() const override;
  void divide(LeafDivision division) override { division_ = std::move(division); }
  void ready(std::size_t leaf, const MicroSum& part, GradientSlot& total) override;
  void finish(std::span<double> values) override;
  void share_values(std::span<double> values) override;
  void share_updates(std::span<const Tensor> values) override;
  std::vector<double> gather(std::span<const double> mine,
                             std::span<const std::size_t> counts) override;

  /// What is kept of rounding; between steps. Places of process `rank` in it.
  SumWire& wire() { return wire_; }
  /// Whether a leaf's sum stays in parts, and so is not rounded once more.
  bool divided(std::size_t leaf) const { return leaf < division_.leaves; }
  std::size_t slots(int rank) const { return places_[static_cast<std::size_t>(rank)].size() + 1; }

 private:
  struct Bucket;
  struct Leaf {
    const MicroSum* part = nullptr;
    GradientSlot* total = nullptr;
    bool ready = false;
  };

  /// The nodes that each process has of every leaf.
  static std::vector<std::vector<SumNode>> nodes_of_ranks(std::int64_t micro_batches, int size);
  std::future<void> post_values(std::span<double> values);
  void fill_buckets();
  void post_ready();
  void post(Bucket& bucket);
  struct Placed;
  using PartOf = std::function<ScalarRange(const Placed& leaf, int rank)>;
  /// What goes to each process.
  struct Outgoing {
    std::span<const std::byte> bytes;
    std::vector<Collectives::Part> parts;
  };
  Outgoing outgoing(const Collectives& with, std::span<const Placed> placed, const PartOf& part_of);
  void sum_dense(Collectives& with, Bucket& bucket);
  void gather_sparse(Collectives& with, Bucket& bucket);
  /// Puts what was summed into the leaves' totals.
  void put(Bucket& bucket);
  void put_sparse(Bucket& bucket);
  /// What a process has of a leaf's value, and its bytes.
  struct Update {
    std::size_t leaf;
    Tensor value;
  };
  /// All get what each process has of the values: of one, in its place, or packed together.
  void gather_large(Collectives& with, const Update& update);
  void gather_small(Collectives& with, std::span<const Update> updates);

  Communicator& ranks_;
  const std::int64_t micro_batches_;
  const std::vector<std::vector<SumNode>> places_;
  LeafDivision division_;
  std::vector<Leaf> leaves_;
  std::vector<std::size_t> order_;
  std::vector<Bucket> buckets_;
  std::size_t next_ = 0;
  /// For the communicator's thread alone.
  SumWire wire_;
  Tensor incoming_;
};

/// Values as they travel.
template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}
template <class T>
std::span<std::byte> writable(std::vector<T>& values) {
  return std::as_writable_bytes(std::span(values));
}

/// What this process's optimizer is of all processes'.
inline OptimizerShard shard_of(const RankGroup& ranks, const TrainConfig& config) {
  return config.shard_optimizer ? OptimizerShard{ranks.rank(), ranks.size()} : OptimizerShard{};
}

/// Null when this process learns alone.
std::unique_ptr<RankExchange> exchange_of(const RankGroup& ranks, const TrainConfig& config);

}  // namespace sluice
