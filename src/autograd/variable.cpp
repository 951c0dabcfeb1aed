#include "sluice/autograd/variable.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "sluice/base/error.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sparse_rows.hpp"

namespace sluice {
namespace {
thread_local Tape* current_tape = nullptr;

void check_fits(const Shape& shape, const Tensor& g) {
  if (!(g.shape() == shape)) {
    throw Error(fmt::format("a gradient of shape {} does not fit a variable of shape {}",
                            g.shape().str(), shape.str()));
  }
}
}  // namespace

const Tensor& GradientSlot::dense() {
  if (sparse_) {
    grad_ = Tensor(shape_, dtype_);
    zero_in_place(grad_);
    add_rows(grad_, *std::exchange(sparse_, std::nullopt));
  }
  return grad_;
}

void GradientSlot::accumulate(Tensor g, std::optional<double> squares) {
  check_fits(shape_, g);
  squares_ = defined() ? std::nullopt : squares;
  if (grad_.defined()) {
    add_in_place(grad_, g);
    return;
  }
  grad_ = std::move(g);
  if (sparse_) add_rows(grad_, *std::exchange(sparse_, std::nullopt));
}

void GradientSlot::accumulate(SparseRows g, std::optional<double> squares) {
  if (shape_.rank() != 2 || g.rows.dtype() != dtype_ ||
      !(g.rows.shape() == Shape{static_cast<std::int64_t>(g.ids.size()), shape_[1]})) {
    throw Error(fmt::format("sparse gradient rows of shape {} do not fit a variable of shape {}",
                            g.rows.shape().str(), shape_.str()));
  }
  squares_ = defined() ? std::nullopt : squares;
  if (grad_.defined()) {
    add_rows(grad_, g);
  } else {
    sparse_ = sparse_ ? merge_rows(*sparse_, g) : std::move(g);
  }
}

Tensor GradientSlot::take() {
  dense();
  squares_.reset();
  return std::exchange(grad_, Tensor());
}

void GradientSlot::clear() {
  grad_ = Tensor();
  sparse_.reset();
  squares_.reset();
}

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
  return requires_grad() ? state_->gradient->dense() : undefined;
}

void Variable::zero_grad() const {
  if (requires_grad()) state_->gradient->clear();
}

Tape::Tape() : previous_(std::exchange(current_tape, this)) {}

Tape::~Tape() { current_tape = previous_; }

Tape* Tape::current() { return current_tape; }

void Tape::record(std::function<void()> backward) { closures_.push_back(std::move(backward)); }

namespace {

/// Tells a listener of the leaves that have become complete.
class LeafWatch {
 public:
  explicit LeafWatch(const LeafListener& listener) : listener_(listener) {
    if (!listener_.complete) return;
    open_.resize(listener_.leaves.size());
    std::iota(open_.begin(), open_.end(), std::size_t{0});
  }

  /// What no closure holds is held by the variable alone. Closures are made and destroyed on the
  /// tape's thread, so that the count is exact.
  void tell() {
    if (open_.empty()) return;
    const auto still_open = std::stable_partition(
        open_.begin(), open_.end(),
        [&](std::size_t leaf) { return listener_.leaves[leaf].gradient().use_count() <= 1; });
    complete_.assign(open_.begin(), still_open);
    open_.erase(open_.begin(), still_open);
    for (const std::size_t leaf : complete_) listener_.complete(leaf);
  }

  /// The tape is empty: whoever else may hold a slot, nothing is added any more.
  void finish() {
    for (const std::size_t leaf : open_) listener_.complete(leaf);
    open_.clear();
  }

 private:
  const LeafListener& listener_;
  std::vector<std::size_t> open_;  // ascending
  std::vector<std::size_t> complete_;
};

}  // namespace

void Tape::backward(const Variable& loss, const LeafListener& listener) {
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
  LeafWatch watch(listener);
  watch.tell();
  while (!closures_.empty()) {
    {
      const std::function<void()> closure = std::move(closures_.back());
      closures_.pop_back();
      closure();
    }
    watch.tell();
  }
  watch.finish();
}

NoGrad::NoGrad() : saved_(std::exchange(current_tape, nullptr)) {}

NoGrad::~NoGrad() { current_tape = saved_; }

}  // namespace sluice
