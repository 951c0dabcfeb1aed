#pragma once
// Variables and the tape: reverse-mode differentiation by an iterative walk over recorded ops.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/tensor/tensor.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The gradient of a table [V, D] of which few rows were used: row ids[i] has gradient rows[i],
/// every other row's is zero.
struct SparseRows {
  std::vector<std::int32_t> ids;  ///< ascending, each once
  Tensor rows;                    ///< [ids.size(), D]
};

/// Where a variable's gradient gathers: nothing, a tensor, or sparse rows while nothing else came.
/// Gradient closures hold slots, not variables, so a value no other op saved is freed as soon as
/// the forward pass drops it, and a leaf whose slot no closure holds any more is complete
/// (LeafListener).
class GradientSlot {
 public:
  GradientSlot(Shape shape, DType dtype) : shape_(shape), dtype_(dtype) {}

  bool defined() const { return grad_.defined() || sparse_; }
  /// The gradient accumulated so far as one tensor, sparse rows being spread over one for good;
  /// undefined when there is none.
  const Tensor& dense();
  /// The gradient while it is sparse; null when there is none, or a tensor.
  const SparseRows* sparse() const { return sparse_ ? &*sparse_ : nullptr; }
  /// The sum of the gradient's squares, where the op that made it knew and nothing was added since.
  std::optional<double> squares() const { return squares_; }

  /// grad += g: takes g itself when there was none, so g must not be written or kept afterwards.
  /// `squares` is the sum of g's squares, if it is known. Throws Error naming both shapes when they
  /// differ.
  void accumulate(Tensor g, std::optional<double> squares = {});
  void accumulate(SparseRows g, std::optional<double> squares = {});
  /// Detaches and returns the gradient, as one tensor.
  Tensor take();
  /// Forgets the gradient.
  void clear();

 private:
  Tensor grad_;
  std::optional<SparseRows> sparse_;
  std::optional<double> squares_;
  Shape shape_;
  DType dtype_;
};
/// Null when no gradient is required.
using Gradient = std::shared_ptr<GradientSlot>;

/// A tensor that may take part in differentiation. Copies share value and gradient.
class Variable {
 public:
  Variable() = default;
  explicit Variable(Tensor value, bool requires_grad = false);

  bool defined() const { return state_ != nullptr; }
  const Tensor& value() const;
  const Shape& shape() const { return value().shape(); }
  DType dtype() const { return value().dtype(); }
  /// Replaces the value by one of the same shape (loading a model).
  void set_value(Tensor value) const;
  bool requires_grad() const { return state_ && state_->gradient; }
  /// Where this variable's gradient gathers; null when it requires none.
  const Gradient& gradient() const;
  /// The gradient accumulated so far as one tensor (GradientSlot::dense); undefined when there is
  /// none.
  const Tensor& grad() const;
  void zero_grad() const;

 private:
  struct State {
    Tensor value;
    Gradient gradient;
  };
  std::shared_ptr<State> state_;
};

/// Who wants to know when gradients of leaves are complete, that is, when nothing that is still to
/// be differentiated can add to them: the moment to exchange them with other machines while the
/// rest is computed.
struct LeafListener {
  /// Leaves to tell of; those that require no gradient are complete from the start.
  std::span<const Variable> leaves;
  /// Called from within backward() once for each of them with its index. Those that no op used come
  /// first; then each comes after the last op (in reverse) that contributed to it, several that
  /// complete with the same op in the order of `leaves`: the order depends on the ops alone, never
  /// on threads. A gradient may be undefined, dense or sparse rows. It may be changed here; nothing
  /// reads it in backward() afterwards.
  std::function<void(std::size_t leaf)> complete;
};

/// Records ops while it lives, on the thread that made it. Tapes nest; the newest records.
class Tape {
 public:
  Tape();
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// Adds an op's gradient closure; called by ops.
  void record(std::function<void()> backward);
  /// Runs the closures in reverse from `loss` (one element) with dloss = 1, freeing each closure's
  /// saved tensors as it goes. The tape is empty afterwards. Throws Error when loss has more than
  /// one element or does not depend on a variable that requires a gradient.
  /// `listener` is told which leaves are complete; without one nothing is spent on that.
  void backward(const Variable& loss, const LeafListener& listener = {});
  std::size_t size() const { return closures_.size(); }

  /// The recording tape of this thread, or null (none, or under NoGrad).
  static Tape* current();

 private:
  friend class NoGrad;
  std::vector<std::function<void()>> closures_;
  Tape* previous_ = nullptr;
};

/// While it lives, ops on this thread record nothing.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  Tape* saved_;
};

}  // namespace sluice
SLUICE_API_END
