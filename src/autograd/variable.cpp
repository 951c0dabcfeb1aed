#include "sluice/autograd/variable.hpp"

#include <fmt/format.h>

#include "sluice/base/error.hpp"
#include "sluice/tensor/elementwise.hpp"

namespace sluice {
namespace {
thread_local Tape* current_tape = nullptr;
}  // namespace

Variable::Variable(Tensor value, bool requires_grad) : state_(std::make_shared<State>()) {
  state_->value = std::move(value);
  state_->requires_grad = requires_grad;
}

const Tensor& Variable::value() const {
  static const Tensor undefined;
  return state_ ? state_->value : undefined;
}

void Variable::set_value(Tensor value) const { state_->value = std::move(value); }

const Tensor& Variable::grad() const {
  static const Tensor undefined;
  return state_ ? state_->grad : undefined;
}

void Variable::accumulate_grad(Tensor g) const {
  if (!requires_grad()) return;
  if (!(g.shape() == state_->value.shape())) {
    throw Error(fmt::format("a gradient of shape {} does not fit a variable of shape {}",
                            g.shape().str(), state_->value.shape().str()));
  }
  if (!state_->grad.defined()) {
    state_->grad = std::move(g);
  } else {
    add_in_place(state_->grad, g);
  }
}

void Variable::zero_grad() const {
  if (state_) state_->grad = Tensor();
}

Tensor Variable::take_grad() const {
  if (!state_) return {};
  return std::exchange(state_->grad, Tensor());
}

Tape::Tape() : previous_(std::exchange(current_tape, this)) {}

Tape::~Tape() { current_tape = previous_; }

Tape* Tape::current() { return current_tape; }

void Tape::record(std::function<void()> backward) { closures_.push_back(std::move(backward)); }

void Tape::backward(const Variable& loss) {
  if (!loss.defined() || loss.value().elements() != 1) {
    throw Error(fmt::format("backward needs a loss of one element, got shape {}",
                            loss.value().shape().str()));
  }
  if (!loss.requires_grad()) {
    throw Error("backward needs a loss that depends on a variable requiring a gradient");
  }
  // Gradient closures call ops' kernels only; nothing they do is recorded.
  const NoGrad guard;
  loss.accumulate_grad(filled(loss.value().shape(), loss.value().dtype(), 1.0));
  while (!closures_.empty()) {
    const std::function<void()> closure = std::move(closures_.back());
    closures_.pop_back();
    closure();
  }
}

NoGrad::NoGrad() : saved_(std::exchange(current_tape, nullptr)) {}

NoGrad::~NoGrad() { current_tape = saved_; }

}  // namespace sluice
