#include "rank_exchange.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "sluice/base/profile.hpp"
#include "span_sum.hpp"

namespace sluice {
namespace {

/// Slices begin at multiples of this many scalars, a line of the cache.
constexpr std::int64_t slice_grain = 16;

/// What a node of a leaf is: no gradient, a tensor, or, from 0 on, that many sparse rows.
constexpr std::int64_t nothing = -2;
constexpr std::int64_t dense = -1;

/// Of n scalars, those that process `rank` of `size` adds.
ScalarRange slice_of(std::int64_t n, int rank, int size) {
  const auto bound = [&](int r) {
    return r == size ? n : n * r / size / slice_grain * slice_grain;
  };
  return {bound(rank), bound(rank + 1)};
}
ScalarRange overlap(ScalarRange a, ScalarRange b) {
  const std::int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

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
    /// Of a divided leaf: this process's part of its total, in its place.
    Tensor total = {};
  };
  std::vector<Item> items;
  /// Totals of the other sliced items one after another; and the nodes of sparse ones.
  Tensor sums;
  std::vector<std::byte> nodes;
  std::future<void> done;
};

/// A leaf whose sum is made in slices.
struct RankExchange::Placed {
  Bucket::Item* item;
  /// Among the sums that all get; empty of a leaf that is divided.
  ScalarRange range;
  bool divided() const { return range.size() == 0; }
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
  std::vector<std::int64_t> bytes;
  for (const std::size_t leaf : order_) {
    bytes.push_back(leaves_[leaf].part->shape().elements() *
                    static_cast<std::int64_t>(sizeof(float)));
  }
  auto leaf = order_.begin();
  for (const std::size_t leaves : leaves_of_buckets(bytes)) {
    Bucket& bucket = buckets_.emplace_back();
    for (std::size_t i = 0; i < leaves; ++i, ++leaf) {
      bucket.items.push_back(
          {.leaf = *leaf, .shape = leaves_[*leaf].part->shape(), .own = {}, .kinds = {}});
    }
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
    const ProfileScope scope(ProfileScope::Beside(), "gradients exchanged");
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

RankExchange::Outgoing RankExchange::outgoing(const Collectives& with,
                                              std::span<const Placed> placed,
                                              const PartOf& part_of) {
  Outgoing going;
  const Bucket::Item& first = *placed.front().item;
  wire_.clear();
  if (!wire_.rounds() && placed.size() == 1 && first.own.size() == 1 &&
      first.own.front().kind == dense) {
    // One node of one leaf, as large leaves are, is sent from where it is.
    const auto elements = static_cast<std::size_t>(first.shape.elements());
    for (int to = 0; to < with.size(); ++to) {
      const auto part = to == with.rank() ? ScalarRange{} : part_of(placed.front(), to);
      going.parts.push_back({static_cast<std::size_t>(part.begin) * sizeof(float),
                             static_cast<std::size_t>(part.size()) * sizeof(float)});
    }
    going.bytes = std::as_bytes(std::span(first.own.front().values, elements));
    return going;
  }
  for (int to = 0; to < with.size(); ++to) {
    const std::size_t before = wire_.size();
    for (std::size_t node = 0; node < first.own.size(); ++node) {
      for (const Placed& leaf : placed) {
        const auto& values = leaf.item->own[node];
        const ScalarRange part = part_of(leaf, to);
        if (values.kind == nothing || part.size() == 0) continue;
        if (to == with.rank() && !wire_.rounds()) continue;
        wire_.append(values.values + part.begin, part.size(),
                     {leaf.item->leaf, node, part.begin, leaf.item->shape.elements()});
      }
    }
    going.parts.push_back(
        {before * wire_.scalar_bytes(), (wire_.size() - before) * wire_.scalar_bytes()});
  }
  going.bytes = wire_.bytes();
  return going;
}

void RankExchange::sum_dense(Collectives& with, Bucket& bucket) {
  std::vector<Placed> placed;
  std::int64_t n = 0;
  for (Bucket::Item& item : bucket.items) {
    if (!item.sliced()) continue;
    const std::int64_t elements = item.shape.elements();
    const std::int64_t common = divided(item.leaf) ? 0 : elements;
    placed.push_back({&item, {n, n + common}});
    wire_.expect(item.leaf, elements);
    n += common;
  }
  if (placed.empty()) return;
  const int size = with.size();
  // Which of a leaf's scalars a process adds.
  const auto part_of = [&](const Placed& leaf, int rank) {
    if (leaf.divided()) return division_.range(leaf.item->leaf, rank);
    const ScalarRange common = overlap(leaf.range, slice_of(n, rank, size));
    return ScalarRange{common.begin - leaf.range.begin, common.end - leaf.range.begin};
  };
  // Rounded numbers are rounded here, too; others of one's own are read where they are.
  const bool all_travel = wire_.rounds();
  std::vector<std::size_t> to_counts;
  const Outgoing going = outgoing(with, placed, part_of);
  // What comes, in the order in which it was sent: of each process, node by node, leaf by leaf; the
  // numbers are null where they come from outside.
  std::size_t coming = 0;
  const auto for_each_node = [&](auto&& body) {
    std::size_t first = 0;
    for (int rank = 0; rank < size; ++rank) {
      const std::vector<SumNode>& places = places_[static_cast<std::size_t>(rank)];
      for (std::size_t node = 0; node < places.size(); ++node) {
        for (std::size_t leaf = 0; leaf < placed.size(); ++leaf) {
          const Bucket::Item& item = *placed[leaf].item;
          const ScalarRange part = part_of(placed[leaf], with.rank());
          if (part.size() == 0) continue;
          const bool has = item.kinds[first + node] != nothing;
          const bool here = has && rank == with.rank() && !all_travel;
          body(places[node], leaf, here ? item.own[node].values + part.begin : nullptr,
               has && !here ? static_cast<std::size_t>(part.size()) : 0);
        }
      }
      first += places.size();
      to_counts.push_back(coming * wire_.scalar_bytes());
    }
  };
  for_each_node(
      [&](const SumNode&, std::size_t, const float*, std::size_t comes) { coming += comes; });
  for (std::size_t r = to_counts.size() - 1; r > 0; --r) to_counts[r] -= to_counts[r - 1];
  if (!incoming_.defined() || incoming_.elements() < static_cast<std::int64_t>(coming)) {
    incoming_ = Tensor(Shape{static_cast<std::int64_t>(coming)});
  }
  const std::span<float> incoming = incoming_.span<float>().first(coming);
  with.all_to_all(going.bytes, going.parts, wire_.room(incoming), to_counts);
  wire_.arrived(incoming);

  // The sums that this process makes are made where all will have them.
  bucket.sums = Tensor(Shape{n});
  const ScalarRange own = slice_of(n, with.rank(), size);
  float* sum = bucket.sums.data<float>() + own.begin;
  std::vector<SpanSum> totals;
  for (const Placed& leaf : placed) {
    const ScalarRange part = part_of(leaf, with.rank());
    float* to = nullptr;
    if (leaf.divided()) {
      leaf.item->total = Tensor(leaf.item->shape);
      to = leaf.item->total.data<float>() + part.begin;
    } else if (!all_travel) {
      to = std::exchange(sum, sum + part.size());
    }
    totals.emplace_back(part.size(), to);
  }
  float* next = incoming.data();
  std::optional<ProfileScope> adding(std::in_place, ProfileScope::Beside(), "gradients added");
  for_each_node([&](const SumNode& node, std::size_t leaf, const float* here, std::size_t comes) {
    totals[leaf].push(node.level, node.index,
                      comes > 0 ? SpanSum::Numbers{next, next} : SpanSum::Numbers{here, nullptr});
    next += comes;
  });
  wire_.clear();
  for (std::size_t leaf = 0; leaf < placed.size(); ++leaf) {
    const ScalarRange part = part_of(placed[leaf], with.rank());
    if (part.size() == 0) continue;
    const Bucket::Item& item = *placed[leaf].item;
    // Adds what is left to add.
    const float* const total = totals[leaf].total();
    if (!all_travel || placed[leaf].divided()) continue;
    wire_.append(total, part.size(),
                 {item.leaf, wire_.slots() - 1, part.begin, item.shape.elements()});
  }
  adding.reset();
  if (n == 0) return;
  std::vector<std::size_t> slices;
  slices.reserve(static_cast<std::size_t>(size));
  for (int rank = 0; rank < size; ++rank) {
    slices.push_back(static_cast<std::size_t>(slice_of(n, rank, size).size()) *
                     wire_.scalar_bytes());
  }
  const std::span<float> sums = bucket.sums.span<float>();
  const auto mine = all_travel ? wire_.bytes()
                               : std::as_bytes(sums.subspan(static_cast<std::size_t>(own.begin),
                                                            static_cast<std::size_t>(own.size())));
  with.all_gather(mine, slices, wire_.room(sums));
  wire_.arrived(sums);
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
  bool sparse = false;
  std::int64_t at = 0;
  for (Bucket::Item& item : bucket.items) {
    sparse = sparse || item.sparse();
    if (!item.sliced()) continue;
    if (divided(item.leaf)) {
      leaves_[item.leaf].total->accumulate(std::exchange(item.total, {}));
      continue;
    }
    // Gradients are views of the sums.
    const std::int64_t end = at + item.shape.elements();
    leaves_[item.leaf].total->accumulate(bucket.sums.rows(at, end).reshape(item.shape));
    at = end;
  }
  bucket.sums = Tensor();
  if (sparse) put_sparse(bucket);
}

void RankExchange::put_sparse(Bucket& bucket) {
  std::vector<MicroSum> sparse;
  for (const Bucket::Item& item : bucket.items) {
    if (item.sparse()) sparse.emplace_back(item.shape, DType::f32);
  }
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
