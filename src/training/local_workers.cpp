#include "local_workers.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "sluice/base/profile.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {

LocalWorkers::LocalWorkers(const Parameters& parameters, const TrainConfig& config,
                           MicroBatches own)
    : parameters_(parameters), config_(config), own_(own) {
  for (std::int64_t micro = own_.begin; micro < own_.end; ++micro) {
    workers_.push_back({Optimizer(parameters, config.optimizer), {}});
    for (const Parameter& parameter : parameters_) {
      workers_.back().weights.push_back(parameter.variable.value().clone());
    }
  }
  for (const Parameter& parameter : parameters_) {
    const Tensor& value = parameter.variable.value();
    sums_.emplace_back(value.shape(), value.dtype());
    totals_.push_back(parameter.variable.requires_grad()
                          ? nullptr
                          : std::make_shared<GradientSlot>(value.shape(), value.dtype()));
  }
}

OptimizerConfig LocalWorkers::outer(const TrainConfig& config) {
  return {.kind = config.outer_momentum > 0 ? OptimizerKind::nesterov : OptimizerKind::sgd,
          .momentum = config.outer_momentum};
}

void LocalWorkers::swap(std::int64_t micro) {
  std::vector<Tensor>& weights = worker(micro).weights;
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const Variable& variable = parameters_[p].variable;
    Tensor other = variable.value();
    variable.set_value(std::exchange(weights[p], std::move(other)));
  }
}

GradientSlot& LocalWorkers::total(std::size_t p) {
  return totals_[p] ? *totals_[p] : *parameters_[p].variable.gradient();
}

void LocalWorkers::offer(GradientExchange* exchange) {
  const ProfileScope scope("synchronise");
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const Tensor& common = parameters_[p].variable.value();
    MicroSum& sum = sums_[p];
    sum.clear();
    total(p).clear();
    for (std::int64_t micro = own_.begin; micro < own_.end; ++micro) {
      const Tensor& weights = worker(micro).weights[p];
      Tensor part = totals_[p] ? weights.clone() : common.clone();
      if (!totals_[p]) add_in_place(part, weights, -1);
      GradientSlot slot(part.shape(), part.dtype());
      slot.accumulate(std::move(part));
      sum.add(micro, slot);
    }
    if (exchange != nullptr) {
      exchange->ready(p, sum, total(p));
    } else {
      sum.finish(total(p));
    }
  }
}

void LocalWorkers::update(Optimizer& optimizer) {
  const ProfileScope scope("synchronise");
  const double mean = 1 / static_cast<double>(config_.accumulate);
  optimizer.step(config_.outer_lr, mean);
  optimizer.zero_gradients();
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (!totals_[p]) continue;
    const Tensor& value = parameters_[p].variable.value();
    zero_in_place(value);
    add_in_place(value, totals_[p]->take(), mean);
  }
}

void LocalWorkers::adopt() {
  for (Worker& worker : workers_) {
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      worker.weights[p].copy_from(parameters_[p].variable.value());
    }
  }
}

}  // namespace sluice
