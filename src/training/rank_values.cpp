// What processes exchange beside gradients: numbers of micro-batches, updates, sums of squares.

#include <algorithm>
#include <numeric>
#include <utility>

#include "rank_exchange.hpp"
#include "sluice/base/profile.hpp"

namespace sluice {
namespace {

/// Of a value with so many bytes every process's part is read and written where it is; smaller ones
/// travel together.
constexpr std::size_t large_update_bytes = std::size_t{1} << 19;

}  // namespace

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

void RankExchange::share_updates(std::span<const Tensor> values) {
  const ProfileScope scope("exchange");
  std::vector<std::future<void>> done;
  std::vector<Update> small;
  std::size_t bytes = 0;
  const auto send_small = [&] {
    done.push_back(ranks_.post([this, updates = std::exchange(small, {})](Collectives& with) {
      const ProfileScope beside(ProfileScope::Beside(), "updates exchanged");
      gather_small(with, updates);
    }));
    bytes = 0;
  };
  for (std::size_t leaf = 0; leaf < values.size(); ++leaf) {
    const Tensor& value = values[leaf];
    if (value.bytes() >= large_update_bytes) {
      done.push_back(ranks_.post([this, update = Update{leaf, value}](Collectives& with) {
        const ProfileScope beside(ProfileScope::Beside(), "updates exchanged");
        gather_large(with, update);
      }));
      continue;
    }
    if (bytes + value.bytes() > bucket_bytes) send_small();
    small.push_back({leaf, value});
    bytes += value.bytes();
  }
  if (!small.empty()) send_small();
  for (std::future<void>& each : done) ranks_.wait(each);
}

void RankExchange::gather_large(Collectives& with, const Update& update) {
  std::vector<std::size_t> counts;
  std::size_t before = 0;
  for (int rank = 0; rank < with.size(); ++rank) {
    const ScalarRange part = division_.range(update.leaf, rank);
    counts.push_back(static_cast<std::size_t>(part.size()) * sizeof(float));
    if (rank < with.rank()) before += counts.back();
  }
  const auto all = std::as_writable_bytes(update.value.span<float>());
  with.all_gather(all.subspan(before, counts[static_cast<std::size_t>(with.rank())]), counts, all);
}

void RankExchange::gather_small(Collectives& with, std::span<const Update> updates) {
  // What process `rank` has of each.
  const auto for_each_part = [&](int rank, auto&& body) {
    for (const Update& update : updates) {
      const ScalarRange part = division_.range(update.leaf, rank);
      body(update.value.data<float>() + part.begin, static_cast<std::size_t>(part.size()));
    }
  };
  std::vector<std::size_t> counts;
  std::vector<float> mine, all;
  std::size_t n = 0;
  for (int rank = 0; rank < with.size(); ++rank) {
    std::size_t of_rank = 0;
    for_each_part(rank, [&](const float* part, std::size_t size) {
      of_rank += size;
      if (rank == with.rank()) mine.insert(mine.end(), part, part + size);
    });
    counts.push_back(of_rank * sizeof(float));
    n += of_rank;
  }
  all.resize(n);
  with.all_gather(bytes_of(mine), counts, writable(all));
  const float* next = all.data();
  for (int rank = 0; rank < with.size(); ++rank) {
    for_each_part(rank, [&](float* part, std::size_t size) {
      if (rank != with.rank()) std::copy_n(next, size, part);
      next += size;
    });
  }
}

std::vector<double> RankExchange::gather(std::span<const double> mine,
                                         std::span<const std::size_t> counts) {
  const ProfileScope scope("exchange");
  std::vector<double> all(std::accumulate(counts.begin(), counts.end(), std::size_t{0}));
  std::future<void> done = ranks_.post([&](Collectives& with) {
    std::vector<std::size_t> bytes;
    for (const std::size_t count : counts) bytes.push_back(count * sizeof(double));
    with.all_gather(std::as_bytes(mine), bytes, writable(all));
  });
  ranks_.wait(done);
  return all;
}

}  // namespace sluice
