#include "sluice/inference/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/inference/detail/pass_rows.hpp"

namespace sluice {
namespace {

/// Most rows of one text, and of all texts, in one pass: enough for fast products, little memory.
constexpr std::int64_t most_of_text = 512;
constexpr std::int64_t most_rows = 2048;

void check(std::span<Session* const> sessions, std::span<const std::span<const std::int32_t>> ids) {
  if (sessions.size() != ids.size()) {
    throw Error(
        fmt::format("session: {} texts given for {} sessions", ids.size(), sessions.size()));
  }
  std::vector<const Session*> sorted(sessions.begin(), sessions.end());
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
    throw Error("session: one session is named twice in a step; make a copy of it");
  }
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    const FrozenModel& model = sessions[i]->model();
    if (&model != &sessions.front()->model()) {
      throw Error("session: a step takes sessions of one model; step those of each by themselves");
    }
    for (const std::int32_t id : ids[i]) {
      if (id < 0 || id >= model.vocabulary()) {
        throw Error(fmt::format("session: token {} is outside the model's vocabulary of {}", id,
                                model.vocabulary()));
      }
    }
  }
}

}  // namespace

Session::Session(std::shared_ptr<const FrozenModel> model) : model_(std::move(model)) {}

void Session::feed(std::span<const std::int32_t> ids) {
  Session* const self = this;
  step({&self, 1}, {&ids, 1});
}

void Session::reset() {
  state_ = {};
  hidden_ = Tensor();
}

Tensor Session::log_probabilities() const {
  if (!hidden_.defined()) {
    throw Error("session: nothing was read yet; feed it the end of a line to start a text");
  }
  return model_->log_probabilities(hidden_).reshape(Shape{model_->vocabulary()});
}

std::size_t Session::bytes() const {
  return state_.bytes() + (hidden_.defined() ? hidden_.bytes() : 0);
}

void Session::step(std::span<Session* const> sessions,
                   std::span<const std::span<const std::int32_t>> ids) {
  check(sessions, ids);
  std::vector<std::span<const std::int32_t>> left(ids.begin(), ids.end());
  while (true) {
    std::vector<std::size_t> reading;
    for (std::size_t i = 0; i < left.size(); ++i) {
      if (!left[i].empty()) reading.push_back(i);
    }
    if (reading.empty()) return;
    const std::int64_t most = std::clamp<std::int64_t>(
        most_rows / static_cast<std::int64_t>(reading.size()), 1, most_of_text);
    detail::PassRows pass;
    std::vector<std::int64_t> last;
    for (const std::size_t i : reading) {
      const auto count = std::min(static_cast<std::size_t>(most), left[i].size());
      pass.add(sessions[i]->state_, left[i].first(count));
      last.push_back(pass.rows() - 1);
      left[i] = left[i].subspan(count);
    }
    const Tensor hidden = pass.read(*sessions.front()->model_);
    for (std::size_t j = 0; j < reading.size(); ++j) {
      sessions[reading[j]]->hidden_ = detail::own_row(hidden, last[j]);
    }
  }
}

}  // namespace sluice
