#include "loop.hpp"

#include <algorithm>
#include <cmath>

#include "divergence.hpp"
#include "sluice/autograd/arithmetic.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/base/profile.hpp"

namespace sluice {

Loop::Loop(LanguageModel& model, const TokenShards& text, const TrainConfig& config,
           GradientExchange* exchange, OptimizerShard shard)
    : model_(model),
      config_(config),
      stream_(text, config.streams(), config.context),
      optimizer_(model.parameters(),
                 config.sync_every > 0 ? LocalWorkers::outer(config) : config.optimizer, shard),
      statistics_(model.parameters()),
      losses_(static_cast<std::size_t>(config.accumulate)),
      exchange_(exchange),
      inputs_(static_cast<std::size_t>(config.batch * config.context)),
      targets_(inputs_.size()),
      labels_(stream_.has_labels() ? inputs_.size() : 0),
      starts_(stream_.has_documents() ? static_cast<std::size_t>(config.batch) : 0),
      carried_(static_cast<std::size_t>(config.accumulate)) {
  for (const Parameter& parameter : trainable()) {
    leaves_.push_back(parameter.variable);
    sums_.emplace_back(parameter.variable.shape(), parameter.variable.dtype());
  }
  optimizer_.zero_gradients();
  if (optimizer_.shard().count > 1) {
    exchange_->divide({trainable().size(), [this](std::size_t leaf, int rank) {
                         return optimizer_.range(leaf, rank);
                       }});
  }
  if (config_.sync_every > 0) workers_.emplace(model_.parameters(), config_, share());
}

MicroBatches Loop::share() const {
  return exchange_ != nullptr ? exchange_->share() : MicroBatches{0, config_.accumulate};
}

Loop::Update Loop::step(std::int64_t step, double rate, const Read& read) {
  if (!config_.carry || stream_.starts_epoch(step)) {
    for (ModelState& state : carried_) state.tensors.clear();
  }
  if (workers_) return step_workers(step, rate, read);
  for (MicroSum& sum : sums_) sum.clear();
  if (sums()) statistics_.begin();
  const MicroBatches own = share();
  for (std::int64_t micro = own.begin; micro < own.end; ++micro) {
    losses_[static_cast<std::size_t>(micro)] = learn_from(step, micro, read);
  }
  const double loss = join();
  // The gradients are sums: what is read of them is divided, not they.
  const auto parts = static_cast<double>(config_.accumulate);
  const double norm = gradient_norm() / parts;
  if (!std::isfinite(norm)) throw NotFinite("the gradient norm", norm, true);
  const double scale = clip_coefficient(norm, config_.clip);
  optimizer_.step(rate, scale / parts);
  if (optimizer_.shard().count > 1) share_updates();
  model_.constrain();
  optimizer_.zero_gradients();
  return {loss, rate, norm, scale < 1};
}

void Loop::share_updates() {
  std::vector<Tensor> values;
  for (const Parameter& parameter : trainable()) values.push_back(parameter.variable.value());
  exchange_->share_updates(values);
}

double Loop::gradient_norm() const {
  if (optimizer_.shard().count == 1) return optimizer_.gradient_norm();
  return optimizer_.gradient_norm(
      [this](auto mine, auto counts) { return exchange_->gather(mine, counts); });
}

Loop::Update Loop::step_workers(std::int64_t step, double rate, const Read& read) {
  // Of each worker: its loss and its gradient's norm.
  std::vector<double> found(2 * losses_.size());
  const MicroBatches own = share();
  for (std::int64_t micro = own.begin; micro < own.end; ++micro) {
    const LocalWorkers::Turn turn(*workers_, micro);
    Optimizer& optimizer = workers_->optimizer(micro);
    double* const mine = &found[2 * static_cast<std::size_t>(micro)];
    mine[0] = learn_from(step, micro, read);
    mine[1] = optimizer.gradient_norm();
    // Else all hear of it below.
    if (std::isfinite(mine[0]) && std::isfinite(mine[1])) {
      optimizer.step(rate, clip_coefficient(mine[1], config_.clip));
    }
    model_.constrain();
    optimizer.zero_gradients();
  }
  ++local_steps_;
  const bool due = (step + 1) % config_.sync_every == 0;
  if (due) workers_->offer(exchange_);
  if (exchange_ != nullptr && due) exchange_->finish(found);
  if (exchange_ != nullptr && !due) exchange_->share_values(found);
  const Update update = update_of(found, rate);
  if (due) synchronise();
  return update;
}

Loop::Update Loop::update_of(std::span<const double> found, double rate) const {
  Update update{.loss = 0, .rate = rate, .norm = 0, .clipped = false};
  for (std::size_t i = 0; i < found.size(); i += 2) {
    if (!std::isfinite(found[i])) throw NotFinite("the loss", found[i]);
    if (!std::isfinite(found[i + 1])) throw NotFinite("the gradient norm", found[i + 1]);
    update.loss += found[i] / static_cast<double>(losses_.size());
    update.norm += found[i + 1] / static_cast<double>(losses_.size());
    update.clipped = update.clipped || clip_coefficient(found[i + 1], config_.clip) < 1;
  }
  return update;
}

void Loop::synchronise() {
  workers_->update(optimizer_);
  model_.constrain();
  workers_->adopt();
  local_steps_ = 0;
}

void Loop::settle() {
  if (settled()) return;
  workers_->offer(exchange_);
  if (exchange_ != nullptr) exchange_->finish({});
  synchronise();
}

double Loop::join() {
  if (sums()) {
    for (std::size_t i = 0; i < statistics_.size(); ++i) {
      complete_part(leaves_.size() + i, statistics_.sum(i), statistics_.total(i));
    }
    if (exchange_ != nullptr) exchange_->finish(losses_);
    statistics_.finish(config_.accumulate);
  }
  double sum = 0;
  for (const double loss : losses_) {
    // Another process's: here, one's own is not learnt from.
    if (!std::isfinite(loss)) throw NotFinite("the loss", loss);
    sum += loss;
  }
  return sum / static_cast<double>(config_.accumulate);
}

double Loop::learn_from(std::int64_t step, std::int64_t micro, const Read& read) {
  {
    const ProfileScope scope("batch");
    const BatchStream::Streams streams{micro * config_.batch, config_.batch};
    stream_.read(step, streams, inputs_.data(), targets_.data());
    if (!labels_.empty()) stream_.read_labels(step, streams, labels_.data());
    if (!starts_.empty()) stream_.starts(step, streams, starts_.data());
  }
  if (read) read(step, inputs_, targets_);
  const double loss = forward_backward(step, micro);
  if (sums()) statistics_.add(micro);
  return loss;
}

Variable Loop::loss_of(const Variable& hidden, std::int64_t step, const ForwardOptions& forward) {
  if (starts_.empty()) return model_.loss(hidden, targets_, forward);
  std::vector<std::int32_t> rows;
  std::vector<TokenId> targets;
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    if (targets_[i] < 0) continue;  // padding
    rows.push_back(static_cast<std::int32_t>(i));
    targets.push_back(targets_[i]);
  }
  const bool all = rows.size() == targets_.size();
  Variable loss = model_.loss(all ? hidden : gather_rows(hidden, rows), targets, forward);
  if (config_.accumulate == 1 || workers_) return loss;
  const std::int64_t of_step = stream_.targets_of(step, {0, stream_.batch()});
  return scale(loss, static_cast<double>(rows.size()) * static_cast<double>(config_.accumulate) /
                         static_cast<double>(of_step));
}

double Loop::forward_backward(std::int64_t step, std::int64_t micro) {
  // Each micro-batch has random numbers of its own, whoever computes it.
  const ForwardOptions forward{
      .training = true,
      .seed = config_.seed,
      .step = static_cast<std::uint32_t>(step * config_.accumulate + micro),
      .precision = config_.precision,
      .conv = config_.conv,
      .recompute = config_.recompute,
      .labels = {.each = labels_},
      .starts = starts_};
  Tape tape;
  const Variable loss = [&] {
    const ProfileScope scope("forward");
    const Variable hidden = model_.hidden(inputs_, config_.batch, config_.context,
                                          carried_[static_cast<std::size_t>(micro)], forward);
    return loss_of(hidden, step, forward);
  }();
  const double value = static_cast<double>(loss.value().data<float>()[0]);
  // With others, all hear of it when the step ends: until then each does what the others expect.
  if (!std::isfinite(value) && exchange_ == nullptr) throw NotFinite("the loss", value);
  const ProfileScope scope("backward");
  LeafListener listener;
  if (sums()) listener = {leaves_, [this, micro](std::size_t leaf) { complete(leaf, micro); }};
  tape.backward(loss, listener);
  return value;
}

void Loop::complete(std::size_t leaf, std::int64_t micro) {
  GradientSlot& gradient = *leaves_[leaf].gradient();
  sums_[leaf].add(micro, gradient);
  if (micro + 1 == share().end) complete_part(leaf, sums_[leaf], gradient);
}

void Loop::complete_part(std::size_t leaf, MicroSum& part, GradientSlot& total) {
  if (exchange_ != nullptr) {
    exchange_->ready(leaf, part, total);
  } else {
    part.finish(total);
  }
}

}  // namespace sluice
