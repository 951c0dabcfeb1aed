#include "heartbeat.hpp"

namespace sluice {
namespace {

constexpr int heartbeat_tag = 1;
/// A sign: twice what was begun, and one more of a process that is about to end the job.
constexpr std::int64_t sign_of(std::int64_t begun, bool failing) {
  return 2 * begun + (failing ? 1 : 0);
}
constexpr std::int64_t begun_of(std::int64_t sign) { return sign / 2; }
constexpr bool is_failing(std::int64_t sign) { return sign % 2 == 1; }
constexpr std::chrono::milliseconds between_beats{1000};
constexpr std::chrono::milliseconds between_looks{100};
/// By then a job whose other processes gave this one up has been ended.
constexpr std::chrono::seconds being_missed{30};

}  // namespace

Heartbeat::Heartbeat(const MpiTable& mpi, int rank, int size) : mpi_(mpi), straggler_(size) {
  const Clock::time_point now = Clock::now();
  if (rank != 0) {
    peers_.push_back({.rank = 0, .heard = now});
  } else {
    for (int other = 1; other < size; ++other) peers_.push_back({.rank = other, .heard = now});
  }
  for (Peer& peer : peers_) {
    peer.receiving = mpi_.receive(&peer.in, sizeof peer.in, peer.rank, heartbeat_tag);
  }
}

void Heartbeat::end() {
  for (const Peer& peer : peers_) {
    for (void* request : {peer.sending, peer.receiving}) {
      if (request != nullptr) mpi_.cancel(request);
    }
  }
  peers_.clear();
}

void Heartbeat::show(Peer& peer, Clock::time_point now) {
  if (peer.sending != nullptr && mpi_.test(peer.sending) != 0) peer.sending = nullptr;
  const bool news = failing_ && !peer.told;
  if (peer.sending != nullptr || (now - peer.sent < between_beats && !news)) return;
  peer.told = failing_;
  peer.out = sign_of(begun_, failing_);
  peer.sent = now;
  peer.sending = mpi_.send(&peer.out, sizeof peer.out, peer.rank, heartbeat_tag);
}

std::optional<int> Heartbeat::beat(double timeout, std::int64_t begun) {
  const Clock::time_point now = Clock::now();
  if (now < next_) return std::nullopt;
  next_ = now + between_looks;
  begun_ = begun;
  straggler_.saw(0, begun);
  // A process that was stopped itself for a while has not listened: it hears the others first.
  const bool slept = std::chrono::duration<double>(now - looked_).count() > timeout / 2;
  looked_ = now;
  if (slept) woken_ = now;
  missed_ = woken_ && now - *woken_ < being_missed;
  std::optional<int> silent;
  for (Peer& peer : peers_) {
    while (peer.receiving != nullptr && mpi_.test(peer.receiving) != 0) {
      peer.heard = now;
      if (peer.rank == 0 && is_failing(peer.in)) first_failed_ = true;
      straggler_.saw(peer.rank, begun_of(peer.in));
      peer.receiving = mpi_.receive(&peer.in, sizeof peer.in, peer.rank, heartbeat_tag);
    }
    if (slept) peer.heard = now;
    show(peer, now);
    const double quiet = std::chrono::duration<double>(now - peer.heard).count();
    if (!silent && quiet > timeout) silent = peer.rank;
  }
  return silent;
}

}  // namespace sluice
