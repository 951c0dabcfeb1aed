// The pointwise parts of recurrent cells, for float.
#include "sluice/kernels/cells.hpp"

#include <cstddef>

#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cells.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "activations-inl.hpp"
#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

// z + bias, the bias being null or one for all rows.
template <class D, class Span>
HWY_INLINE hn::Vec<D> Biased(D d, const Span& span, const float* z, const float* bias,
                             std::size_t j) {
  const auto value = span.Load(d, z);
  return bias != nullptr ? hn::Add(value, span.Load(d, bias + j)) : value;
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Sigmoid(D d, V x) {
  return Act<Activation::sigmoid>::Value(d, x);
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Tanh(D d, V x) {
  return Act<Activation::tanh>::Value(d, x);
}

// y (1 - y), the derivative of y = σ(x); 1 - y², that of y = tanh(x).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V SigmoidSlope(D d, V y) {
  return hn::Mul(y, hn::Sub(hn::Set(d, 1.0F), y));
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE V TanhSlope(D d, V y) {
  return hn::NegMulAdd(y, y, hn::Set(d, 1.0F));
}

// Calls body(r, j, span) for every vector of every row.
template <class D, class Body>
HWY_INLINE void ForEachRow(D d, std::size_t rows, std::size_t n, const Body& body) {
  for (std::size_t r = 0; r < rows; ++r) {
    ForEachVector(d, n, [&](std::size_t j, auto span) HWY_ATTR { body(r, j, span); });
  }
}

void RnnForward(const RnnStep<float>& s, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  ForEachRow(d, rows, n, [&](std::size_t r, std::size_t j, auto span) HWY_ATTR {
    float* h = s.h + r * s.state_pitch + j;
    const auto z = Biased(d, span, h, s.bias, j);
    span.Store(s.relu ? Act<Activation::relu>::Value(d, z) : Tanh(d, z), d, h);
  });
}

void RnnBackward(const RnnGradient<float>& s, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  ForEachRow(d, rows, n, [&](std::size_t r, std::size_t j, auto span) HWY_ATTR {
    const auto h = span.Load(d, s.h + r * s.state_pitch + j);
    const auto dh = hn::Add(span.Load(d, s.dh + r * s.state_pitch + j),
                            span.Load(d, s.dy + r * s.dy_pitch + j));
    const auto dz =
        s.relu ? hn::IfThenZeroElse(hn::Le(h, hn::Zero(d)), dh) : hn::Mul(dh, TanhSlope(d, h));
    span.Store(dz, d, s.dz + r * s.gate_pitch + j);
  });
}

// A gate that may be removed: activates it in place and returns it, or 1.
template <class D, class Span>
HWY_INLINE hn::Vec<D> OpenGate(D d, const Span& span, float* gate, const float* bias,
                               std::size_t at, std::size_t j) {
  if (gate == nullptr) return hn::Set(d, 1.0F);
  const auto value = Sigmoid(d, Biased(d, span, gate + at, bias, j));
  span.Store(value, d, gate + at);
  return value;
}

void LstmForward(const LstmStep<float>& s, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  ForEachRow(d, rows, n, [&](std::size_t r, std::size_t j, auto span) HWY_ATTR {
    const std::size_t at = r * s.gate_pitch + j;
    const std::size_t state = r * s.state_pitch + j;
    const auto i = OpenGate(d, span, s.i, s.bias_i, at, j);
    const auto f = OpenGate(d, span, s.f, s.bias_f, at, j);
    const auto g = Tanh(d, Biased(d, span, s.g + at, s.bias_g, j));
    span.Store(g, d, s.g + at);
    const auto c = hn::MulAdd(f, span.Load(d, s.c_before + state), hn::Mul(i, g));
    span.Store(c, d, s.c + state);
    const auto o = OpenGate(d, span, s.o, s.bias_o, at, j);
    span.Store(hn::Mul(o, Tanh(d, c)), d, s.h + state);
  });
}

template <class D, class Span>
HWY_INLINE hn::Vec<D> GateOr1(D d, const Span& span, const float* gate, std::size_t at) {
  return gate == nullptr ? hn::Set(d, 1.0F) : span.Load(d, gate + at);
}

void LstmBackward(const LstmGradient<float>& s, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  ForEachRow(d, rows, n, [&](std::size_t r, std::size_t j, auto span) HWY_ATTR {
    const std::size_t at = r * s.gate_pitch + j;
    const std::size_t state = r * s.state_pitch + j;
    const auto dh = hn::Add(span.Load(d, s.dh + state), span.Load(d, s.dy + r * s.dy_pitch + j));
    const auto tanh_c = Tanh(d, span.Load(d, s.c + state));
    const auto i = GateOr1(d, span, s.i, at);
    const auto f = GateOr1(d, span, s.f, at);
    const auto g = span.Load(d, s.g + at);
    const auto o = GateOr1(d, span, s.o, at);
    const auto dc = hn::MulAdd(hn::Mul(dh, o), TanhSlope(d, tanh_c), span.Load(d, s.dc + state));
    if (s.i != nullptr) {
      span.Store(hn::Mul(hn::Mul(dc, g), SigmoidSlope(d, i)), d, s.i + at);
    }
    if (s.f != nullptr) {
      const auto before = span.Load(d, s.c_before + state);
      span.Store(hn::Mul(hn::Mul(dc, before), SigmoidSlope(d, f)), d, s.f + at);
    }
    span.Store(hn::Mul(hn::Mul(dc, i), TanhSlope(d, g)), d, s.g + at);
    if (s.o != nullptr) {
      span.Store(hn::Mul(hn::Mul(dh, tanh_c), SigmoidSlope(d, o)), d, s.o + at);
    }
    span.Store(hn::Mul(dc, f), d, s.dc + state);
  });
}

void GruForward(const GruStep<float>& s, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  ForEachRow(d, rows, n, [&](std::size_t row, std::size_t j, auto span) HWY_ATTR {
    const std::size_t at = row * s.gate_pitch + j;
    const std::size_t state = row * s.state_pitch + j;
    const auto r = Sigmoid(d, Biased(d, span, s.r + at, s.bias_r, j));
    const auto z = Sigmoid(d, Biased(d, span, s.z + at, s.bias_z, j));
    const auto q = Biased(d, span, s.q + at, s.bias_q, j);
    const auto c = Tanh(d, hn::MulAdd(r, q, Biased(d, span, s.n + at, s.bias_n, j)));
    span.Store(r, d, s.r + at);
    span.Store(z, d, s.z + at);
    span.Store(q, d, s.q + at);
    span.Store(c, d, s.n + at);
    const auto before = span.Load(d, s.h_before + state);
    span.Store(hn::MulAdd(z, hn::Sub(before, c), c), d, s.h + state);
  });
}

void GruBackward(const GruGradient<float>& s, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto one = hn::Set(d, 1.0F);
  ForEachRow(d, rows, n, [&](std::size_t row, std::size_t j, auto span) HWY_ATTR {
    const std::size_t at = row * s.gate_pitch + j;
    const std::size_t state = row * s.state_pitch + j;
    const auto dh = hn::Add(span.Load(d, s.dh + state), span.Load(d, s.dy + row * s.dy_pitch + j));
    const auto r = span.Load(d, s.r + at);
    const auto z = span.Load(d, s.z + at);
    const auto c = span.Load(d, s.n + at);
    const auto q = span.Load(d, s.q + at);
    const auto before = span.Load(d, s.h_before + state);
    const auto dc = hn::Mul(hn::Mul(dh, hn::Sub(one, z)), TanhSlope(d, c));
    span.Store(hn::Mul(hn::Mul(dh, hn::Sub(before, c)), SigmoidSlope(d, z)), d, s.z + at);
    span.Store(hn::Mul(hn::Mul(dc, q), SigmoidSlope(d, r)), d, s.r + at);
    span.Store(dc, d, s.n + at);
    span.Store(hn::Mul(dc, r), d, s.q + at);
    span.Store(hn::Mul(dh, z), d, s.dh + state);
  });
}

void ResetForward(const ResetStep<float>& s, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  ForEachRow(d, rows, n, [&](std::size_t row, std::size_t j, auto span) HWY_ATTR {
    const std::size_t at = row * s.gate_pitch + j;
    const std::size_t state = row * s.state_pitch + j;
    const auto r = Sigmoid(d, Biased(d, span, s.r + at, s.bias_r, j));
    span.Store(r, d, s.r + at);
    span.Store(Sigmoid(d, Biased(d, span, s.z + at, s.bias_z, j)), d, s.z + at);
    if (s.u != nullptr) span.Store(Tanh(d, span.Load(d, s.u + at)), d, s.u + at);
    span.Store(hn::Mul(r, span.Load(d, s.h_before + state)), d, s.p + state);
  });
}

void CandidateForward(const CandidateStep<float>& s, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  ForEachRow(d, rows, n, [&](std::size_t row, std::size_t j, auto span) HWY_ATTR {
    const std::size_t at = row * s.gate_pitch + j;
    const std::size_t state = row * s.state_pitch + j;
    const auto z = span.Load(d, s.z + at);
    const auto before = span.Load(d, s.h_before + state);
    auto sum = Biased(d, span, s.n + at, s.bias_n, j);
    if (s.u != nullptr) sum = hn::Add(sum, span.Load(d, s.u + at));
    const auto c = Tanh(d, sum);
    span.Store(c, d, s.n + at);
    // From one of the two towards the other by z.
    const auto from = s.u != nullptr ? before : c;
    const auto to = s.u != nullptr ? c : before;
    span.Store(hn::MulAdd(z, hn::Sub(to, from), from), d, s.h + state);
  });
}

void CandidateBackward(const CandidateGradient<float>& s, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto one = hn::Set(d, 1.0F);
  ForEachRow(d, rows, n, [&](std::size_t row, std::size_t j, auto span) HWY_ATTR {
    const std::size_t at = row * s.gate_pitch + j;
    const std::size_t state = row * s.state_pitch + j;
    const auto dh = hn::Add(span.Load(d, s.dh + state), span.Load(d, s.dy + row * s.dy_pitch + j));
    const auto z = span.Load(d, s.z + at);
    const auto c = span.Load(d, s.n + at);
    const auto before = span.Load(d, s.h_before + state);
    const auto rest = hn::Sub(one, z);
    const auto kept = s.u != nullptr ? rest : z;
    const auto taken = s.u != nullptr ? z : rest;
    const auto dc = hn::Mul(hn::Mul(dh, taken), TanhSlope(d, c));
    const auto along = s.u != nullptr ? hn::Sub(c, before) : hn::Sub(before, c);
    span.Store(hn::Mul(hn::Mul(dh, along), SigmoidSlope(d, z)), d, s.z + at);
    span.Store(dc, d, s.n + at);
    if (s.u != nullptr) {
      span.Store(hn::Mul(dc, TanhSlope(d, span.Load(d, s.u + at))), d, s.u + at);
    }
    span.Store(hn::Mul(dh, kept), d, s.dh + state);
  });
}

void ResetBackward(const ResetGradient<float>& s, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  ForEachRow(d, rows, n, [&](std::size_t row, std::size_t j, auto span) HWY_ATTR {
    const std::size_t at = row * s.gate_pitch + j;
    const std::size_t state = row * s.state_pitch + j;
    const auto r = span.Load(d, s.r + at);
    const auto before = span.Load(d, s.h_before + state);
    const auto dp = span.Load(d, s.dp + state);
    span.Store(hn::Mul(r, before), d, s.p + state);
    span.Store(hn::Mul(hn::Mul(dp, before), SigmoidSlope(d, r)), d, s.r + at);
    span.Store(hn::MulAdd(dp, r, span.Load(d, s.dh + state)), d, s.dh + state);
  });
}

// Vectors of a strip that goes through time together: enough for whole lines of memory and for the
// latency of a step, few enough for registers.
constexpr std::size_t kStrip = 4;

// Calls body(j, spans) for strips of kStrip vectors, the last of a vector and less each.
template <class D, class Strip>
HWY_INLINE void ForEachStrip(D d, std::size_t n, const Strip& strip) {
  const std::size_t whole = kStrip * hn::Lanes(d);
  std::size_t j = 0;
  for (; j + whole <= n; j += whole) strip.template Run<kStrip>(j, Whole{});
  for (; j + hn::Lanes(d) <= n; j += hn::Lanes(d)) strip.template Run<1>(j, Whole{});
  if (j < n) strip.template Run<1>(j, First{n - j});
}

struct IndRnnForwardStrip : IndRnnSequence<float> {
  std::size_t steps;

  template <std::size_t kVectors, class Span>
  HWY_INLINE void Run(std::size_t j, Span span) const {
    const hn::ScalableTag<float> d;
    using V = hn::Vec<decltype(d)>;
    const std::size_t lanes = hn::Lanes(d);
    V now[kVectors];
    V factor[kVectors];
    V shift[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v) {
      const std::size_t at = j + v * lanes;
      now[v] = span.Load(d, state + at);
      factor[v] = span.Load(d, u + at);
      shift[v] = bias != nullptr ? span.Load(d, bias + at) : hn::Zero(d);
    }
    for (std::size_t t = 0; t < steps; ++t) {
      float* row = h + t * pitch + j;
      for (std::size_t v = 0; v < kVectors; ++v) {
        const V z = hn::Add(span.Load(d, row + v * lanes), shift[v]);
        now[v] = Act<Activation::relu>::Value(d, hn::MulAdd(factor[v], now[v], z));
        span.Store(now[v], d, row + v * lanes);
      }
    }
    for (std::size_t v = 0; v < kVectors; ++v) span.Store(now[v], d, state + j + v * lanes);
  }
};

struct IndRnnBackwardStrip : IndRnnGradient<float> {
  std::size_t steps;

  template <std::size_t kVectors, class Span>
  HWY_INLINE void Run(std::size_t j, Span span) const {
    const hn::ScalableTag<float> d;
    using V = hn::Vec<decltype(d)>;
    const std::size_t lanes = hn::Lanes(d);
    V carried[kVectors];
    V factor[kVectors];
    V factor_sum[kVectors];
    V sum[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v) {
      const std::size_t at = j + v * lanes;
      carried[v] = hn::Zero(d);
      factor[v] = span.Load(d, u + at);
      factor_sum[v] = du != nullptr ? span.Load(d, du + at) : hn::Zero(d);
      sum[v] = dbias != nullptr ? span.Load(d, dbias + at) : hn::Zero(d);
    }
    for (std::size_t t = steps; t-- > 0;) {
      const std::size_t row = t * pitch + j;
      const float* before = t > 0 ? h + row - pitch : first + j;
      for (std::size_t v = 0; v < kVectors; ++v) {
        const V value = span.Load(d, h + row + v * lanes);
        const V dy = span.Load(d, dz + row + v * lanes);
        const V g =
            hn::IfThenZeroElse(hn::Le(value, hn::Zero(d)), hn::MulAdd(factor[v], carried[v], dy));
        span.Store(g, d, dz + row + v * lanes);
        factor_sum[v] = hn::MulAdd(g, span.Load(d, before + v * lanes), factor_sum[v]);
        sum[v] = hn::Add(sum[v], g);
        carried[v] = g;
      }
    }
    for (std::size_t v = 0; v < kVectors; ++v) {
      const std::size_t at = j + v * lanes;
      if (du != nullptr) span.Store(factor_sum[v], d, du + at);
      if (dbias != nullptr) span.Store(sum[v], d, dbias + at);
    }
  }
};

void IndRnnForward(const IndRnnSequence<float>& sequence, std::size_t steps, std::size_t n) {
  ForEachStrip(hn::ScalableTag<float>(), n, IndRnnForwardStrip{sequence, steps});
}

void IndRnnBackward(const IndRnnGradient<float>& sequence, std::size_t steps, std::size_t n) {
  ForEachStrip(hn::ScalableTag<float>(), n, IndRnnBackwardStrip{sequence, steps});
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(RnnForward);
HWY_EXPORT(RnnBackward);
HWY_EXPORT(LstmForward);
HWY_EXPORT(LstmBackward);
HWY_EXPORT(GruForward);
HWY_EXPORT(GruBackward);
HWY_EXPORT(ResetForward);
HWY_EXPORT(CandidateForward);
HWY_EXPORT(CandidateBackward);
HWY_EXPORT(ResetBackward);
HWY_EXPORT(IndRnnForward);
HWY_EXPORT(IndRnnBackward);
}  // namespace

void rnn_forward(const RnnStep<float>& step, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(RnnForward)(step, rows, n);
}
void rnn_backward(const RnnGradient<float>& step, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(RnnBackward)(step, rows, n);
}
void lstm_forward(const LstmStep<float>& step, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(LstmForward)(step, rows, n);
}
void lstm_backward(const LstmGradient<float>& step, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(LstmBackward)(step, rows, n);
}
void gru_forward(const GruStep<float>& step, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(GruForward)(step, rows, n);
}
void gru_backward(const GruGradient<float>& step, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(GruBackward)(step, rows, n);
}
void reset_forward(const ResetStep<float>& step, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(ResetForward)(step, rows, n);
}
void candidate_forward(const CandidateStep<float>& step, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(CandidateForward)(step, rows, n);
}
void candidate_backward(const CandidateGradient<float>& step, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(CandidateBackward)(step, rows, n);
}
void reset_backward(const ResetGradient<float>& step, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(ResetBackward)(step, rows, n);
}
void indrnn_forward(const IndRnnSequence<float>& sequence, std::size_t steps, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(IndRnnForward)(sequence, steps, n);
}
void indrnn_backward(const IndRnnGradient<float>& sequence, std::size_t steps, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(IndRnnBackward)(sequence, steps, n);
}

}  // namespace sluice::kernels
#endif
