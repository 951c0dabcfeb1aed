#pragma once
// The pointwise part of a step of each recurrent cell: what is left when the matrix products of the
// step are known. Value and gradient side by side; one thread, no allocation; float by Highway,
// double by plain loops (for gradient tests).
//
// A step works on `rows` rows of n hidden units, all arrays [rows, n]. Gate arrays share the
// row pitch gate_pitch, states (h, c, r ⊙ h₋) share state_pitch; dy has a pitch of its own. Biases
// are [n] or null. Gates come in as pre-activations (without bias) and are left activated for the
// gradient, which puts the gradients of the pre-activations in their place. NaN in gives NaN out
// in that element only.

#include <cstddef>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice::kernels {

/// Elman: h = f(z + bias), f = relu or tanh. In place: h holds z on entry.
template <class T>
struct RnnStep {
  T* h;
  const T* bias;
  std::size_t state_pitch;
  bool relu;
};
void rnn_forward(const RnnStep<float>& step, std::size_t rows, std::size_t n);
void rnn_forward(const RnnStep<double>& step, std::size_t rows, std::size_t n);

/// dz = (dh + dy) f'(z), from h: 1 - h² for tanh, h > 0 for relu.
template <class T>
struct RnnGradient {
  T* dz;
  const T* dh;
  const T* dy;
  const T* h;
  std::size_t gate_pitch, state_pitch, dy_pitch;
  bool relu;
};
void rnn_backward(const RnnGradient<float>& step, std::size_t rows, std::size_t n);
void rnn_backward(const RnnGradient<double>& step, std::size_t rows, std::size_t n);

/// LSTM (Hochreiter & Schmidhuber 1997; forget gate Gers et al. 2000):
///   i = σ(zi + bi), f = σ(zf + bf), g = tanh(zg + bg), o = σ(zo + bo)
///   c = f ⊙ c₋ + i ⊙ g, h = o ⊙ tanh(c)
/// A gate i, f or o that is null is 1.
template <class T>
struct LstmStep {
  T* h;
  T* c;
  const T* c_before;
  T *i, *f, *g, *o;
  const T *bias_i, *bias_f, *bias_g, *bias_o;
  std::size_t gate_pitch, state_pitch;
};
void lstm_forward(const LstmStep<float>& step, std::size_t rows, std::size_t n);
void lstm_forward(const LstmStep<double>& step, std::size_t rows, std::size_t n);

/// With dh' = dh + dy and dc' = dc + dh' o (1 - tanh² c):
///   di = dc' g i(1-i), df = dc' c₋ f(1-f), dg = dc' i (1-g²), do = dh' tanh(c) o(1-o)
/// in the places of i, f, g, o; dc is replaced by dc' f, the gradient of c₋.
template <class T>
struct LstmGradient {
  T *i, *f, *g, *o;
  T* dc;
  const T* dh;
  const T* dy;
  const T* c;
  const T* c_before;
  std::size_t gate_pitch, state_pitch, dy_pitch;
};
void lstm_backward(const LstmGradient<float>& step, std::size_t rows, std::size_t n);
void lstm_backward(const LstmGradient<double>& step, std::size_t rows, std::size_t n);

/// GRU with the reset gate after the matrix product (PyTorch's and cuDNN's), q the product of h₋:
///   r = σ(zr + br), z = σ(zz + bz), q' = q + bq, n = tanh(zn + bn + r ⊙ q')
///   h = (1 - z) ⊙ n + z ⊙ h₋
/// q is left as q'.
template <class T>
struct GruStep {
  T* h;
  const T* h_before;
  T *r, *z, *n, *q;
  const T *bias_r, *bias_z, *bias_n, *bias_q;
  std::size_t gate_pitch, state_pitch;
};
void gru_forward(const GruStep<float>& step, std::size_t rows, std::size_t n);
void gru_forward(const GruStep<double>& step, std::size_t rows, std::size_t n);

/// With dh' = dh + dy: dn = dh' (1-z)(1-n²), dz = dh' (h₋ - n) z(1-z), dr = dn q' r(1-r),
/// dq = dn r, in the places of n, z, r, q; dh is replaced by dh' z.
template <class T>
struct GruGradient {
  T *r, *z, *n, *q;
  T* dh;
  const T* dy;
  const T* h_before;
  std::size_t gate_pitch, state_pitch, dy_pitch;
};
void gru_backward(const GruGradient<float>& step, std::size_t rows, std::size_t n);
void gru_backward(const GruGradient<double>& step, std::size_t rows, std::size_t n);

/// Cells whose candidate sees r ⊙ h₋ through a matrix take two products a step, each followed by
/// pointwise work: the GRU of Cho et al. 2014 (u null) and MUT1 of Jozefowicz et al. 2015 (u not).
/// First, r = σ(zr + br), z = σ(zz + bz), p = r ⊙ h₋, and for MUT1 u = tanh(u).
template <class T>
struct ResetStep {
  T* p;
  const T* h_before;
  T *r, *z, *u;
  const T *bias_r, *bias_z;
  std::size_t gate_pitch, state_pitch;
};
void reset_forward(const ResetStep<float>& step, std::size_t rows, std::size_t n);
void reset_forward(const ResetStep<double>& step, std::size_t rows, std::size_t n);

/// Then n = tanh(zn + bn), h = (1 - z) ⊙ n + z ⊙ h₋; or for MUT1 n = tanh(zn + u + bn),
/// h = z ⊙ n + (1 - z) ⊙ h₋.
template <class T>
struct CandidateStep {
  T* h;
  T* n;
  const T* h_before;
  const T *z, *u;
  const T* bias_n;
  std::size_t gate_pitch, state_pitch;
};
void candidate_forward(const CandidateStep<float>& step, std::size_t rows, std::size_t n);
void candidate_forward(const CandidateStep<double>& step, std::size_t rows, std::size_t n);

/// The gradient of the second part, with dh' = dh + dy and k the share of h₋ in h (z; for MUT1
/// 1 - z): dn = dh' (1-k)(1-n²), dz = ± dh' (h₋ - n) z(1-z), for MUT1 du = dn (1-u²), in the places
/// of n, z, u; dh is replaced by dh' k.
template <class T>
struct CandidateGradient {
  T *n, *z, *u;
  T* dh;
  const T* dy;
  const T* h_before;
  std::size_t gate_pitch, state_pitch, dy_pitch;
};
void candidate_backward(const CandidateGradient<float>& step, std::size_t rows, std::size_t n);
void candidate_backward(const CandidateGradient<double>& step, std::size_t rows, std::size_t n);

/// And of the first, from the gradient dp of p: p = r ⊙ h₋ once more, dr = dp h₋ r(1-r) in the
/// place of r, dh += dp r.
template <class T>
struct ResetGradient {
  T* r;
  T* p;
  T* dh;
  const T* dp;
  const T* h_before;
  std::size_t gate_pitch, state_pitch;
};
void reset_backward(const ResetGradient<float>& step, std::size_t rows, std::size_t n);
void reset_backward(const ResetGradient<double>& step, std::size_t rows, std::size_t n);

/// IndRNN (Li et al. 2018, eq. 2), all steps of one sequence: h[t] = relu(z[t] + u ⊙ h[t-1] + bias)
/// for t < steps, in place: h [steps, n] with rows of `pitch` holds z on entry. `state` is h[-1] on
/// entry, h[steps-1] on return.
template <class T>
struct IndRnnSequence {
  T* h;
  T* state;
  const T* u;
  const T* bias;
  std::size_t pitch;
};
void indrnn_forward(const IndRnnSequence<float>& sequence, std::size_t steps, std::size_t n);
void indrnn_forward(const IndRnnSequence<double>& sequence, std::size_t steps, std::size_t n);

/// From the last step to the first, dz[t] = (dy[t] + u ⊙ dz[t+1]) where h[t] > 0, else 0, which
/// replaces dy; du += Σ_t dz[t] ⊙ h[t-1], dbias += Σ_t dz[t] (each null if not wanted). first is
/// h[-1].
template <class T>
struct IndRnnGradient {
  T* dz;
  T* du;
  T* dbias;
  const T* h;
  const T* first;
  const T* u;
  std::size_t pitch;
};
void indrnn_backward(const IndRnnGradient<float>& sequence, std::size_t steps, std::size_t n);
void indrnn_backward(const IndRnnGradient<double>& sequence, std::size_t steps, std::size_t n);

}  // namespace sluice::kernels
SLUICE_API_END
