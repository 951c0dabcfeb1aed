// Norms whose statistics pool over positions: batch, instance, group.
//
// x is cut into slabs, each a matrix of all channels; a set of shared statistics is a channel, or a
// group of them, within one slab, or (batch) within all slabs. Each slab's channel moments are
// joined in float64, in order, so that nothing depends on the number of threads.
#include <algorithm>
#include <cmath>
#include <cstddef>

#include <fmt/format.h>

#include "norm_support.hpp"
#include "op_support.hpp"
#include "sluice/autograd/norm.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/norm.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {
namespace {

// x as slabs of `length` positions (the last of fewer) by `channels`.
struct Slabs {
  bool last = true;  // channels last
  std::int64_t channels = 0, length = 0, positions = 0, groups = 1;
  bool batch = false, centred = true;
  double eps = 0;

  std::int64_t count() const { return (positions + length - 1) / length; }
  std::int64_t length_of(std::int64_t slab) const {
    return std::min(length, positions - slab * length);
  }
  std::int64_t offset(std::int64_t slab) const { return slab * length * channels; }
  std::int64_t group_channels() const { return channels / groups; }
  kernels::ChannelLayout layout(std::int64_t slab) const {
    return {last, static_cast<std::size_t>(channels), static_cast<std::size_t>(length_of(slab))};
  }
  // Calls body(slab) for every slab; `again` after a pass over all of them: in reverse, so that
  // what the first pass left in the caches is met before it is lost.
  template <class Body>
  void for_each(const Body& body, bool again = false) const {
    const std::int64_t grain = std::max<std::int64_t>(1, kElementGrain / (length * channels));
    parallel_for(count(), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) body(again ? begin + end - 1 - i : i);
    });
  }
};

// Rows [.., channels] of a tensor [sets, rows, channels].
template <class T>
T* row(const Tensor& x, std::int64_t set, std::int64_t index) {
  return x.data<T>() + (set * x.dim(1) + index) * x.dim(2);
}

// Statistics of the channels of a set as rows [5, channels]: x̂ = (x - shift) · scale + offset,
// which γ and β make y = (x - shift) · a + b.
enum Statistic : std::int64_t { kShift, kScale, kOffset, kA, kB, kStatistics };

// Where one set's statistics go, and what γ and β make of them.
template <class T>
struct Writer {
  T* to;
  const T* weight;
  const T* bias;
  std::int64_t channels;
  double eps;

  Writer(const Tensor& statistics, std::int64_t set, const Slabs& slabs, const Variable& gain,
         const Variable& shift)
      : to(row<T>(statistics, set, 0)),
        weight(data_or_null<T>(gain.value())),
        bias(data_or_null<T>(shift.value())),
        channels(slabs.channels),
        eps(slabs.eps) {}

  // Channel c's, with what its set shares.
  void write(std::int64_t c, double mean, double scale) const {
    const T shift = static_cast<T>(mean);
    const double offset = (static_cast<double>(shift) - mean) * scale;
    const double gain = weight != nullptr ? static_cast<double>(weight[c]) : 1.0;
    const double add = bias != nullptr ? static_cast<double>(bias[c]) : 0.0;
    T* const at = to + c;
    at[kShift * channels] = shift;
    at[kScale * channels] = static_cast<T>(scale);
    at[kOffset * channels] = static_cast<T>(offset);
    at[kA * channels] = static_cast<T>(scale * gain);
    at[kB * channels] = static_cast<T>(offset * gain + add);
  }
  // Rounding may leave a constant's variance below 0; NaN stays.
  double scale(double variance) const {
    return 1.0 / std::sqrt((variance < 0.0 ? 0.0 : variance) + eps);
  }
};

// Statistics of the groups of one slab, from its channels' moments [slabs, 2, channels].
template <class T>
void join_group(const Slabs& slabs, const Writer<T>& writer, const Tensor& moments,
                std::int64_t slab) {
  const std::int64_t size = slabs.group_channels();
  const double* const means = row<double>(moments, slab, 0);
  const double* const squares = row<double>(moments, slab, 1);
  const auto n = static_cast<double>(slabs.length_of(slab));
  for (std::int64_t first = 0; first < slabs.channels; first += size) {
    double mean = 0, m2 = 0;
    for (std::int64_t c = first; slabs.centred && c < first + size; ++c) mean += means[c];
    mean /= static_cast<double>(size);
    for (std::int64_t c = first; c < first + size; ++c) {
      m2 += squares[c] + n * (means[c] - mean) * (means[c] - mean);
    }
    const double scale = writer.scale(m2 / (n * static_cast<double>(size)));
    for (std::int64_t c = first; c < first + size; ++c) writer.write(c, mean, scale);
  }
}

// Statistics of each channel over all slabs, which also go to `running`.
template <class T>
void join_batch(const Slabs& slabs, const Writer<T>& writer, const Tensor& moments,
                const RunningStatistics& running) {
  const auto n = static_cast<double>(slabs.positions);
  const std::int64_t count = slabs.count(), stride = 2 * slabs.channels;
  const double* const means = moments.data<double>();
  const double* const squares = means + slabs.channels;
  T* const running_mean = running.mean.data<T>();
  T* const running_var = running.var.data<T>();
  const double momentum = running.momentum;
  parallel_for(slabs.channels, row_grain(8 * count), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      double mean = 0, m2 = 0;
      for (std::int64_t slab = 0; slab < count; ++slab) {
        mean += static_cast<double>(slabs.length_of(slab)) * means[slab * stride + c];
      }
      mean /= n;
      for (std::int64_t slab = 0; slab < count; ++slab) {
        const double delta = means[slab * stride + c] - mean;
        m2 +=
            squares[slab * stride + c] + static_cast<double>(slabs.length_of(slab)) * delta * delta;
      }
      writer.write(c, mean, writer.scale(m2 / n));
      const auto update = [&](T& value, double fresh) {
        value = static_cast<T>((1 - momentum) * static_cast<double>(value) + momentum * fresh);
      };
      update(running_mean[c], mean);
      update(running_var[c], m2 / (n - 1));
    }
  });
}

// What the gradient needs; without `sums_matter` the statistics are constants.
struct SavedSlabs {
  SavedSlabs(const Slabs& slabs_of, bool matter, Tensor their_statistics)
      : slabs(slabs_of), sums_matter(matter), statistics(std::move(their_statistics)) {}

  Slabs slabs;
  bool sums_matter;
  Tensor statistics, x, weight;
  Gradient dx, dweight, dbias;
};

// Σ dy and Σ dy x̂ of each channel.
struct ChannelSums {
  const double* dy;
  const double* product;
};

// Factors of dx = a · dy + b · (x - shift) + k, [3, channels], for groups of `size` channels that
// share statistics over n elements.
template <class T>
void gradient_factors(const SavedSlabs& saved, const Tensor& factors, std::int64_t set,
                      const ChannelSums& sums, std::int64_t size, double n) {
  const std::int64_t channels = saved.slabs.channels;
  const T* const weight = data_or_null<T>(saved.weight);
  const T* const scales = row<T>(saved.statistics, set, kScale);
  const T* const offsets = row<T>(saved.statistics, set, kOffset);
  T* const to = row<T>(factors, set, 0);
  const auto gain = [&](std::int64_t c) {
    return weight != nullptr ? static_cast<double>(weight[c]) : 1.0;
  };
  for (std::int64_t first = 0; first < channels; first += size) {
    double mean = 0, along = 0;
    for (std::int64_t c = first; c < first + size; ++c) {
      if (saved.slabs.centred) mean += gain(c) * sums.dy[c];
      along += gain(c) * sums.product[c];
    }
    mean /= n;
    along /= n;
    for (std::int64_t c = first; c < first + size; ++c) {
      const auto scale = static_cast<double>(scales[c]);
      to[c] = static_cast<T>(scale * gain(c));
      to[channels + c] = static_cast<T>(-scale * scale * along);
      to[2 * channels + c] =
          static_cast<T>(-scale * (mean + static_cast<double>(offsets[c]) * along));
    }
  }
}

kernels::Traffic backward_traffic(const Tensor& dy) {
  return kernels::traffic_of(3.0 * static_cast<double>(dy.bytes()));
}

template <class T>
void slab_sums(const SavedSlabs& saved, const Tensor& sums, const Tensor& dy, std::int64_t slab) {
  const Slabs& slabs = saved.slabs;
  const std::int64_t set = slabs.batch ? 0 : slab;
  kernels::channel_sums(
      kernels::ChannelSums<T>{
          row<double>(sums, slab, 0), row<double>(sums, slab, 1), dy.data<T>() + slabs.offset(slab),
          saved.x.data<T>() + slabs.offset(slab), row<T>(saved.statistics, set, kShift),
          row<T>(saved.statistics, set, kScale), row<T>(saved.statistics, set, kOffset),
          backward_traffic(dy)},
      slabs.layout(slab));
}

template <class T>
void slab_gradient(const SavedSlabs& saved, const Tensor& factors, const Tensor& dy,
                   std::int64_t slab) {
  const Slabs& slabs = saved.slabs;
  const std::int64_t set = slabs.batch ? 0 : slab;
  // dy is this op's alone: dx goes where it was.
  T* const dx = dy.data<T>() + slabs.offset(slab);
  if (saved.sums_matter) {
    kernels::channel_gradient(
        kernels::ChannelGradient<T>{dx, dx, saved.x.data<T>() + slabs.offset(slab),
                                    row<T>(saved.statistics, set, kShift), row<T>(factors, set, 0),
                                    row<T>(factors, set, 1), row<T>(factors, set, 2),
                                    backward_traffic(dy)},
        slabs.layout(slab));
  } else {
    // Rows of the factors that nothing set are zeros.
    kernels::channel_affine(
        kernels::ChannelAffine<T>{dx, dx, row<T>(factors, 0, 1), row<T>(saved.statistics, 0, kA),
                                  row<T>(factors, 0, 1)},
        slabs.layout(slab));
  }
}

// Σ over slabs of sums [slabs, 2, channels]: [channels].
Tensor total(const Tensor& sums, std::int64_t which) {
  Tensor out = Tensor::zeros(Shape{sums.dim(2)}, DType::f64);
  double* const to = out.data<double>();
  for (std::int64_t slab = 0; slab < sums.dim(0); ++slab) {
    const double* const from = row<double>(sums, slab, which);
    for (std::int64_t c = 0; c < sums.dim(2); ++c) to[c] += from[c];
  }
  return out;
}

template <class T>
void slabs_backward(const SavedSlabs& saved, const Tensor& dy) {
  const Slabs& slabs = saved.slabs;
  const std::int64_t size = slabs.group_channels();
  const bool need_sums = saved.sums_matter || saved.dweight || saved.dbias;
  const ProfileScope profile("norm", 0, 3.0 * static_cast<double>(dy.bytes()));
  const Tensor sums(Shape{slabs.count(), 2, slabs.channels}, DType::f64);
  const Tensor factors =
      Tensor::zeros(Shape{slabs.batch ? 1 : slabs.count(), 3, slabs.channels}, dy.dtype());
  slabs.for_each([&](std::int64_t slab) {
    if (need_sums) slab_sums<T>(saved, sums, dy, slab);
    if (slabs.batch || !saved.dx) return;
    gradient_factors<T>(saved, factors, slab,
                        {row<double>(sums, slab, 0), row<double>(sums, slab, 1)}, size,
                        static_cast<double>(slabs.length_of(slab) * size));
    slab_gradient<T>(saved, factors, dy, slab);
  });
  const Tensor sum = need_sums ? total(sums, 0) : Tensor();
  const Tensor product = need_sums ? total(sums, 1) : Tensor();
  if (slabs.batch && saved.dx) {
    if (saved.sums_matter) {
      gradient_factors<T>(saved, factors, 0, {sum.data<double>(), product.data<double>()}, 1,
                          static_cast<double>(slabs.positions));
    }
    slabs.for_each([&](std::int64_t slab) { slab_gradient<T>(saved, factors, dy, slab); }, true);
  }
  if (saved.dweight) saved.dweight->accumulate(product.to(dy.dtype()));
  if (saved.dbias) saved.dbias->accumulate(sum.to(dy.dtype()));
  if (saved.dx) saved.dx->accumulate(dy);
}

// Channels last: matrices of `length` positions. Images: H·W positions, channels first.
Slabs slabs_of(const Shape& shape, double eps) {
  Slabs slabs;
  slabs.eps = eps;
  slabs.last = shape.rank() < 4;
  slabs.channels = slabs.last ? shape[-1] : shape[1];
  slabs.positions = shape.elements() / slabs.channels;
  slabs.length = slabs.last ? shape[-2] : shape[2] * shape[3];
  return slabs;
}

template <class T>
void slab_affine(const Slabs& slabs, const Tensor& y, const Tensor& x, const Tensor& statistics,
                 std::int64_t slab) {
  const std::int64_t set = slabs.batch ? 0 : slab, at = slabs.offset(slab);
  kernels::channel_affine(
      kernels::ChannelAffine<T>{y.data<T>() + at, x.data<T>() + at, row<T>(statistics, set, kShift),
                                row<T>(statistics, set, kA), row<T>(statistics, set, kB),
                                kernels::traffic_of(2.0 * static_cast<double>(x.bytes()))},
      slabs.layout(slab));
}

// `saved` has what only the forward pass knows: slabs, statistics, whether sums matter.
Variable recorded(const Variable& x, const Variable& weight, const Variable& bias, const Tensor& y,
                  SavedSlabs saved) {
  saved.x = x.value();
  saved.weight = weight.value();
  saved.dx = x.gradient();
  saved.dweight = weight.gradient();
  saved.dbias = bias.gradient();
  return record(y, {x, weight, bias}, [saved = std::move(saved)](const Tensor& dy) {
    dispatch_float(dy.dtype(), [&](auto zero) { slabs_backward<decltype(zero)>(saved, dy); });
  });
}

// Statistics within each slab.
Variable normalise_slabs(const Variable& x, const Variable& weight, const Variable& bias,
                         const Slabs& slabs) {
  const ProfileScope profile("norm", 0, 2.0 * static_cast<double>(x.value().bytes()));
  const Tensor y(x.shape(), x.dtype());
  const Tensor statistics(Shape{slabs.count(), kStatistics, slabs.channels}, x.dtype());
  const Tensor moments(Shape{slabs.count(), 2, slabs.channels}, DType::f64);
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    slabs.for_each([&](std::int64_t slab) {
      kernels::channel_moments(row<double>(moments, slab, 0), row<double>(moments, slab, 1),
                               x.value().data<T>() + slabs.offset(slab), slabs.layout(slab));
      join_group(slabs, Writer<T>(statistics, slab, slabs, weight, bias), moments, slab);
      slab_affine<T>(slabs, y, x.value(), statistics, slab);
    });
  });
  return recorded(x, weight, bias, y, {slabs, true, statistics});
}

// Rows of a slab when all positions share statistics: enough slabs for the threads of large
// machines, few enough that their moments are small beside x.
std::int64_t batch_slab(std::int64_t positions) {
  return std::clamp<std::int64_t>((positions / 8 + 63) / 64 * 64, 128, 1024);
}

}  // namespace

Variable group_norm(const Variable& x, std::int64_t groups, const Variable& weight,
                    const Variable& bias, double eps, bool centred) {
  check_norm_input("group_norm", x, 2, 4);
  Slabs slabs = slabs_of(x.shape(), eps);
  check_norm_groups("group_norm", groups, slabs.channels);
  if (centred && x.shape().rank() == 2) return position_norm(x, groups, weight, bias, eps);
  check_norm_parameter("group_norm", "weight", weight, Shape{slabs.channels}, x);
  check_norm_parameter("group_norm", "bias", bias, Shape{slabs.channels}, x);
  if (x.shape().rank() == 2) slabs.length = 1;
  slabs.groups = groups;
  slabs.centred = centred;
  return normalise_slabs(x, weight, bias, slabs);
}

Variable instance_norm(const Variable& x, const Variable& weight, const Variable& bias,
                       double eps) {
  check_norm_input("instance_norm", x, 3, 4);
  Slabs slabs = slabs_of(x.shape(), eps);
  check_norm_parameter("instance_norm", "weight", weight, Shape{slabs.channels}, x);
  check_norm_parameter("instance_norm", "bias", bias, Shape{slabs.channels}, x);
  if (slabs.length == 1) {
    throw Error(
        fmt::format("instance_norm: more than one position is needed, got x {}", x.shape().str()));
  }
  slabs.groups = slabs.channels;
  return normalise_slabs(x, weight, bias, slabs);
}

Variable batch_norm(const Variable& x, const Variable& weight, const Variable& bias,
                    const RunningStatistics& running, bool training, double eps) {
  check_norm_input("batch_norm", x, 2, 4);
  Slabs slabs = slabs_of(x.shape(), eps);
  const Shape shape{slabs.channels};
  check_norm_parameter("batch_norm", "weight", weight, shape, x);
  check_norm_parameter("batch_norm", "bias", bias, shape, x);
  check_norm_parameter("batch_norm", "running mean", Variable(running.mean), shape, x);
  check_norm_parameter("batch_norm", "running variance", Variable(running.var), shape, x);
  if (training && slabs.positions == 1) {
    throw Error(fmt::format("batch_norm: training needs more than one value per channel, got x {}",
                            x.shape().str()));
  }
  slabs.batch = true;
  if (slabs.last) slabs.length = batch_slab(slabs.positions);

  const ProfileScope profile("norm", 0,
                             (training ? 3.0 : 2.0) * static_cast<double>(x.value().bytes()));
  const Tensor y(x.shape(), x.dtype());
  const Tensor statistics(Shape{1, kStatistics, slabs.channels}, x.dtype());
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Writer<T> writer(statistics, 0, slabs, weight, bias);
    if (training) {
      const Tensor moments(Shape{slabs.count(), 2, slabs.channels}, DType::f64);
      slabs.for_each([&](std::int64_t slab) {
        kernels::channel_moments(row<double>(moments, slab, 0), row<double>(moments, slab, 1),
                                 x.value().data<T>() + slabs.offset(slab), slabs.layout(slab));
      });
      join_batch(slabs, writer, moments, running);
    } else {
      const T* const mean = running.mean.data<T>();
      const T* const var = running.var.data<T>();
      for (std::int64_t c = 0; c < slabs.channels; ++c) {
        writer.write(c, static_cast<double>(mean[c]), writer.scale(static_cast<double>(var[c])));
      }
    }
    slabs.for_each(
        [&](std::int64_t slab) { slab_affine<T>(slabs, y, x.value(), statistics, slab); },
        training);
  });
  return recorded(x, weight, bias, y, {slabs, training, statistics});
}

}  // namespace sluice
