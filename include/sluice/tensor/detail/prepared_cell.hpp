#pragma once
// Recurrent layers whose weights do not change.

#include <cstddef>
#include <memory>
#include <span>

#include "sluice/tensor/detail/recurrent_cells.hpp"
#include "sluice/tensor/prepared_weight.hpp"

namespace sluice {

/// Weights of a layer as RecurrentWeights (autograd/recurrent.hpp) has them: float32.
struct CellWeights {
  Tensor weight_ih, weight_hh, bias_ih, bias_hh;
};

/// A recurrent layer with its weights laid out once: those of the inputs for one product over all
/// rows, the recurrent ones in panels, which every step reads in order, so that a text's steps give
/// the same bits alone, in any company and in any portions as far as the inputs' product does.
/// Constant to its users: any number of threads may call it at once.
class PreparedCell {
 public:
  virtual ~PreparedCell() = default;
  PreparedCell(const PreparedCell&) = delete;
  PreparedCell& operator=(const PreparedCell&) = delete;

  std::int64_t inputs() const { return ih_.inputs(); }
  std::int64_t hidden() const { return hidden_; }
  /// Tensors of state.
  virtual std::size_t states() const { return 1; }

  /// The hidden states [ΣT, H] of all positions of texts side by side, from x [ΣT, C], packed rows.
  /// `state` holds states() tensors [texts, H], or undefined ones for zeros, and receives new
  /// tensors for those after each text's last step.
  virtual Tensor forward(const Tensor& x, const recurrent::Steps& steps,
                         std::span<Tensor> state) const = 0;

  /// Memory of the weights.
  virtual std::size_t bytes() const { return ih_.bytes() + hh_.bytes(); }

 protected:
  /// `hh` is what a step multiplies its rows' states by, transposed; undefined for none.
  PreparedCell(const CellWeights& weights, const Tensor& hh, const FreezeOptions& options);

  recurrent::Call call(const recurrent::Steps& steps) const;
  /// The input part of all steps.
  void multiply_inputs(const recurrent::InputPart& to, const Tensor& x,
                       const recurrent::Call& call) const;

  const PreparedWeight& inputs_by() const { return ih_; }
  const recurrent::StepMatrix& steps_by() const { return hh_; }

 private:
  PreparedWeight ih_;
  std::int64_t hidden_;
  recurrent::StepMatrix hh_;
};

/// The cells of autograd/recurrent.hpp. The weights must fit.
std::unique_ptr<const PreparedCell> prepare_rnn(const CellWeights& weights, const Unit& unit,
                                                const FreezeOptions& options);
std::unique_ptr<const PreparedCell> prepare_lstm(const CellWeights& weights, LstmGates gates,
                                                 const FreezeOptions& options);
std::unique_ptr<const PreparedCell> prepare_gru(const CellWeights& weights, GruReset reset,
                                                const FreezeOptions& options);
std::unique_ptr<const PreparedCell> prepare_mut1(const CellWeights& weights,
                                                 const FreezeOptions& options);
std::unique_ptr<const PreparedCell> prepare_indrnn(const CellWeights& weights,
                                                   const FreezeOptions& options);

}  // namespace sluice
