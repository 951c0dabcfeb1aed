#include "sluice/comm/communicator.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <numeric>
#include <optional>

#include "mpi_module.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/comm/detail/other_fact.hpp"
#include "thread.hpp"

namespace sluice {
namespace {

/// What launchers tell the processes that they start: how many there are, and which one it is.
/// srun's own variables are of the step, those of the whole allocation begin alike in a shell too.
struct Launcher {
  const char* size;
  const char* rank;
};
constexpr Launcher launchers[] = {{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
                                  {"PMI_SIZE", "PMI_RANK"},
                                  {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}};

/// What a variable of a launcher's says; nothing when it is unset or empty.
std::optional<std::int64_t> number_in(const char* name, std::int64_t least, std::int64_t most) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  const auto number = whole_number(text);
  if (number && *number >= least && *number <= most) return number;
  throw Error(fmt::format(
      "the environment's {} is {}, expected a whole number from {} to {}: it is a launcher's, as "
      "mpirun and srun set it; unset it where there is none",
      name, in_quotes(text), least, most));
}

/// Which process of a job of several this one is; nothing for one by itself.
std::optional<int> rank_of_several() {
  constexpr std::int64_t most = 10'000'000;
  for (const Launcher& each : launchers) {
    const auto size = number_in(each.size, 1, most);
    if (!size || *size == 1) continue;
    const auto rank = number_in(each.rank, 0, *size - 1);
    if (!rank) {
      throw Error(fmt::format(
          "the environment has {} without {}: a launcher, as mpirun and srun are, sets both",
          each.size, each.rank));
    }
    return static_cast<int>(*rank);
  }
  return std::nullopt;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "an unnamed machine";
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
std::span<std::byte> bytes_of(std::string& text) {
  return std::as_writable_bytes(std::span(text.data(), text.size()));
}

/// How many bytes each process has, this one `own`.
std::vector<std::size_t> sizes_of_all(Collectives& with, std::size_t own) {
  std::vector<std::size_t> sizes(static_cast<std::size_t>(with.size()));
  const std::vector<std::size_t> each(sizes.size(), sizeof own);
  with.all_gather(std::as_bytes(std::span(&own, 1)), each,
                  std::as_writable_bytes(std::span(sizes)));
  return sizes;
}

/// The parts of these sizes, which follow each other in `all`.
std::vector<std::string> cut(std::string_view all, std::span<const std::size_t> sizes) {
  std::vector<std::string> out;
  for (const std::size_t size : sizes) {
    out.emplace_back(all.substr(0, size));
    all.remove_prefix(size);
  }
  return out;
}

/// A process by itself.
class Alone final : public Collectives {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_gather(std::span<const std::byte> mine, std::span<const std::size_t> /*counts*/,
                  std::span<std::byte> all) override {
    std::copy(mine.begin(), mine.end(), all.begin());
  }
  void all_to_all(std::span<const std::byte> from, std::span<const Part> from_parts,
                  std::span<std::byte> to, std::span<const std::size_t> /*to_counts*/) override {
    const auto mine = from.subspan(from_parts.front().offset, from_parts.front().size);
    std::copy(mine.begin(), mine.end(), to.begin());
  }
  void broadcast(std::span<std::byte> /*data*/, int /*root*/) override {}
  void send(std::span<const std::byte> /*data*/, int /*to*/) override {}
  void receive(std::span<std::byte> /*data*/, int /*from*/) override {}
};

}  // namespace

void Collectives::all_to_all(std::span<const std::byte> from,
                             std::span<const std::size_t> from_counts, std::span<std::byte> to,
                             std::span<const std::size_t> to_counts) {
  std::vector<Part> parts;
  std::size_t offset = 0;
  for (const std::size_t size : from_counts) {
    parts.push_back({offset, size});
    offset += size;
  }
  all_to_all(from, parts, to, to_counts);
}

Communicator::Communicator() : hosts_{host_name()} {}

Communicator::~Communicator() = default;

bool Communicator::launched() { return rank_of_several().has_value(); }

int Communicator::launched_rank() { return rank_of_several().value_or(0); }

std::unique_ptr<Communicator> Communicator::open(const Options& options) {
  auto made = std::make_unique<Communicator>();
  made->thread_ = std::make_unique<Thread>(load_mpi(), options);
  made->rank_ = made->thread_->rank();
  made->hosts_.resize(static_cast<std::size_t>(made->thread_->size()));
  made->hosts_ = made->all_gather(host_name());
  made->thread_->name([communicator = made.get()](int rank) { return communicator->title(rank); });
  return made;
}

std::string Communicator::title(int rank) const {
  return fmt::format("rank {} on {}", rank, hosts_[static_cast<std::size_t>(rank)]);
}

int Communicator::local_size() const {
  return static_cast<int>(
      std::count(hosts_.begin(), hosts_.end(), hosts_[static_cast<std::size_t>(rank_)]));
}

std::vector<std::string> Communicator::all_gather(std::string_view mine) {
  std::vector<std::size_t> sizes;
  std::string all;
  call([&](Collectives& with) {
    sizes = sizes_of_all(with, mine.size());
    all.resize(std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}));
    with.all_gather(bytes_of(mine), sizes, bytes_of(all));
  });
  return cut(all, sizes);
}

std::vector<std::string> Communicator::collect(std::string_view mine) {
  std::vector<std::size_t> sizes;
  std::string all;
  call([&](Collectives& with) {
    sizes = sizes_of_all(with, mine.size());
    std::vector<std::size_t> to_leader(sizes.size()), coming(sizes.size());
    to_leader[0] = mine.size();
    if (with.rank() == 0) coming = sizes;
    all.resize(std::accumulate(coming.begin(), coming.end(), std::size_t{0}));
    with.all_to_all(bytes_of(mine), to_leader, bytes_of(all), coming);
  });
  if (!leads()) return {};
  return cut(all, sizes);
}

Communicator::Scattered Communicator::scatter(std::span<const std::string> parts) {
  const auto n = static_cast<std::size_t>(size());
  /// Bytes of each part, and -1 where there is none.
  std::vector<std::int64_t> sizes(n, -1);
  std::string all;
  for (std::size_t p = 0; leads() && p < parts.size(); ++p) {
    sizes[p] = static_cast<std::int64_t>(parts[p].size());
    all += parts[p];
  }
  Scattered own;
  call([&](Collectives& with) {
    with.broadcast(std::as_writable_bytes(std::span(sizes)), 0);
    std::vector<std::size_t> going(n), coming(n);
    const auto bytes = [&](std::size_t p) {
      return static_cast<std::size_t>(std::max<std::int64_t>(sizes[p], 0));
    };
    for (std::size_t p = 0; with.rank() == 0 && p < n; ++p) going[p] = bytes(p);
    coming[0] = bytes(static_cast<std::size_t>(with.rank()));
    own.part.resize(coming[0]);
    with.all_to_all(bytes_of(std::string_view(all)), going, bytes_of(own.part), coming);
  });
  own.parts = static_cast<int>(
      std::count_if(sizes.begin(), sizes.end(), [](std::int64_t bytes) { return bytes >= 0; }));
  return own;
}

std::string Communicator::broadcast(std::string_view mine, int root) {
  std::string out;
  call([&](Collectives& with) {
    std::size_t size = mine.size();
    with.broadcast(std::as_writable_bytes(std::span(&size, 1)), root);
    if (with.rank() == root) out = mine;
    out.resize(size);
    with.broadcast(bytes_of(out), root);
  });
  return out;
}

void Communicator::check_same(const Facts& facts) {
  if (alone()) return;
  const std::optional<OtherFact> other = find_other(all_gather(bytes_of_facts(facts)));
  if (!other) return;
  throw RankError(
      fmt::format("{} has another {} than {}: {}, got {}; all processes of a job need the same "
                  "program, the same settings and the same files",
                  title(other->rank), other->name, title(0), other->first, other->there));
}

std::int64_t Communicator::next_number() { return thread_ ? thread_->next_number() : count_++; }

void Communicator::restart_count() {
  barrier();
  if (thread_) thread_->restart_count();
  count_ = 0;
  barrier();
}

void Communicator::call(std::function<void(Collectives&)> work) {
  std::future<void> done = post(std::move(work));
  wait(done);
}

std::future<void> Communicator::post(std::function<void(Collectives&)> work) {
  if (thread_) return thread_->post(std::move(work));
  std::packaged_task<void()> task([&] {
    Alone alone;
    work(alone);
  });
  task();
  return task.get_future();
}

void Communicator::wait(std::future<void>& work) {
  if (thread_) {
    const Thread::Waiting waiting(*thread_);
    work.get();
  } else {
    work.get();
  }
}

void Communicator::close() {
  if (!thread_) return;
  barrier();
  thread_->leave();
  thread_.reset();
}

bool Communicator::first_failed() const { return thread_ && thread_->first_failed(); }

bool Communicator::was_missed() const { return thread_ && thread_->was_missed(); }

void Communicator::abort(int status) noexcept {
  if (thread_) thread_->abort(status);
}

}  // namespace sluice
