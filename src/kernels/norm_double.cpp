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

void channel_affine(const ChannelAffine<double>& p, ChannelLayout layout) {
  for_each(layout,
           [&](std::size_t c, std::size_t i) { p.y[i] = (p.x[i] - p.shift[c]) * p.a[c] + p.b[c]; });
}

void channel_sums(const ChannelSums<double>& p, ChannelLayout layout) {
  for (std::size_t c = 0; c < layout.channels; ++c) p.sum[c] = p.product[c] = 0.0;
  for_each(layout, [&](std::size_t c, std::size_t i) {
    p.sum[c] += p.dy[i];
    p.product[c] += p.dy[i] * ((p.x[i] - p.shift[c]) * p.scale[c] + p.offset[c]);
  });
}

void channel_gradient(const ChannelGradient<double>& p, ChannelLayout layout) {
  for_each(layout, [&](std::size_t c, std::size_t i) {
    p.dx[i] = p.a[c] * p.dy[i] + p.b[c] * (p.x[i] - p.shift[c]) + p.k[c];
  });
}

}  // namespace sluice::kernels
