#include "thread.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "sluice/comm/detail/patience.hpp"

namespace sluice {
namespace {

constexpr int data_tag = 2;
/// How often to ask at once while somebody waits, and how long to sleep between further questions:
/// a network takes tens of microseconds.
constexpr int asked_at_once = 100;
constexpr std::chrono::microseconds nap{20};
/// While the thread that computes has the core: longer and longer, since each question takes it
/// from that thread for some microseconds. Who begins to wait wakes this thread.
constexpr std::chrono::microseconds nap_beside_work{100};
constexpr std::chrono::microseconds longest_nap{400};
/// How long others wait, at most, for what they ask of this process while it has nothing to say.
constexpr std::chrono::milliseconds idle{5};
constexpr std::chrono::milliseconds to_be_heard{300};

int count_of(std::size_t bytes) {
  if (bytes <= INT_MAX) return static_cast<int>(bytes);
  throw Error(
      fmt::format("processes cannot exchange {} bytes at once: the limit is {}", bytes, INT_MAX));
}

/// Counts and offsets of parts, as MPI wants them.
struct Parts {
  explicit Parts(std::span<const Collectives::Part> parts) {
    for (const auto& part : parts) {
      counts.push_back(count_of(part.size));
      offsets.push_back(count_of(part.offset));
    }
  }
  /// That follow each other.
  explicit Parts(std::span<const std::size_t> sizes) {
    std::size_t offset = 0;
    for (const std::size_t size : sizes) {
      counts.push_back(count_of(size));
      offsets.push_back(count_of(offset));
      offset += size;
    }
  }
  std::vector<int> counts, offsets;
};

}  // namespace

Communicator::Thread::Thread(const MpiTable& mpi, const Options& options)
    : mpi_(mpi), options_(options) {
  std::promise<void> opened;
  std::future<void> open = opened.get_future();
  thread_ = std::thread(&Thread::run, this, std::move(opened));
  try {
    open.get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

Communicator::Thread::~Thread() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Communicator::Thread::name(std::function<std::string(int rank)> title) {
  const std::lock_guard lock(mutex_);
  title_ = std::move(title);
}

void Communicator::Thread::abort(int status) noexcept {
  heartbeat_->fail();
  std::this_thread::sleep_for(to_be_heard);
  mpi_.abort(status);
}

std::optional<int> Communicator::Thread::attend() {
  count_->serve();
  const std::optional<int> silent = heartbeat_->beat(patience(), begun_);
  if (rank_ == 0 && options_.waits_for && !silent) tell_straggler();
  return silent;
}

void Communicator::Thread::tell_straggler() {
  if (const auto rank = heartbeat_->straggler(options_.timeout)) {
    options_.waits_for(title_of(*rank), options_.timeout);
  }
}

std::string Communicator::Thread::title_of(int rank) {
  const std::lock_guard lock(mutex_);
  return title_ ? title_(rank) : fmt::format("rank {}", rank);
}

std::int64_t Communicator::Thread::next_number() {
  if (rank_ == 0) return count_->next_here();
  std::int64_t number = 0;
  std::future<void> done = post([&](Collectives&) {
    const std::int64_t question = 0;
    finish(mpi_.send(&question, sizeof question, 0, SharedCount::question_tag));
    finish(mpi_.receive(&number, sizeof number, 0, SharedCount::answer_tag));
  });
  const Waiting waiting(*this);
  done.get();
  return number;
}

double Communicator::Thread::patience() const {
  // A launcher sends a signal to all when it has seen a process die, too.
  const bool stopping = options_.stop != nullptr && options_.stop->load() != 0;
  return stopping ? timeout_when_stopping(options_.timeout) : options_.timeout;
}

std::future<void> Communicator::Thread::post(std::function<void(Collectives&)> work) {
  Work task([this, work = std::move(work)](Collectives& with) {
    if (broken_) std::rethrow_exception(broken_);
    try {
      work(with);
    } catch (const RankError&) {
      broken_ = std::current_exception();
      throw;
    }
  });
  std::future<void> done = task.get_future();
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
  }
  changed_.notify_one();
  return done;
}

void Communicator::Thread::leave() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = leaving_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Communicator::Thread::run(std::promise<void> opened) {
  if (const char* fault = mpi_.open(&rank_, &size_); fault != nullptr) {
    opened.set_exception(std::make_exception_ptr(Error(fmt::format("cannot use MPI: {}", fault))));
    return;
  }
  heartbeat_ = std::make_unique<Heartbeat>(mpi_, rank_, size_);
  count_ = std::make_unique<SharedCount>(mpi_, rank_, size_);
  opened.set_value();
  do_all();
  if (!leaving_) return;
  heartbeat_->end();
  count_->end();
  mpi_.close();
}

bool Communicator::Thread::next(Work& work) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, idle, [&] { return ending_ || !posted_.empty(); });
  if (posted_.empty()) return false;
  work = std::move(posted_.front());
  posted_.pop_front();
  return true;
}

void Communicator::Thread::do_all() {
  while (true) {
    Work work;
    if (next(work)) {
      work(*this);
      continue;
    }
    {
      const std::lock_guard lock(mutex_);
      if (ending_ && posted_.empty()) return;
    }
    // Who is silent is told of when something is asked of it.
    static_cast<void>(attend());
  }
}

void Communicator::Thread::finish(void* request) {
  if (request == nullptr) throw RankError("another process has gone: MPI cannot reach it");
  auto nap_now = nap_beside_work;
  for (int asked = 0;; ++asked) {
    const int state = mpi_.test(request);
    if (state == 1) return;
    if (state < 0) throw RankError("another process has gone: MPI lost its connection");
    if (const std::optional<int> silent = attend()) {
      throw RankError(fmt::format(
          "{} has shown no sign of life for {:g} seconds: it hangs, its machine does, or the "
          "network is down; what was saved last is whole",
          title_of(*silent), patience()));
    }
    if (waiting_.load(std::memory_order_relaxed) == 0) {
      std::unique_lock lock(mutex_);
      awaited_.wait_for(lock, nap_now, [&] { return waiting_.load() > 0; });
      nap_now = std::min(nap_now * 3 / 2, longest_nap);
      asked = 0;
    } else if (asked < asked_at_once) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(nap);
    }
  }
}

void Communicator::Thread::all_gather(std::span<const std::byte> mine,
                                      std::span<const std::size_t> counts,
                                      std::span<std::byte> all) {
  ++begun_;
  const Parts parts(counts);
  const bool in_place =
      mine.data() == all.data() + parts.offsets[static_cast<std::size_t>(rank_)] && !all.empty();
  const std::byte none{};  // null means in place, an empty part may be null
  const std::byte* const from = mine.empty() ? &none : mine.data();
  finish(mpi_.all_gather(in_place ? nullptr : from, count_of(mine.size()), all.data(),
                         parts.counts.data(), parts.offsets.data()));
}

void Communicator::Thread::all_to_all(std::span<const std::byte> from,
                                      std::span<const Part> from_parts, std::span<std::byte> to,
                                      std::span<const std::size_t> to_counts) {
  ++begun_;
  const Parts out(from_parts), in(to_counts);
  finish(mpi_.all_to_all(from.data(), out.counts.data(), out.offsets.data(), to.data(),
                         in.counts.data(), in.offsets.data()));
}

void Communicator::Thread::broadcast(std::span<std::byte> data, int root) {
  ++begun_;
  finish(mpi_.broadcast(data.data(), count_of(data.size()), root));
}

void Communicator::Thread::send(std::span<const std::byte> data, int to) {
  finish(mpi_.send(data.data(), count_of(data.size()), to, data_tag));
}

void Communicator::Thread::receive(std::span<std::byte> data, int from) {
  finish(mpi_.receive(data.data(), count_of(data.size()), from, data_tag));
}

}  // namespace sluice
