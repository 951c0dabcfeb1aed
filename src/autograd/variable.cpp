#include "sluice/autograd/variable.hpp"

#include <fmt/format.h>

#include "sluice/base/error.hpp"
#include "sluice/tensor/elementwise.hpp"

namespace sluice {
namespace {
thread_local Tape* current_tape = nullptr;
}  // namespace

void GradientSlot::accumulate(Tensor g) {
  if (!(g.shape() == shape_)) {
    throw Error(fmt::format("a gradient of shape {} does not fit a variable of shape {}",
                            g.shape().str(), shape_.str()));
  }
  if (!grad_.defined()) {
    grad_ = std::move(g);
  } else {
    add_in_place(grad_, g);
  }
}

Tensor& GradientSlot::writable() {
  if (!grad_.defined()) {
    grad_ = Tensor(shape_, dtype_);
    zero_in_place(grad_);
  }
  return grad_;
}

Tensor GradientSlot::take() { return std::exchange(grad_, Tensor()); }

Variable::Variable(Tensor value, bool requires_grad) : state_(std::make_shared<State>()) {
  if (requires_grad) {
    state_->gradient = std::make_shared<GradientSlot>(value.shape(), value.dtype());
  }
  state_->value = std::move(value);
}

const Tensor& Variable::value() const {
  static const Tensor undefined;
  return state_ ? state_->value : undefined;
}

void Variable::set_value(Tensor value) const {
  if (!(value.shape() == shape()) || value.dtype() != dtype()) {
    throw Error(fmt::format("a value of shape {} cannot replace one of shape {}",
                            value.shape().str(), shape().str()));
  }
  state_->value = std::move(value);
}

const Gradient& Variable::gradient() const {
  static const Gradient none;
  return state_ ? state_->gradient : none;
}

const Tensor& Variable::grad() const {
  static const Tensor undefined;
  return requires_grad() ? state_->gradient->grad() : undefined;
}

void Variable::zero_grad() const {
  if (requires_grad()) state_->gradient->take();
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
  loss.gradient()->accumulate(filled(loss.shape(), loss.dtype(), 1.0));
  while (!closures_.empty()) {
    const std::function<void()> closure = std::move(closures_.back());
    closures_.pop_back();
    closure();
  }
}

NoGrad::NoGrad() : saved_(std::exchange(current_tape, nullptr)) {}

NoGrad::~NoGrad() { current_tape = saved_; }

}  // namespace sluice
