#include "sluice/tensor/detail/prepared_cell.hpp"

namespace sluice {
namespace {

using recurrent::Call;
using recurrent::StepMatrix;
using recurrent::Steps;

/// Hidden states of all positions, text after text.
Tensor packed_states(const Tensor& h, const Call& call) {
  return recurrent::from_time_major(h, call.batch(), 0, Shape{call.rows(), call.hidden}, call);
}

/// Layer: recurrent::RnnSteps or UnitRnnSteps; How: what says their nonlinearity.
template <class Layer, class How>
class PreparedElman final : public PreparedCell {
 public:
  PreparedElman(const CellWeights& w, const How& how, const FreezeOptions& options)
      : PreparedCell(w, w.weight_hh, options),
        how_(how),
        bias_(frozen_tensor(recurrent::sum_of_biases(w.bias_ih, w.bias_hh), options)) {}

  Tensor forward(const Tensor& x, const Steps& steps, std::span<Tensor> state) const override {
    const Call sizes = call(steps);
    const Layer layer(sizes, how_, state[0]);
    multiply_inputs(layer.input_part(), x, sizes);
    layer.forward(steps_by(), bias_);
    state[0] = last_state(layer.h, sizes);
    return packed_states(layer.h, sizes);
  }

 private:
  How how_;
  Tensor bias_;
};

class PreparedLstm final : public PreparedCell {
 public:
  PreparedLstm(const CellWeights& w, LstmGates gates, const FreezeOptions& options)
      : PreparedCell(w, w.weight_hh, options),
        gates_(gates),
        bias_(frozen_tensor(recurrent::sum_of_biases(w.bias_ih, w.bias_hh), options)) {}

  std::size_t states() const override { return 2; }

  Tensor forward(const Tensor& x, const Steps& steps, std::span<Tensor> state) const override {
    const Call sizes = call(steps);
    const recurrent::LstmSteps<float> layer(sizes, gates_, state[0], state[1]);
    multiply_inputs(layer.input_part(), x, sizes);
    layer.forward(steps_by(), bias_);
    state[0] = last_state(layer.h, sizes);
    state[1] = last_state(layer.c, sizes);
    return packed_states(layer.h, sizes);
  }

 private:
  LstmGates gates_;
  Tensor bias_;
};

class PreparedGru final : public PreparedCell {
 public:
  PreparedGru(const CellWeights& w, std::int64_t units, const FreezeOptions& options)
      : PreparedCell(w,
                     options.shapes_only() ? w.weight_hh : recurrent::gru_rows(w.weight_hh, units),
                     options),
        bias_(frozen_tensor(recurrent::gru_bias(w.bias_ih, w.bias_hh, units), options)) {}

  Tensor forward(const Tensor& x, const Steps& steps, std::span<Tensor> state) const override {
    const Call sizes = call(steps);
    const recurrent::GruSteps<float> layer(sizes, state[0]);
    multiply_inputs(layer.input_part(), x, sizes);
    layer.forward(steps_by(), bias_);
    state[0] = last_state(layer.h, sizes);
    return packed_states(layer.h, sizes);
  }

 private:
  Tensor bias_;
};

/// The rows of weight_hh from which the candidate begins.
std::int64_t candidate_row(const CellWeights& w, bool mut1) {
  return (mut1 ? 1 : 2) * w.weight_hh.dim(1);
}

class PreparedReset final : public PreparedCell {
 public:
  PreparedReset(const CellWeights& w, bool mut1, const FreezeOptions& options)
      : PreparedCell(w, w.weight_hh.rows(0, candidate_row(w, mut1)), options),
        mut1_(mut1),
        to_candidate_(w.weight_hh.rows(candidate_row(w, mut1), w.weight_hh.dim(0)), hidden(),
                      options),
        bias_(frozen_tensor(recurrent::sum_of_biases(w.bias_ih, w.bias_hh), options)) {}

  Tensor forward(const Tensor& x, const Steps& steps, std::span<Tensor> state) const override {
    const Call sizes = call(steps);
    const recurrent::ResetSteps<float> layer(sizes, mut1_, state[0]);
    multiply_inputs(layer.input_part(), x, sizes);
    if (layer.takes_inputs()) layer.copy_inputs(x);
    layer.forward(steps_by(), to_candidate_, bias_);
    state[0] = last_state(layer.h, sizes);
    return packed_states(layer.h, sizes);
  }

  std::size_t bytes() const override { return PreparedCell::bytes() + to_candidate_.bytes(); }

 private:
  bool mut1_;
  StepMatrix to_candidate_;
  Tensor bias_;
};

class PreparedIndRnn final : public PreparedCell {
 public:
  PreparedIndRnn(const CellWeights& w, const FreezeOptions& options)
      : PreparedCell(w, {}, options),
        u_(frozen_tensor(w.weight_hh, options)),
        bias_(frozen_tensor(w.bias_ih, options)) {}

  Tensor forward(const Tensor& x, const Steps& steps, std::span<Tensor> state) const override {
    Tensor h = inputs_by().product(x);
    state[0] =
        state[0].defined() ? state[0].clone() : Tensor::zeros(Shape{steps.texts(), hidden()});
    recurrent::indrnn_steps<float>(h, state[0], u_, bias_, steps);
    return h;
  }

 private:
  Tensor u_, bias_;
};

}  // namespace

PreparedCell::PreparedCell(const CellWeights& weights, const Tensor& hh,
                           const FreezeOptions& options)
    : ih_(weights.weight_ih, WeightLayout::outputs_by_inputs, options),
      hidden_(weights.weight_hh.dim(-1)) {
  if (hh.defined()) hh_ = {hh, hidden_, options};
}

Call PreparedCell::call(const Steps& steps) const {
  return {steps, inputs(), hidden_, DType::f32, ih_.operand()};
}

void PreparedCell::multiply_inputs(const recurrent::InputPart& to, const Tensor& x,
                                   const Call& call) const {
  const Tensor rows = to_time_major(x, call);
  ih_.product(recurrent::row_at<float>(to.rows, to.row, to.column), to.rows.dim(1),
              matrix(rows).column_range(0, inputs()));
}

std::unique_ptr<const PreparedCell> prepare_rnn(const CellWeights& weights, const Unit& unit,
                                                const FreezeOptions& options) {
  if (!recurrent::has_own_step(unit)) {
    using Prepared = PreparedElman<recurrent::UnitRnnSteps<float>, Unit>;
    return std::make_unique<Prepared>(weights, unit, options);
  }
  using Prepared = PreparedElman<recurrent::RnnSteps<float>, bool>;
  return std::make_unique<Prepared>(weights, unit.f == Activation::relu, options);
}

std::unique_ptr<const PreparedCell> prepare_lstm(const CellWeights& weights, LstmGates gates,
                                                 const FreezeOptions& options) {
  return std::make_unique<PreparedLstm>(weights, gates, options);
}

std::unique_ptr<const PreparedCell> prepare_gru(const CellWeights& weights, GruReset reset,
                                                const FreezeOptions& options) {
  if (reset == GruReset::before) return std::make_unique<PreparedReset>(weights, false, options);
  return std::make_unique<PreparedGru>(weights, weights.weight_hh.dim(1), options);
}

std::unique_ptr<const PreparedCell> prepare_mut1(const CellWeights& weights,
                                                 const FreezeOptions& options) {
  return std::make_unique<PreparedReset>(weights, true, options);
}

std::unique_ptr<const PreparedCell> prepare_indrnn(const CellWeights& weights,
                                                   const FreezeOptions& options) {
  return std::make_unique<PreparedIndRnn>(weights, options);
}

}  // namespace sluice
