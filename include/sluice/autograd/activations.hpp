#pragma once
// Differentiable units: functions of one number, gates, and those with parameters that are learned,
// random, or a choice among several inputs. float32 and float64; accuracy as
// kernels/unit_info.hpp and kernels/layer_units.hpp state it.

#include <cstdint>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"
#include "sluice/base/random.hpp"
#include "sluice/kernels/units.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// y = unit(x): x [.., unit.inputs(N)], y [.., N].
Variable unit(const Variable& x, const Unit& unit);

/// y = f(x), x of any rank. Throws UsageError for parameters out of range.
Variable activation(const Variable& x, Activation f, const ActivationParameters& parameters);
/// The same with the default parameters.
Variable activation(const Variable& x, Activation f);

/// y = x where x > 0, else α x (He et al. 2015, eq. 1): x of any rank, [.., C]; alpha [1] for all
/// elements, [C] one for each channel (the last dimension), or of x's shape without the first
/// dimension, one for each element of an example. dα = Σ dy min(x, 0) over what shares it. Throws
/// Error when alpha's shape is none of these.
Variable prelu(const Variable& x, const Variable& alpha);

/// y = x σ(βx) with a learned β (Ramachandran et al. 2017, eq. 1): shapes as prelu's.
/// dβ = Σ dy x² σ(βx) σ(-βx).
Variable swish(const Variable& x, const Variable& beta);

/// Randomised leaky ReLU (Xu, Wang, Chen & Li 2015, eq. 4-5): y = x where x > 0, else s x, with
/// s = lower + (upper - lower) key.uniform(i) for element i in training, (lower + upper) / 2
/// otherwise. x of any rank. Throws UsageError unless 0 <= lower <= upper, both finite.
Variable rrelu(const Variable& x, float lower, float upper, bool training, const RandomKey& key);

/// Stochastic GELU (Hendrycks & Gimpel 2016, section 2): y = x m, m = 1 with probability Φ(x), else
/// 0, by key.uniform(i) for element i; its expectation is gelu. dx = m dy: the mask counts as
/// given. x of any rank.
Variable stochastic_gelu(const Variable& x, const RandomKey& key);

/// y[r, j] = max_i z[r, iN + j], i < k (Goodfellow et al. 2013, §2): z [R, kN] holds k blocks of N
/// columns, y [R, N]. The gradient goes to the first that is greatest. Throws Error unless k >= 1
/// divides the columns of a matrix.
Variable maxout(const Variable& z, std::int64_t k);

}  // namespace sluice
SLUICE_API_END
