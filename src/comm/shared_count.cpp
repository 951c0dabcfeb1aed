#include "shared_count.hpp"

namespace sluice {

SharedCount::SharedCount(const MpiTable& mpi, int rank, int size) : mpi_(mpi) {
  for (int other = 1; rank == 0 && other < size; ++other) peers_.push_back({.rank = other});
  for (Peer& peer : peers_) {
    peer.asked = mpi_.receive(&peer.question, sizeof peer.question, peer.rank, question_tag);
  }
}

void SharedCount::serve() {
  for (Peer& peer : peers_) {
    if (peer.answered != nullptr && mpi_.test(peer.answered) != 0) peer.answered = nullptr;
    // An answer that is on its way keeps its place: nobody asks again before it is there.
    if (peer.answered != nullptr || peer.asked == nullptr || mpi_.test(peer.asked) == 0) continue;
    peer.answer = next_here();
    peer.answered = mpi_.send(&peer.answer, sizeof peer.answer, peer.rank, answer_tag);
    peer.asked = mpi_.receive(&peer.question, sizeof peer.question, peer.rank, question_tag);
  }
}

void SharedCount::end() {
  for (const Peer& peer : peers_) {
    for (void* request : {peer.asked, peer.answered}) {
      if (request != nullptr) mpi_.cancel(request);
    }
  }
  peers_.clear();
}

}  // namespace sluice
