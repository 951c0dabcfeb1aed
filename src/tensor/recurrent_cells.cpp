#include "sluice/tensor/detail/recurrent_cells.hpp"

#include <algorithm>
#include <cstddef>

#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/cells.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice::recurrent {
namespace {

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

}  // namespace

Tensor sum_of_biases(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() ? a : b;
  Tensor sum = a.clone();
  add_in_place(sum, b);
  return sum;
}

template <class T>
void RnnSteps<T>::forward(const StepMatrix& matrix, const Tensor& bias) const {
  for (std::int64_t t = 0; t < call.time(); ++t) {
    const std::int64_t rows = call.steps.active(t);
    const auto pointwise = [&](std::int64_t unit, std::int64_t count) {
      kernels::rnn_forward(
          kernels::RnnStep<T>{state(t + 1, unit), bias_at<T>(bias, unit), size(h.dim(1)), relu},
          size(rows), size(count));
    };
    matrix.step(StepRows<T>{state(t + 1, 0), h.dim(1), 0, state(t, 0), h.dim(1), rows}, pointwise);
  }
}

template <class T>
void UnitRnnSteps<T>::forward(const StepMatrix& matrix, const Tensor& bias) const {
  const std::int64_t pitch = z.dim(1);
  for (std::int64_t t = 0; t < call.time(); ++t) {
    const std::int64_t rows = call.steps.active(t);
    const auto pointwise = [&](std::int64_t first, std::int64_t count) {
      const T* const added = bias_at<T>(bias, first);
      for (std::int64_t r = 0; r < rows; ++r) {
        T* const in = before(t, first) + r * pitch;
        if (added != nullptr) kernels::add_scaled(in, added, T{1}, size(count));
        kernels::activation_forward(state(t + 1, first) + r * h.dim(1), in, size(count), unit.f,
                                    unit.f_parameters);
      }
    };
    matrix.step(StepRows<T>{before(t, 0), pitch, 0, state(t, 0), h.dim(1), rows}, pointwise);
  }
}

template <class T>
void LstmSteps<T>::forward(const StepMatrix& matrix, const Tensor& bias) const {
  const std::int64_t pitch = gates.dim(1), state_pitch = h.dim(1);
  for (std::int64_t t = 0; t < call.time(); ++t) {
    const std::int64_t rows = call.steps.active(t);
    const auto pointwise = [&](std::int64_t unit, std::int64_t count) {
      const auto bias_of = [&](std::int64_t column) {
        return bias_at<T>(bias, column < 0 ? column : column + unit);
      };
      kernels::lstm_forward(
          kernels::LstmStep<T>{state(h, t + 1, unit), state(c, t + 1, unit), state(c, t, unit),
                               gate(t, columns.i, unit), gate(t, columns.f, unit),
                               gate(t, columns.g, unit), gate(t, columns.o, unit),
                               bias_of(columns.i), bias_of(columns.f), bias_of(columns.g),
                               bias_of(columns.o), size(pitch), size(state_pitch)},
          size(rows), size(count));
    };
    matrix.step(StepRows<T>{gate(t, 0, 0), pitch, 0, state(h, t, 0), state_pitch, rows}, pointwise);
  }
}

Tensor gru_rows(const Tensor& x, std::int64_t hidden, bool back) {
  Tensor y(x.shape(), x.dtype());
  const std::int64_t last = 2 * hidden, all = 3 * hidden;
  if (back) {
    y.rows(last, all).copy_from(x.rows(0, hidden));
    y.rows(0, last).copy_from(x.rows(hidden, all));
  } else {
    y.rows(0, hidden).copy_from(x.rows(last, all));
    y.rows(hidden, all).copy_from(x.rows(0, last));
  }
  return y;
}

Tensor gru_bias(const Tensor& bias_ih, const Tensor& bias_hh, std::int64_t hidden) {
  if (!bias_ih.defined() && !bias_hh.defined()) return {};
  Tensor bias = Tensor::zeros(Shape{4 * hidden}, (bias_ih.defined() ? bias_ih : bias_hh).dtype());
  if (bias_hh.defined()) add_in_place(bias.rows(0, 3 * hidden), gru_rows(bias_hh, hidden));
  if (bias_ih.defined()) add_in_place(bias.rows(hidden, 4 * hidden), bias_ih);
  return bias;
}

template <class T>
void GruSteps<T>::forward(const StepMatrix& matrix, const Tensor& bias) const {
  const std::int64_t n = call.hidden;
  for (std::int64_t t = 0; t < call.time(); ++t) {
    const std::int64_t rows = call.steps.active(t);
    const auto pointwise = [&](std::int64_t unit, std::int64_t count) {
      const auto bias_of = [&](std::int64_t block) { return bias_at<T>(bias, block * n + unit); };
      kernels::gru_forward(kernels::GruStep<T>{state(t + 1, unit), state(t, unit), gate(t, 1, unit),
                                               gate(t, 2, unit), gate(t, 3, unit), gate(t, 0, unit),
                                               bias_of(1), bias_of(2), bias_of(3), bias_of(0),
                                               size(gates.dim(1)), size(h.dim(1))},
                           size(rows), size(count));
    };
    // q begins with this step's product, r and z hold the input's part.
    matrix.step(StepRows<T>{gate(t, 0, 0), gates.dim(1), 1, state(t, 0), h.dim(1), rows},
                pointwise);
  }
}

template <class T>
void ResetSteps<T>::copy_inputs(const Tensor& x) const {
  parallel_for(call.rows(), row_grain(call.hidden), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      std::copy_n(x.data<T>() + call.steps.packed_of(r) * call.hidden, call.hidden,
                  row_at<T>(gates, r, 2 * call.hidden));
    }
  });
}

template <class T>
void ResetSteps<T>::forward(const StepMatrix& to_gates, const StepMatrix& to_candidate,
                            const Tensor& bias) const {
  const Tensor p(Shape{call.batch(), h.dim(1)}, call.dtype);
  for (std::int64_t t = 0; t < call.time(); ++t) {
    const std::int64_t rows = call.steps.active(t);
    const auto bias_of = [&](std::int64_t block, std::int64_t unit) {
      return bias_at<T>(bias, block * call.hidden + unit);
    };
    const auto reset = [&](std::int64_t unit, std::int64_t count) {
      kernels::reset_forward(
          kernels::ResetStep<T>{p.data<T>() + unit, state(t, unit), gate(t, 0, unit),
                                gate(t, 1, unit), u(t, unit), bias_of(0, unit), bias_of(1, unit),
                                gate_pitch(), state_pitch()},
          size(rows), size(count));
    };
    to_gates.step(StepRows<T>{gate(t, 0, 0), gates.dim(1), 0, state(t, 0), h.dim(1), rows}, reset);
    const auto candidate = [&](std::int64_t unit, std::int64_t count) {
      kernels::candidate_forward(
          kernels::CandidateStep<T>{state(t + 1, unit), n(t, unit), state(t, unit),
                                    gate(t, 1, unit), u(t, unit), bias_of(2, unit), gate_pitch(),
                                    state_pitch()},
          size(rows), size(count));
    };
    to_candidate.step(StepRows<T>{n(t, 0), gates.dim(1), mut1 ? 1 : 0, p.data<T>(), h.dim(1), rows},
                      candidate);
  }
}

template <class T>
void indrnn_steps(const Tensor& h, const Tensor& state, const Tensor& u, const Tensor& bias,
                  const Steps& steps) {
  const ProfileScope profile("recurrent step", 0, 2 * static_cast<double>(h.bytes()));
  const std::int64_t hidden = u.dim(0);
  parallel_for(hidden, kIndRnnStrip, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t text = 0; text < steps.texts(); ++text) {
      kernels::indrnn_forward(
          kernels::IndRnnSequence<T>{h.data<T>() + steps.start(text) * hidden + begin,
                                     state.data<T>() + text * hidden + begin, u.data<T>() + begin,
                                     bias_at<T>(bias, begin), size(hidden)},
          size(steps.length(text)), size(std::min(hidden, end) - begin));
    }
  });
}

template struct RnnSteps<float>;
template struct RnnSteps<double>;
template struct UnitRnnSteps<float>;
template struct UnitRnnSteps<double>;
template struct LstmSteps<float>;
template struct LstmSteps<double>;
template struct GruSteps<float>;
template struct GruSteps<double>;
template struct ResetSteps<float>;
template struct ResetSteps<double>;
template void indrnn_steps<float>(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                  const Steps&);
template void indrnn_steps<double>(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                   const Steps&);

}  // namespace sluice::recurrent
