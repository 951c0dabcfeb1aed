#include "sluice/inference/predictor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "sluice/base/error.hpp"
#include "sluice/inference/detail/pass_rows.hpp"
#include "sluice/tensor/detail/rows.hpp"

namespace sluice {
namespace {

using States = std::span<PredictorState* const>;
using Ids = Predictor::Ids;

void check(const Predictor& predictor, States states, std::span<const Ids> ids) {
  if (states.size() != ids.size()) {
    throw Error(
        fmt::format("predictor: tokens of {} texts given for {} texts", ids.size(), states.size()));
  }
  std::vector<const PredictorState*> sorted(states.begin(), states.end());
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
    throw Error("predictor: one text is named twice in a call; make a copy of its state");
  }
  for (const Ids list : ids) {
    for (const std::int32_t id : list) {
      if (id < 0 || id >= predictor.vocabulary()) {
        throw Error(fmt::format("predictor: token {} is outside the vocabulary of {}", id,
                                predictor.vocabulary()));
      }
    }
  }
}

/// Most rows of one text, and of all texts, in one pass: enough for fast products, little memory.
constexpr std::int64_t most_rows_of_text = 2048;
constexpr std::int64_t most_rows_in_all = 2048;

/// A text as a neural model keeps it: what was read, and the token after it that was not read yet;
/// or what was read and the last hidden row. Neither at the start.
struct ModelPart final : PredictorState::Part {
  StackState state;
  std::optional<std::int32_t> pending;
  Tensor hidden;
  std::unique_ptr<Part> clone() const override { return std::make_unique<ModelPart>(*this); }
};

Error nothing_read() {
  return Error(
      "predictor: a model predicts nothing before it has read something; feed it the end of a line "
      "to start a text");
}

class ModelPredictor final : public Predictor {
 public:
  explicit ModelPredictor(std::shared_ptr<const FrozenModel> model) : model_(std::move(model)) {}

  std::int64_t vocabulary() const override { return model_->vocabulary(); }
  bool predicts_start() const override { return false; }

 private:
  /// One pass, and whose its rows are.
  struct Pass {
    detail::PassRows rows;
    /// In do_nll(): where what is asked of the rows belongs in its answer.
    std::vector<std::size_t> places;
    /// Texts of which a row is kept, their last.
    std::vector<std::pair<ModelPart*, std::int64_t>> kept;
    /// The row that was added last.
    void keep(ModelPart& part) { kept.emplace_back(&part, rows.rows() - 1); }
  };

  void do_feed(States states, std::span<const Ids> ids) const override;
  std::vector<double> do_nll(States states, std::span<const Ids> ids,
                             Reading reading) const override;
  Tensor do_log_probabilities(States states) const override;

  /// The hidden rows of a pass, of which those to keep go to their texts.
  Tensor read_and_keep(const Pass& pass) const;
  /// nll of the first token of the texts whose last hidden row is at hand.
  void answer_from_hidden(States states, std::span<const Ids> ids, std::span<double> nll) const;

  std::shared_ptr<const FrozenModel> model_;
};

/// A text goes on by the first `count` (1 or more) of its ids: the pending one before them is read,
/// and the last of them becomes pending in its place; with `whole` it is read as well.
void read_on(ModelPart& part, Ids& ids, std::size_t count, bool whole, detail::PassRows& pass) {
  const std::size_t before = part.pending ? 1 : 0;
  const auto to = pass.make_room(part.state, before + count - (whole ? 0 : 1));
  if (part.pending) to.front() = *part.pending;
  std::copy_n(ids.begin(), to.size() - before, to.subspan(before).begin());
  part.pending = ids[count - 1];
  part.hidden = Tensor();
  ids = ids.subspan(count);
}

/// What a text of `ids` reads in this pass of at most `most` rows, its last token left pending.
std::size_t rows_of(const ModelPart& part, Ids ids, std::int64_t most) {
  return std::min(ids.size(), static_cast<std::size_t>(most) + (part.pending ? 0U : 1U));
}

void ModelPredictor::do_feed(States states, std::span<const Ids> ids) const {
  std::vector<Ids> left(ids.begin(), ids.end());
  while (std::any_of(left.begin(), left.end(), [](Ids list) { return !list.empty(); })) {
    detail::PassRows pass;
    for (std::size_t i = 0; i < left.size(); ++i) {
      const std::int64_t room = most_rows_in_all - pass.rows();
      if (left[i].empty() || room <= 0) continue;
      auto& part = states[i]->as<ModelPart>();
      const std::size_t count = rows_of(part, left[i], std::min(room, most_rows_of_text));
      read_on(part, left[i], count, false, pass);
    }
    if (!pass.empty()) pass.read(*model_);
  }
}

void ModelPredictor::answer_from_hidden(States states, std::span<const Ids> ids,
                                        std::span<double> nll) const {
  std::vector<Tensor> rows;
  std::vector<std::int32_t> targets;
  std::vector<std::size_t> places;
  std::size_t place = 0;
  for (std::size_t i = 0; i < ids.size(); place += ids[i].size(), ++i) {
    if (ids[i].empty()) continue;
    auto& part = states[i]->as<ModelPart>();
    if (!part.hidden.defined()) continue;
    rows.push_back(part.hidden);
    targets.push_back(ids[i].front());
    places.push_back(place);
  }
  if (rows.empty()) return;
  const std::vector<double> found =
      model_->nll(stacked_parts(rows, 0, rows.front().dim(1)), targets);
  for (std::size_t r = 0; r < rows.size(); ++r) nll[places[r]] = found[r];
}

Tensor ModelPredictor::read_and_keep(const Pass& pass) const {
  Tensor hidden = pass.rows.read(*model_);
  for (const auto& [part, row] : pass.kept) {
    part->hidden = detail::own_row(hidden, row);
    part->pending.reset();
  }
  return hidden;
}

std::vector<double> ModelPredictor::do_nll(States states, std::span<const Ids> ids,
                                           Reading reading) const {
  std::size_t total = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    total += ids[i].size();
    const auto& part = states[i]->as<ModelPart>();
    if (!ids[i].empty() && !part.pending && !part.hidden.defined()) {
      throw nothing_read();
    }
  }
  std::vector<double> nll(total);
  answer_from_hidden(states, ids, nll);

  std::vector<Ids> left(ids.begin(), ids.end());
  while (std::any_of(left.begin(), left.end(), [](Ids list) { return !list.empty(); })) {
    Pass pass;
    std::size_t place = 0;
    for (std::size_t i = 0; i < left.size(); place += ids[i].size(), ++i) {
      const std::int64_t row = pass.rows.rows(), room = most_rows_in_all - row;
      if (left[i].empty() || room <= 0) continue;
      auto& part = states[i]->as<ModelPart>();
      const std::size_t count = rows_of(part, left[i], std::min(room, most_rows_of_text));
      const std::size_t answered = part.pending ? 0 : 1;  // by the hidden row at hand
      const std::size_t begin = ids[i].size() - left[i].size();
      const bool whole = reading == Reading::whole && count == left[i].size();
      read_on(part, left[i], count, whole, pass.rows);
      if (whole) pass.keep(part);
      for (std::size_t t = answered; t < count; ++t) {
        pass.rows.ask(row + static_cast<std::int64_t>(t - answered), ids[i][begin + t]);
        pass.places.push_back(place + begin + t);
      }
    }
    if (pass.rows.empty()) continue;
    const std::vector<double> found = pass.rows.nll(*model_, read_and_keep(pass));
    for (std::size_t r = 0; r < found.size(); ++r) nll[pass.places[r]] = found[r];
  }
  return nll;
}

Tensor ModelPredictor::do_log_probabilities(States states) const {
  Pass pass;
  for (PredictorState* state : states) {
    auto& part = state->as<ModelPart>();
    if (part.hidden.defined()) continue;
    if (!part.pending) {
      throw nothing_read();
    }
    pass.rows.add(part.state, {&*part.pending, 1});
    pass.keep(part);
  }
  if (!pass.rows.empty()) read_and_keep(pass);
  std::vector<Tensor> rows;
  for (PredictorState* state : states) rows.push_back(state->as<ModelPart>().hidden);
  return model_->log_probabilities(stacked_parts(rows, 0, rows.front().dim(1)));
}

}  // namespace

void Predictor::feed(States states, std::span<const Ids> ids) const {
  check(*this, states, ids);
  do_feed(states, ids);
}

void Predictor::feed(PredictorState& state, Ids ids) const {
  PredictorState* const one = &state;
  feed({&one, 1}, {&ids, 1});
}

std::vector<double> Predictor::nll(States states, std::span<const Ids> ids, Reading reading) const {
  check(*this, states, ids);
  return do_nll(states, ids, reading);
}

std::vector<double> Predictor::nll(PredictorState& state, Ids ids) const {
  PredictorState* const one = &state;
  return nll({&one, 1}, {&ids, 1});
}

Tensor Predictor::log_probabilities(States states) const {
  check(*this, states, std::vector<Ids>(states.size()));
  if (states.empty()) return Tensor(Shape{0, vocabulary()});
  return do_log_probabilities(states);
}

Tensor Predictor::log_probabilities(PredictorState& state) const {
  PredictorState* const one = &state;
  return log_probabilities({&one, 1});
}

std::shared_ptr<const Predictor> make_predictor(std::shared_ptr<const FrozenModel> model) {
  return std::make_shared<ModelPredictor>(std::move(model));
}

}  // namespace sluice
