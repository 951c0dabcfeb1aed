// Statistics of channels, and normalisation by them, for double: plain, for gradient tests.
#include "sluice/kernels/norm.hpp"

namespace sluice::kernels {
namespace {

// body(c, i) for every element i of every channel c.
template <class Body>
void for_each(ChannelLayout layout, const Body& body) {
  for (std::size_t l = 0; l < layout.length; ++l) {
    for (std::size_t c = 0; c < layout.channels; ++c) {
      body(c, layout.last ? l * layout.channels + c : c * layout.length + l);
    }
  }
}

}  // namespace

void channel_moments(double* mean, double* m2, const double* x, ChannelLayout layout) {
  for (std::size_t c = 0; c < layout.channels; ++c) mean[c] = m2[c] = 0.0;
  for_each(layout, [&](std::size_t c, std::size_t i) {
    mean[c] += x[i] / static_cast<double>(layout.length);
  });
  for_each(layout,
           [&](std::size_t c, std::size_t i) { m2[c] += (x[i] - mean[c]) * (x[i] - mean[c]); });
}

void channel_affine(double* y, const double* x, const double* shift, const double* a,
                    const double* b, ChannelLayout layout, bool /*past_caches*/) {
  for_each(layout, [&](std::size_t c, std::size_t i) { y[i] = (x[i] - shift[c]) * a[c] + b[c]; });
}

void channel_sums(double* sum, double* product, const double* dy, const double* x,
                  const double* shift, const double* scale, const double* offset,
                  ChannelLayout layout, bool /*past_caches*/) {
  for (std::size_t c = 0; c < layout.channels; ++c) sum[c] = product[c] = 0.0;
  for_each(layout, [&](std::size_t c, std::size_t i) {
    sum[c] += dy[i];
    product[c] += dy[i] * ((x[i] - shift[c]) * scale[c] + offset[c]);
  });
}

void channel_gradient(double* dx, const double* dy, const double* x, const double* shift,
                      const double* a, const double* b, const double* k, ChannelLayout layout,
                      bool /*past_caches*/) {
  for_each(layout, [&](std::size_t c, std::size_t i) {
    dx[i] = a[c] * dy[i] + b[c] * (x[i] - shift[c]) + k[c];
  });
}

}  // namespace sluice::kernels
