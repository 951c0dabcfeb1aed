// The pointwise parts of recurrent cells, for double.
#include <cmath>

#include "activations_double.hpp"
#include "sluice/kernels/cells.hpp"

namespace sluice::kernels {
namespace {

double biased(double z, const double* bias, std::size_t j) {
  return bias != nullptr ? z + bias[j] : z;
}
double sigmoid_slope(double y) { return y * (1 - y); }
double tanh_slope(double y) { return 1 - y * y; }

double open_gate(double* gate, const double* bias, std::size_t at, std::size_t j) {
  if (gate == nullptr) return 1;
  return gate[at] = logistic(biased(gate[at], bias, j));
}
double gate_or_1(const double* gate, std::size_t at) { return gate == nullptr ? 1.0 : gate[at]; }

template <class Body>
void for_each(std::size_t rows, std::size_t n, const Body& body) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t j = 0; j < n; ++j) body(r, j);
  }
}

}  // namespace

void rnn_forward(const RnnStep<double>& s, std::size_t rows, std::size_t n) {
  for_each(rows, n, [&](std::size_t r, std::size_t j) {
    double& h = s.h[r * s.state_pitch + j];
    const double z = biased(h, s.bias, j);
    h = s.relu ? relu_double(z).value : std::tanh(z);
  });
}

void rnn_backward(const RnnGradient<double>& s, std::size_t rows, std::size_t n) {
  for_each(rows, n, [&](std::size_t r, std::size_t j) {
    const double h = s.h[r * s.state_pitch + j];
    const double dh = s.dh[r * s.state_pitch + j] + s.dy[r * s.dy_pitch + j];
    s.dz[r * s.gate_pitch + j] = s.relu ? (h <= 0 ? 0.0 : dh) : dh * tanh_slope(h);
  });
}

void lstm_forward(const LstmStep<double>& s, std::size_t rows, std::size_t n) {
  for_each(rows, n, [&](std::size_t r, std::size_t j) {
    const std::size_t at = r * s.gate_pitch + j, state = r * s.state_pitch + j;
    const double i = open_gate(s.i, s.bias_i, at, j);
    const double f = open_gate(s.f, s.bias_f, at, j);
    const double g = s.g[at] = std::tanh(biased(s.g[at], s.bias_g, j));
    const double o = open_gate(s.o, s.bias_o, at, j);
    s.c[state] = f * s.c_before[state] + i * g;
    s.h[state] = o * std::tanh(s.c[state]);
  });
}

void lstm_backward(const LstmGradient<double>& s, std::size_t rows, std::size_t n) {
  for_each(rows, n, [&](std::size_t r, std::size_t j) {
    const std::size_t at = r * s.gate_pitch + j, state = r * s.state_pitch + j;
    const double dh = s.dh[state] + s.dy[r * s.dy_pitch + j];
    const double tanh_c = std::tanh(s.c[state]);
    const double i = gate_or_1(s.i, at), f = gate_or_1(s.f, at), o = gate_or_1(s.o, at);
    const double g = s.g[at];
    const double dc = s.dc[state] + dh * o * tanh_slope(tanh_c);
    if (s.i != nullptr) s.i[at] = dc * g * sigmoid_slope(i);
    if (s.f != nullptr) s.f[at] = dc * s.c_before[state] * sigmoid_slope(f);
    s.g[at] = dc * i * tanh_slope(g);
    if (s.o != nullptr) s.o[at] = dh * tanh_c * sigmoid_slope(o);
    s.dc[state] = dc * f;
  });
}

void gru_forward(const GruStep<double>& s, std::size_t rows, std::size_t n) {
  for_each(rows, n, [&](std::size_t row, std::size_t j) {
    const std::size_t at = row * s.gate_pitch + j, state = row * s.state_pitch + j;
    const double r = s.r[at] = logistic(biased(s.r[at], s.bias_r, j));
    const double z = s.z[at] = logistic(biased(s.z[at], s.bias_z, j));
    const double q = s.q[at] = biased(s.q[at], s.bias_q, j);
    const double c = s.n[at] = std::tanh(biased(s.n[at], s.bias_n, j) + r * q);
    s.h[state] = (1 - z) * c + z * s.h_before[state];
  });
}

void gru_backward(const GruGradient<double>& s, std::size_t rows, std::size_t n) {
  for_each(rows, n, [&](std::size_t row, std::size_t j) {
    const std::size_t at = row * s.gate_pitch + j, state = row * s.state_pitch + j;
    const double dh = s.dh[state] + s.dy[row * s.dy_pitch + j];
    const double r = s.r[at], z = s.z[at], c = s.n[at], q = s.q[at];
    const double dc = dh * (1 - z) * tanh_slope(c);
    s.z[at] = dh * (s.h_before[state] - c) * sigmoid_slope(z);
    s.r[at] = dc * q * sigmoid_slope(r);
    s.n[at] = dc;
    s.q[at] = dc * r;
    s.dh[state] = dh * z;
  });
}

void reset_forward(const ResetStep<double>& s, std::size_t rows, std::size_t n) {
  for_each(rows, n, [&](std::size_t row, std::size_t j) {
    const std::size_t at = row * s.gate_pitch + j, state = row * s.state_pitch + j;
    s.r[at] = logistic(biased(s.r[at], s.bias_r, j));
    s.z[at] = logistic(biased(s.z[at], s.bias_z, j));
    if (s.u != nullptr) s.u[at] = std::tanh(s.u[at]);
    s.p[state] = s.r[at] * s.h_before[state];
  });
}

void candidate_forward(const CandidateStep<double>& s, std::size_t rows, std::size_t n) {
  for_each(rows, n, [&](std::size_t row, std::size_t j) {
    const std::size_t at = row * s.gate_pitch + j, state = row * s.state_pitch + j;
    const double sum = biased(s.n[at], s.bias_n, j) + (s.u != nullptr ? s.u[at] : 0.0);
    const double c = s.n[at] = std::tanh(sum);
    const double kept = s.u != nullptr ? 1 - s.z[at] : s.z[at];
    s.h[state] = (1 - kept) * c + kept * s.h_before[state];
  });
}

void candidate_backward(const CandidateGradient<double>& s, std::size_t rows, std::size_t n) {
  for_each(rows, n, [&](std::size_t row, std::size_t j) {
    const std::size_t at = row * s.gate_pitch + j, state = row * s.state_pitch + j;
    const bool mut1 = s.u != nullptr;
    const double dh = s.dh[state] + s.dy[row * s.dy_pitch + j];
    const double z = s.z[at], c = s.n[at], before = s.h_before[state];
    const double kept = mut1 ? 1 - z : z;
    s.z[at] = dh * (mut1 ? c - before : before - c) * sigmoid_slope(z);
    s.n[at] = dh * (1 - kept) * tanh_slope(c);
    if (mut1) s.u[at] = s.n[at] * tanh_slope(s.u[at]);
    s.dh[state] = dh * kept;
  });
}

void reset_backward(const ResetGradient<double>& s, std::size_t rows, std::size_t n) {
  for_each(rows, n, [&](std::size_t row, std::size_t j) {
    const std::size_t at = row * s.gate_pitch + j, state = row * s.state_pitch + j;
    const double r = s.r[at], before = s.h_before[state];
    s.p[state] = r * before;
    s.r[at] = s.dp[state] * before * sigmoid_slope(r);
    s.dh[state] += s.dp[state] * r;
  });
}

void indrnn_forward(const IndRnnSequence<double>& s, std::size_t steps, std::size_t n) {
  for_each(steps, n, [&](std::size_t t, std::size_t j) {
    double& value = s.h[t * s.pitch + j];
    value = relu_double(biased(value, s.bias, j) + s.u[j] * s.state[j]).value;
    s.state[j] = value;
  });
}

void indrnn_backward(const IndRnnGradient<double>& sequence, std::size_t steps, std::size_t n) {
  const auto [dz, du, dbias, h, first, u, pitch] = sequence;
  for (std::size_t j = 0; j < n; ++j) {
    double carried = 0;
    for (std::size_t t = steps; t-- > 0;) {
      const std::size_t at = t * pitch + j;
      carried = h[at] <= 0 ? 0.0 : dz[at] + u[j] * carried;
      dz[at] = carried;
      if (du != nullptr) du[j] += carried * (t > 0 ? h[at - pitch] : first[j]);
      if (dbias != nullptr) dbias[j] += carried;
    }
  }
}

}  // namespace sluice::kernels
