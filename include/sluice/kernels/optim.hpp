#pragma once
// Optimizer updates and weight normalisation. One thread. Moments below 1e-36 in magnitude become
// 0: those of a word that no longer occurs would decay into denormals, which are slow.

#include <cstddef>

namespace sluice::kernels {

/// PyTorch's SGD (torch.optim.SGD, dampening 0) with the gradient scaled first:
///   g = grad · gradient_scale + weight_decay · w
///   v = momentum · v + g;  w -= lr · (nesterov ? g + momentum · v : v)
/// With momentum 0, v may be null. grad null stands for zeros, and gives the same bits as zeros.
void sgd_step(float* w, float* v, const float* grad, float gradient_scale, float lr, float momentum,
              float weight_decay, bool nesterov, std::size_t n);

/// PyTorch's Adam / AdamW (decoupled = true) with the gradient scaled first. bias_correction1 =
/// 1 - beta1^t, bias_correction2 = 1 - beta2^t for step t counted from 1. grad null stands for
/// zeros, and gives the same bits as zeros.
struct AdamStep {
  float gradient_scale, lr, beta1, beta2, epsilon, weight_decay;
  float bias_correction1, bias_correction2;
  bool decoupled;
};
void adam_step(float* w, float* m, float* v, const float* grad, const AdamStep& step,
               std::size_t n);

/// Weight normalisation (Salimans & Kingma 2016, eq. 2) of the columns of v [rows, n]:
///   norm[j] = ‖v[:, j]‖₂,  w[:, j] = g[j] · v[:, j] / norm[j]
/// over the columns [begin, end) only, so that callers may split columns over threads. A column of
/// zeros gives NaN. With w null only the norms are computed.
void weight_norm_forward(float* w, float* norm, const float* v, const float* g, std::size_t rows,
                         std::size_t n, std::size_t begin, std::size_t end);
void weight_norm_forward(double* w, double* norm, const double* v, const double* g,
                         std::size_t rows, std::size_t n, std::size_t begin, std::size_t end);

/// Its gradient (eq. 3), written, not accumulated: dg[j] = (dw[:, j] · v[:, j]) / norm[j],
/// dv[:, j] = g[j] / norm[j] · (dw[:, j] - v[:, j] · (dw[:, j] · v[:, j]) / norm[j]²),
/// and squares[j] = ‖dv[:, j]‖². dv may be dw.
void weight_norm_backward(float* dv, float* dg, double* squares, const float* dw, const float* v,
                          const float* g, const float* norm, std::size_t rows, std::size_t n,
                          std::size_t begin, std::size_t end);
void weight_norm_backward(double* dv, double* dg, double* squares, const double* dw,
                          const double* v, const double* g, const double* norm, std::size_t rows,
                          std::size_t n, std::size_t begin, std::size_t end);

}  // namespace sluice::kernels
