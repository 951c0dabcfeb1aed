#include "rank_exchange.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"

namespace sluice {
namespace {

/// Bytes of gradients in a bucket: enough that a network's latency does not count, little enough
/// that the first goes early. The first is smaller.
constexpr std::int64_t bucket_bytes = std::int64_t{4} << 20;
constexpr std::int64_t first_bucket_bytes = std::int64_t{1} << 20;
/// Slices begin at multiples of this many scalars, a line of the cache.
constexpr std::int64_t slice_grain = 16;

/// What a node of a leaf is: no gradient, a tensor, or, from 0 on, that many sparse rows.
constexpr std::int64_t nothing = -2;
constexpr std::int64_t dense = -1;

/// Of n scalars, those that process `rank` of `size` adds.
struct Range {
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
};
Range slice_of(std::int64_t n, int rank, int size) {
  const auto bound = [&](int r) {
    return r == size ? n : n * r / size / slice_grain * slice_grain;
  };
  return {bound(rank), bound(rank + 1)};
}
Range overlap(Range a, Range b) {
  const std::int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}
template <class T>
std::span<std::byte> writable(std::vector<T>& values) {
  return std::as_writable_bytes(std::span(values));
}

/// Sums of nodes that lie in memory, as MicroSum adds them.
class SpanSum {
 public:
  explicit SpanSum(std::int64_t n) : n_(static_cast<std::size_t>(n)) {}
  /// `values` may be null: no gradient. It is written over.
  void push(int level, std::int64_t index, float* values) {
    while (!nodes_.empty() && nodes_.back().level == level && index % 2 == 1) {
      values = sum(nodes_.back().values, values);
      nodes_.pop_back();
      ++level;
      index /= 2;
    }
    nodes_.push_back({level, values});
  }
  float* total() {
    while (nodes_.size() > 1) {
      float* const last = nodes_.back().values;
      nodes_.pop_back();
      nodes_.back().values = sum(nodes_.back().values, last);
    }
    return nodes_.front().values;
  }

 private:
  struct Node {
    int level;
    float* values;
  };
  float* sum(float* a, float* b) const {
    if (a == nullptr || b == nullptr) return a == nullptr ? b : a;
    kernels::add_scaled(a, b, 1.0F, n_);
    return a;
  }
  std::size_t n_;
  std::vector<Node> nodes_;
};

}  // namespace

struct RankExchange::Bucket {
  /// A leaf's part of the bucket.
  struct Item {
    std::size_t leaf;
    Shape shape;
    /// Of this process's nodes: what they are and where.
    struct Own {
      std::int64_t kind;
      const float* values;
      const std::int32_t* ids;
    };
    std::vector<Own> own;
    /// Of all processes' nodes, in order.
    std::vector<std::int64_t> kinds;
    bool has(std::int64_t kind) const {
      return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
    }
    bool sparse() const {
      return std::any_of(kinds.begin(), kinds.end(), [](std::int64_t k) { return k >= 0; });
    }
    bool sliced() const { return !sparse() && has(dense); }
  };
  std::vector<Item> items;
  /// Totals of the sliced items one after another, and the nodes of sparse ones.
  std::vector<float> sums;
  std::vector<std::byte> nodes;
  std::future<void> done;
};

RankExchange::RankExchange(Communicator& ranks, std::int64_t micro_batches, Precision precision)
    : ranks_(ranks),
      micro_batches_(micro_batches),
      places_(nodes_of_ranks(micro_batches, ranks.size())),
      // Each node, and the slice of totals that is added here.
      wire_(precision, places_[static_cast<std::size_t>(ranks.rank())].size() + 1) {}

std::vector<std::vector<SumNode>> RankExchange::nodes_of_ranks(std::int64_t micro_batches,
                                                               int size) {
  std::vector<std::vector<SumNode>> places;
  for (int rank = 0; rank < size; ++rank) {
    MicroSum sum(Shape{1}, DType::f32);
    const MicroBatches share = share_of(micro_batches, rank, size);
    for (std::int64_t micro = share.begin; micro < share.end; ++micro) {
      GradientSlot empty(Shape{1}, DType::f32);
      sum.add(micro, empty);
    }
    places.push_back(sum.nodes());
  }
  return places;
}

RankExchange::~RankExchange() {
  // Work that is under way reads and writes what is here.
  for (Bucket& bucket : buckets_) {
    if (bucket.done.valid()) bucket.done.wait();
  }
}

MicroBatches RankExchange::share() const {
  return share_of(micro_batches_, ranks_.rank(), ranks_.size());
}

void RankExchange::ready(std::size_t leaf, const MicroSum& part, GradientSlot& total) {
  if (leaf >= leaves_.size()) leaves_.resize(leaf + 1);
  leaves_[leaf] = {&part, &total, true};
  if (buckets_.empty()) {
    order_.push_back(leaf);
  } else {
    post_ready();
  }
}

void RankExchange::fill_buckets() {
  // Which leaves a process completes first may depend on its micro-batches: one order for all.
  const std::string first = ranks_.broadcast(
      {reinterpret_cast<const char*>(order_.data()), order_.size() * sizeof order_[0]});
  std::memcpy(order_.data(), first.data(), first.size());
  std::int64_t room = 0, most = first_bucket_bytes;
  for (const std::size_t leaf : order_) {
    const Shape& shape = leaves_[leaf].part->shape();
    const std::int64_t bytes = shape.elements() * static_cast<std::int64_t>(sizeof(float));
    if (buckets_.empty() || room + bytes > most) {
      if (!buckets_.empty()) most = bucket_bytes;
      buckets_.emplace_back();
      room = 0;
    }
    room += bytes;
    buckets_.back().items.push_back({.leaf = leaf, .shape = shape, .own = {}, .kinds = {}});
  }
}

void RankExchange::post_ready() {
  while (next_ < buckets_.size()) {
    Bucket& bucket = buckets_[next_];
    if (!std::all_of(bucket.items.begin(), bucket.items.end(),
                     [&](const Bucket::Item& item) { return leaves_[item.leaf].ready; })) {
      return;
    }
    post(bucket);
    ++next_;
  }
}

void RankExchange::post(Bucket& bucket) {
  for (Bucket::Item& item : bucket.items) {
    item.own.clear();
    for (const SumNode& node : leaves_[item.leaf].part->nodes()) {
      if (const SparseRows* rows = node.sum->sparse()) {
        item.own.push_back({static_cast<std::int64_t>(rows->ids.size()), rows->rows.data<float>(),
                            rows->ids.data()});
      } else if (node.sum->defined()) {
        item.own.push_back({dense, node.sum->dense().data<float>(), nullptr});
      } else {
        item.own.push_back({nothing, nullptr, nullptr});
      }
    }
  }
  bucket.done = ranks_.post([this, &bucket](Collectives& with) {
    std::vector<std::int64_t> mine, all;
    std::vector<std::size_t> counts;
    for (const Bucket::Item& item : bucket.items) {
      for (const auto& own : item.own) mine.push_back(own.kind);
    }
    std::size_t nodes = 0;
    for (const auto& places : places_) {
      nodes += places.size();
      counts.push_back(places.size() * bucket.items.size() * sizeof mine[0]);
    }
    all.resize(nodes * bucket.items.size());
    with.all_gather(bytes_of(mine), counts, writable(all));
    for (Bucket::Item& item : bucket.items) item.kinds.clear();
    auto kind = all.begin();
    for (const auto& places : places_) {
      for (Bucket::Item& item : bucket.items) {
        for (std::size_t i = 0; i < places.size(); ++i) item.kinds.push_back(*kind++);
      }
    }
    sum_dense(with, bucket);
    gather_sparse(with, bucket);
  });
}

void RankExchange::sum_dense(Collectives& with, Bucket& bucket) {
  struct Placed {
    const Bucket::Item* item;
    Range range;
  };
  std::vector<Placed> placed;
  std::int64_t n = 0;
  for (const Bucket::Item& item : bucket.items) {
    if (!item.sliced()) continue;
    placed.push_back({&item, {n, n + item.shape.elements()}});
    wire_.expect(item.leaf, item.shape.elements());
    n += item.shape.elements();
  }
  if (n == 0) return;
  const int size = with.size();
  const Range own = slice_of(n, with.rank(), size);
  std::vector<std::size_t> from_counts, to_counts, slices;
  wire_.clear();
  for (int to = 0; to < size; ++to) {
    const Range slice = slice_of(n, to, size);
    slices.push_back(static_cast<std::size_t>(slice.size()) * wire_.scalar_bytes());
    const std::size_t before = wire_.size();
    for (std::size_t node = 0; node < places_[static_cast<std::size_t>(with.rank())].size();
         ++node) {
      for (const Placed& leaf : placed) {
        const auto& values = leaf.item->own[node];
        const Range part = overlap(leaf.range, slice);
        if (values.kind == nothing || part.size() == 0) continue;
        const std::int64_t offset = part.begin - leaf.range.begin;
        wire_.append(values.values + offset, part.size(),
                     {leaf.item->leaf, node, offset, leaf.range.size()});
      }
    }
    from_counts.push_back((wire_.size() - before) * wire_.scalar_bytes());
  }
  // What comes, in the order in which it was sent: of each process, node by node, leaf by leaf.
  std::size_t coming = 0;
  const auto for_each_coming = [&](auto&& body) {
    std::size_t first = 0;
    for (const auto& places : places_) {
      for (std::size_t node = 0; node < places.size(); ++node) {
        for (std::size_t leaf = 0; leaf < placed.size(); ++leaf) {
          const Range part = overlap(placed[leaf].range, own);
          if (part.size() == 0) continue;
          const bool has = placed[leaf].item->kinds[first + node] != nothing;
          body(places[node], leaf, has, static_cast<std::size_t>(part.size()));
        }
      }
      first += places.size();
      to_counts.push_back(coming * wire_.scalar_bytes());
    }
  };
  for_each_coming([&](const SumNode&, std::size_t, bool has, std::size_t count) {
    if (has) coming += count;
  });
  for (std::size_t r = to_counts.size() - 1; r > 0; --r) to_counts[r] -= to_counts[r - 1];
  with.all_to_all(wire_.bytes(), from_counts, wire_.room(incoming_, coming), to_counts);
  wire_.arrived(incoming_);

  std::vector<SpanSum> totals;
  for (const Placed& leaf : placed) totals.emplace_back(overlap(leaf.range, own).size());
  float* next = incoming_.data();
  for_each_coming([&](const SumNode& node, std::size_t leaf, bool has, std::size_t count) {
    totals[leaf].push(node.level, node.index, has ? next : nullptr);
    if (has) next += count;
  });
  wire_.clear();
  for (std::size_t leaf = 0; leaf < placed.size(); ++leaf) {
    const Range part = overlap(placed[leaf].range, own);
    if (part.size() == 0) continue;
    const Range& whole = placed[leaf].range;
    wire_.append(
        totals[leaf].total(), part.size(),
        {placed[leaf].item->leaf, wire_.slots() - 1, part.begin - whole.begin, whole.size()});
  }
  with.all_gather(wire_.bytes(), slices, wire_.room(bucket.sums, static_cast<std::size_t>(n)));
  wire_.arrived(bucket.sums);
}

void RankExchange::gather_sparse(Collectives& with, Bucket& bucket) {
  std::vector<std::size_t> counts(places_.size());
  std::vector<std::byte> mine;
  bool any = false;
  for (const Bucket::Item& item : bucket.items) {
    if (!item.sparse()) continue;
    any = true;
    const auto row = static_cast<std::size_t>(item.shape[1]) * sizeof(float);
    const auto all = static_cast<std::size_t>(item.shape[0]) * row;
    std::size_t node = 0;
    for (std::size_t rank = 0; rank < places_.size(); ++rank) {
      for (std::size_t i = 0; i < places_[rank].size(); ++i, ++node) {
        const std::int64_t kind = item.kinds[node];
        if (kind == dense) counts[rank] += all;
        if (kind >= 0) counts[rank] += static_cast<std::size_t>(kind) * (sizeof(int) + row);
      }
    }
    const auto append = [&](const void* data, std::size_t size) {
      const auto* bytes = static_cast<const std::byte*>(data);
      mine.insert(mine.end(), bytes, bytes + size);
    };
    for (const auto& own : item.own) {
      if (own.kind == dense) append(own.values, all);
      if (own.kind < 0) continue;
      append(own.ids, static_cast<std::size_t>(own.kind) * sizeof own.ids[0]);
      append(own.values, static_cast<std::size_t>(own.kind) * row);
    }
  }
  if (!any) return;
  std::size_t size = 0;
  for (const std::size_t count : counts) size += count;
  bucket.nodes.resize(size);
  with.all_gather(mine, counts, bucket.nodes);
}

void RankExchange::put(Bucket& bucket) {
  const float* sum = bucket.sums.data();
  std::vector<MicroSum> sparse;
  for (const Bucket::Item& item : bucket.items) {
    if (item.sliced()) {
      const Tensor total(item.shape);
      std::copy_n(sum, item.shape.elements(), total.data<float>());
      sum += item.shape.elements();
      leaves_[item.leaf].total->accumulate(total);
    } else if (item.sparse()) {
      sparse.emplace_back(item.shape, DType::f32);
    }
  }
  if (sparse.empty()) return;
  // As they were gathered: of each process, leaf by leaf, node by node.
  const std::byte* next = bucket.nodes.data();
  const auto take = [&](void* to, std::size_t size) {
    std::memcpy(to, next, size);
    next += size;
  };
  std::size_t first = 0;
  for (const auto& places : places_) {
    std::size_t index = 0;
    for (const Bucket::Item& item : bucket.items) {
      if (!item.sparse()) continue;
      MicroSum& total = sparse[index++];
      for (std::size_t i = 0; i < places.size(); ++i) {
        SumNode node = places[i];
        node.sum = std::make_shared<GradientSlot>(item.shape, DType::f32);
        const std::int64_t kind = item.kinds[first + i];
        if (kind == dense) {
          const Tensor values(item.shape);
          take(values.raw(), values.bytes());
          node.sum->accumulate(values);
        } else if (kind >= 0) {
          SparseRows rows{std::vector<std::int32_t>(static_cast<std::size_t>(kind)),
                          Tensor(Shape{kind, item.shape[1]})};
          take(rows.ids.data(), rows.ids.size() * sizeof rows.ids[0]);
          take(rows.rows.raw(), rows.rows.bytes());
          node.sum->accumulate(std::move(rows));
        }
        total.push(std::move(node));
      }
    }
    first += places.size();
  }
  std::size_t index = 0;
  for (const Bucket::Item& item : bucket.items) {
    if (item.sparse()) sparse[index++].finish(*leaves_[item.leaf].total);
  }
}

std::future<void> RankExchange::post_values(std::span<double> values) {
  return ranks_.post([this, values](Collectives& with) {
    const std::size_t each = values.size() / static_cast<std::size_t>(micro_batches_);
    std::vector<std::size_t> counts;
    for (int rank = 0; rank < with.size(); ++rank) {
      const auto of_rank =
          static_cast<std::size_t>(share_of(micro_batches_, rank, with.size()).size());
      counts.push_back(of_rank * each * sizeof(double));
    }
    const auto own = values.subspan(static_cast<std::size_t>(share().begin) * each,
                                    static_cast<std::size_t>(share().size()) * each);
    const std::vector<double> mine(own.begin(), own.end());
    with.all_gather(bytes_of(mine), counts, std::as_writable_bytes(values));
  });
}

void RankExchange::share_values(std::span<double> values) {
  const ProfileScope scope("exchange");
  std::future<void> known = post_values(values);
  ranks_.wait(known);
}

void RankExchange::share_runs(const Tensor& parameter, std::span<const std::int64_t> counts) {
  const ProfileScope scope("exchange");
  std::future<void> done = ranks_.post([&](Collectives& with) {
    std::vector<std::size_t> bytes;
    std::size_t before = 0;
    for (int rank = 0; rank < with.size(); ++rank) {
      bytes.push_back(static_cast<std::size_t>(counts[static_cast<std::size_t>(rank)]) *
                      sizeof(float));
      if (rank < with.rank()) before += bytes.back();
    }
    const auto all = std::span(static_cast<std::byte*>(parameter.raw()), parameter.bytes());
    const auto own = all.subspan(before, bytes[static_cast<std::size_t>(with.rank())]);
    // MPI takes no run from where it puts it.
    const std::vector<std::byte> mine(own.begin(), own.end());
    with.all_gather(mine, bytes, all);
  });
  ranks_.wait(done);
}

void RankExchange::finish(std::span<double> values) {
  const ProfileScope scope("exchange");
  if (buckets_.empty()) fill_buckets();
  post_ready();
  std::future<void> known = post_values(values);
  for (Bucket& bucket : buckets_) {
    ranks_.wait(bucket.done);
    put(bucket);
  }
  ranks_.wait(known);
  for (Leaf& leaf : leaves_) leaf.ready = false;
  next_ = 0;
}

std::unique_ptr<RankExchange> exchange_of(const RankGroup& ranks, const TrainConfig& config) {
  if (!ranks.several()) return nullptr;
  return std::make_unique<RankExchange>(ranks.ranks(), config.accumulate, config.communicate);
}

}  // namespace sluice
