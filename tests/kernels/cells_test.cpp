// The pointwise parts of recurrent cells: float on every SIMD target against double.
#include "sluice/kernels/cells.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "support.hpp"

namespace sluice::kernels {
namespace {

constexpr std::size_t kArrays = 12, kGatePad = 3, kStatePad = 2, kDyPad = 5;

// Arrays that a kernel reads and writes: each [rows, n] in rows of its pitch, guarded behind.
template <class T>
struct Arrays {
  std::size_t rows, n;
  std::vector<std::vector<T>> data;

  std::size_t gate_pitch() const { return n + kGatePad; }
  std::size_t state_pitch() const { return n + kStatePad; }
  std::size_t dy_pitch() const { return n + kDyPad; }
  T* operator[](std::size_t i) { return data[i].data(); }
};

using FloatKernel = std::function<void(Arrays<float>&)>;
using DoubleKernel = std::function<void(Arrays<double>&)>;
struct Kernel {
  std::string name;
  FloatKernel narrow;
  DoubleKernel wide;
};

// Both precisions of a kernel from one generic call.
template <class Call>
Kernel kernel(std::string name, Call call) {
  return {std::move(name), [call](Arrays<float>& a) { call(a); },
          [call](Arrays<double>& a) { call(a); }};
}

// Gates are a[0..3] (pre-activations forward, activations in (0, 1) backward), biases a[4..7],
// states a[8..10], dy a[11].
std::vector<Kernel> forward_kernels() {
  std::vector<Kernel> all;
  for (const bool relu : {false, true}) {
    all.push_back(kernel(relu ? "rnn relu" : "rnn tanh", [relu]<class T>(Arrays<T>& a) {
      rnn_forward(RnnStep<T>{a[8], a[4], a.state_pitch(), relu}, a.rows, a.n);
    }));
  }
  for (const int removed : {0, 1, 2, 4, 7}) {
    all.push_back(kernel("lstm without " + std::to_string(removed), [=]<class T>(Arrays<T>& a) {
      lstm_forward(LstmStep<T>{a[8], a[9], a[10], removed & 1 ? nullptr : a[0],
                               removed & 2 ? nullptr : a[1], a[2], removed & 4 ? nullptr : a[3],
                               a[4], a[5], a[6], a[7], a.gate_pitch(), a.state_pitch()},
                   a.rows, a.n);
    }));
  }
  all.push_back(kernel("gru", []<class T>(Arrays<T>& a) {
    gru_forward(GruStep<T>{a[8], a[9], a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7],
                           a.gate_pitch(), a.state_pitch()},
                a.rows, a.n);
  }));
  for (const bool mut1 : {false, true}) {
    const std::string name = mut1 ? "mut1" : "gru before";
    all.push_back(kernel(name + " reset", [mut1]<class T>(Arrays<T>& a) {
      reset_forward(ResetStep<T>{a[8], a[9], a[0], a[1], mut1 ? a[2] : nullptr, a[4], a[5],
                                 a.gate_pitch(), a.state_pitch()},
                    a.rows, a.n);
    }));
    all.push_back(kernel(name + " candidate", [mut1]<class T>(Arrays<T>& a) {
      candidate_forward(CandidateStep<T>{a[8], a[0], a[9], a[1], mut1 ? a[2] : nullptr, a[4],
                                         a.gate_pitch(), a.state_pitch()},
                        a.rows, a.n);
    }));
  }
  all.push_back(kernel("indrnn", []<class T>(Arrays<T>& a) {
    indrnn_forward({a[0], a[8], a[4], a[5], a.gate_pitch()}, a.rows, a.n);
  }));
  return all;
}

std::vector<Kernel> backward_kernels() {
  std::vector<Kernel> all;
  for (const bool relu : {false, true}) {
    all.push_back(kernel(relu ? "rnn relu" : "rnn tanh", [relu]<class T>(Arrays<T>& a) {
      rnn_backward(RnnGradient<T>{a[0], a[8], a[11], a[9], a.gate_pitch(), a.state_pitch(),
                                  a.dy_pitch(), relu},
                   a.rows, a.n);
    }));
  }
  for (const int removed : {0, 1, 2, 4, 7}) {
    all.push_back(kernel("lstm without " + std::to_string(removed), [=]<class T>(Arrays<T>& a) {
      lstm_backward(LstmGradient<T>{removed & 1 ? nullptr : a[0], removed & 2 ? nullptr : a[1],
                                    a[2], removed & 4 ? nullptr : a[3], a[8], a[9], a[11], a[10],
                                    a[4], a.gate_pitch(), a.state_pitch(), a.dy_pitch()},
                    a.rows, a.n);
    }));
  }
  all.push_back(kernel("gru", []<class T>(Arrays<T>& a) {
    gru_backward(GruGradient<T>{a[0], a[1], a[2], a[3], a[8], a[11], a[9], a.gate_pitch(),
                                a.state_pitch(), a.dy_pitch()},
                 a.rows, a.n);
  }));
  for (const bool mut1 : {false, true}) {
    all.push_back(kernel(mut1 ? "mut1" : "gru before", [mut1]<class T>(Arrays<T>& a) {
      candidate_backward(CandidateGradient<T>{a[0], a[1], mut1 ? a[2] : nullptr, a[8], a[11], a[9],
                                              a.gate_pitch(), a.state_pitch(), a.dy_pitch()},
                         a.rows, a.n);
    }));
  }
  all.push_back(kernel("reset", []<class T>(Arrays<T>& a) {
    reset_backward(ResetGradient<T>{a[0], a[8], a[9], a[10], a[4], a.gate_pitch(), a.state_pitch()},
                   a.rows, a.n);
  }));
  all.push_back(kernel("indrnn", []<class T>(Arrays<T>& a) {
    indrnn_backward({a[0], a[6], a[7], a[1], a[8], a[4], a.gate_pitch()}, a.rows, a.n);
  }));
  return all;
}

constexpr std::size_t kGuard = 70;

// Values for all arrays, large enough for every pitch; `gates_open` puts gates into (0, 1).
Arrays<float> make_arrays(std::size_t rows, std::size_t n, bool gates_open, double sigma) {
  Arrays<float> a{rows, n, {}};
  for (std::size_t i = 0; i < kArrays; ++i) {
    auto values = normal_values<float>(rows * (n + kDyPad) + kGuard,
                                       static_cast<std::uint32_t>(300 + i), sigma);
    if (gates_open && i < 4) {
      for (float& v : values) v = 1 / (1 + std::exp(-v));
    }
    a.data.push_back(std::move(values));
  }
  return a;
}

Arrays<double> widened(const Arrays<float>& a) {
  Arrays<double> wide{a.rows, a.n, {}};
  for (const auto& values : a.data) wide.data.push_back(converted<double>(values));
  return wide;
}

// Every element of every array, those that must not be touched among them.
void expect_same(const Arrays<float>& got, const Arrays<double>& want, double tolerance) {
  for (std::size_t i = 0; i < kArrays; ++i) {
    for (std::size_t j = 0; j < got.data[i].size(); ++j) {
      const double e = want.data[i][j];
      ASSERT_NEAR(got.data[i][j], e, tolerance * std::max(1.0, std::abs(e)))
          << "array " << i << ", element " << j << ", n " << got.n;
    }
  }
}

// One step's few roundings: 1e-6, relative from 1 on; IndRNN's goes over all rows.
void compare_all(const std::vector<Kernel>& kernels, bool gates_open, double sigma) {
  on_every_target([&] {
    for (const Kernel& k : kernels) {
      SCOPED_TRACE(k.name);
      for (const std::size_t n : {1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 64, 67}) {
        for (const std::size_t rows : {1, 3}) {
          Arrays<float> narrow = make_arrays(rows, n, gates_open, sigma);
          Arrays<double> wide = widened(narrow);
          k.narrow(narrow);
          k.wide(wide);
          expect_same(narrow, wide, 2e-6);
        }
      }
      Arrays<float> none = make_arrays(0, 5, gates_open, sigma);
      const auto before = none.data;
      k.narrow(none);
      EXPECT_EQ(none.data, before) << "no rows, nothing written";
    }
  });
}

TEST(Cells, ForwardFollowsDouble) { compare_all(forward_kernels(), false, 1.0); }
TEST(Cells, BackwardFollowsDouble) { compare_all(backward_kernels(), true, 1.0); }

TEST(Cells, SaturatedGatesFollowDouble) {
  for (const double scale : {20.0, 150.0}) compare_all(forward_kernels(), false, scale);
}

// All but IndRNN, where a NaN belongs to all later steps of its unit.
TEST(Cells, NanStaysInItsElement) {
  constexpr std::size_t n = 21, row = 1, unit = 18;
  on_every_target([&] {
    for (const bool backward : {false, true}) {
      for (const Kernel& k : backward ? backward_kernels() : forward_kernels()) {
        if (k.name == "indrnn") continue;
        SCOPED_TRACE(k.name);
        Arrays<float> clean = make_arrays(3, n, backward, 1.0);
        Arrays<float> spoilt = clean;
        for (const std::size_t i : {0, 1, 2, 3}) {
          spoilt[i][row * clean.gate_pitch() + unit] = std::numeric_limits<float>::quiet_NaN();
        }
        for (const std::size_t i : {8, 9, 10}) {
          spoilt[i][row * clean.state_pitch() + unit] = std::numeric_limits<float>::quiet_NaN();
        }
        k.narrow(clean);
        k.narrow(spoilt);
        std::size_t spoilt_elements = 0;
        for (std::size_t i = 0; i < kArrays; ++i) {
          const std::size_t pitch = i < 4 ? clean.gate_pitch() : clean.state_pitch();
          for (std::size_t j = 0; j < clean.data[i].size(); ++j) {
            if (j == row * pitch + unit && (i < 4 || (i >= 8 && i < 11))) {
              spoilt_elements += std::isnan(spoilt.data[i][j]) ? 1 : 0;
            } else {
              ASSERT_EQ(spoilt.data[i][j], clean.data[i][j]) << "array " << i << ", " << j;
            }
          }
        }
        EXPECT_GT(spoilt_elements, 0U);
      }
    }
  });
}

// The derivative the backward kernels take is that of the forward ones.
TEST(Cells, LstmGradientIsThatOfCentralDifferences) {
  const auto loss = [](double zi, double zf, double zg, double zo, double c0,
                       double* di = nullptr) {
    double i = zi, f = zf, g = zg, o = zo, c = 0, h = 0;
    lstm_forward(
        LstmStep<double>{&h, &c, &c0, &i, &f, &g, &o, nullptr, nullptr, nullptr, nullptr, 1, 1}, 1,
        1);
    if (di != nullptr) {
      double dc = 0.7;
      const double dh = 0.5, dy = 0.8;
      lstm_backward(LstmGradient<double>{&i, &f, &g, &o, &dc, &dh, &dy, &c, &c0, 1, 1, 1}, 1, 1);
      di[0] = i, di[1] = f, di[2] = g, di[3] = o, di[4] = dc;
    }
    return 1.3 * h + 0.7 * c;
  };
  std::vector<double> at{0.3, -0.4, 0.9, 0.2, -1.1};
  double gradient[5];
  loss(at[0], at[1], at[2], at[3], at[4], gradient);
  for (std::size_t i = 0; i < 5; ++i) {
    constexpr double step = 1e-5;
    auto above = at, below = at;
    above[i] += step;
    below[i] -= step;
    const double expected = (loss(above[0], above[1], above[2], above[3], above[4]) -
                             loss(below[0], below[1], below[2], below[3], below[4])) /
                            (2 * step);
    EXPECT_NEAR(gradient[i], expected, 1e-9) << i;
  }
}

}  // namespace
}  // namespace sluice::kernels
