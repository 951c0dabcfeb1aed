#include "sluice/autograd/residual.hpp"

#include <fmt/format.h>

#include "drop.hpp"
#include "op_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {
namespace {

// Elements dropped at a time: they are added while they are in the first-level cache.
constexpr std::int64_t kPart = 2048;

template <class T>
Tensor sum_of(const Tensor& x, const Tensor& branch, const Dropout& d) {
  const ProfileScope profile("residual", 0, 3 * static_cast<double>(x.bytes()));
  Tensor y(x.shape(), x.dtype());
  parallel_for(x.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += kPart) {
      const std::int64_t n = std::min(kPart, end - i);
      T* const out = y.data<T>() + i;
      drop(out, branch.data<T>() + i, n, d, i);
      kernels::add_scaled(out, x.data<T>() + i, T{1}, static_cast<std::size_t>(n));
    }
  });
  return y;
}

}  // namespace

Variable residual_add(const Variable& x, const Variable& branch, const Dropout& dropout) {
  if (!(x.shape() == branch.shape())) {
    throw Error(fmt::format("residual_add: the branch {} does not fit its input {}",
                            branch.shape().str(), x.shape().str()));
  }
  return dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    return record(sum_of<T>(x.value(), branch.value(), dropout), {x, branch},
                  [dropout, x = x.gradient(), branch = branch.gradient()](const Tensor& dy) {
                    // dy goes to one of them; the other, or the branch for its dropout, gets a
                    // copy.
                    if (branch) {
                      const Tensor own = dropped(dy, dropout, "residual");
                      const bool shared = x && dropout.probability == 0;
                      branch->accumulate(shared ? scaled(own, 1.0) : own);
                    }
                    if (x) x->accumulate(dy);
                  });
  });
}

}  // namespace sluice
