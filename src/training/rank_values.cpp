// What processes exchange beside gradients: numbers of micro-batches, updates, sums of squares.

#include <algorithm>
#include <numeric>
#include <utility>

#include "rank_exchange.hpp"
#include "sluice/base/profile.hpp"

namespace sluice {

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
  for (std::size_t first = 0, last = 0; first < values.size(); first = last) {
    std::size_t bytes = 0;
    while (last < values.size() && (last == first || bytes + values[last].bytes() <= bucket_bytes))
      bytes += values[last++].bytes();
    const auto some = values.subspan(first, last - first);
    done.push_back(
        ranks_.post([this, first, of_group = std::vector<Tensor>(some.begin(), some.end())](
                        Collectives& with) { gather_parts(with, first, of_group); }));
  }
  for (std::future<void>& each : done) ranks_.wait(each);
}

void RankExchange::gather_parts(Collectives& with, std::size_t first,
                                std::span<const Tensor> values) {
  // What process `rank` has of each.
  const auto for_each_part = [&](int rank, auto&& body) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const ScalarRange part = division_.range(first + i, rank);
      body(values[i].data<float>() + part.begin, static_cast<std::size_t>(part.size()));
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
