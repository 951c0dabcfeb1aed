#include "rank_group.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace sluice {
namespace {

/// What the system calls the processor.
std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name"))
      return line.substr(std::min(line.size(), line.find(':') + 2));
  }
  return "an unnamed processor";
}

}  // namespace

Moment RankGroup::agree(const Moment& own) const {
  if (!several()) return own;
  const std::vector<Moment> all = ranks_->gather(own);
  Moment agreed = all.front();
  for (const Moment& each : all) agreed.stop = std::max(agreed.stop, each.stop);
  return agreed;
}

void RankGroup::send(const Tensor& tensor) const {
  std::future<void> done = ranks_->post([&](Collectives& with) {
    with.send({static_cast<const std::byte*>(tensor.raw()), tensor.bytes()}, 0);
  });
  ranks_->wait(done);
}

Tensor RankGroup::receive(int from, const Shape& shape, DType dtype) const {
  Tensor tensor = Tensor::zeros(shape, dtype);
  std::future<void> done = ranks_->post([&](Collectives& with) {
    with.receive(
        std::as_writable_bytes(std::span(static_cast<std::byte*>(tensor.raw()), tensor.bytes())),
        from);
  });
  ranks_->wait(done);
  return tensor;
}

void RankGroup::gather(std::span<double> values) const {
  if (!several()) return;
  const auto n = static_cast<std::int64_t>(values.size());
  const auto bytes = [&](int rank) {
    const MicroBatches part = share_of(n, rank, size());
    return std::as_writable_bytes(values.subspan(static_cast<std::size_t>(part.begin),
                                                 static_cast<std::size_t>(part.size())));
  };
  const auto own = bytes(rank());
  const std::vector<std::string> all =
      ranks_->all_gather({reinterpret_cast<const char*>(own.data()), own.size()});
  for (int rank = 0; rank < size(); ++rank) {
    const std::string& from = all[static_cast<std::size_t>(rank)];
    std::copy_n(reinterpret_cast<const std::byte*>(from.data()), from.size(), bytes(rank).data());
  }
}

void RankGroup::check_same(const Fingerprint& facts) const {
  if (several()) ranks_->check_same(Facts(facts.begin(), facts.end()));
}

std::string RankGroup::other_processor() const {
  const std::vector<std::string> all = ranks_->all_gather(processor_name());
  for (int rank = 1; rank < size(); ++rank) {
    const std::string& there = all[static_cast<std::size_t>(rank)];
    if (there == all.front()) continue;
    return fmt::format(
        "{} has another processor ({}) than {} ({}): the last bits of the result may be others "
        "than those of machines that are all alike",
        ranks_->title(rank), there, ranks_->title(0), all.front());
  }
  return "";
}

}  // namespace sluice
