#pragma once
// An architecture of the tests' own, as a user of the library adds one: the feed-forward n-gram
// model of Bengio et al. 2003, whose one layer reads the last tokens' vectors side by side.
//   y_t = tanh(W [x_{t-K+1}; ..; x_t] + b)
// Programs that link its source have it. docs/architectures.md walks through it.

#include <cstdint>

namespace sluice::test {

/// The stack of a model of arch ngram.
struct NgramShape {
  /// Tokens K that a prediction reads.
  std::int64_t order = 4;
  /// Width of the layer.
  std::int64_t hidden = 0;
};

}  // namespace sluice::test
