// The activations on vectors of float: value, and value with derivative. Formulas and accuracy are
// those of unit_list.hpp. Included once per SIMD target, as the headers below are.
#include "activations_exponential-inl.hpp"
#include "activations_gelu-inl.hpp"
#include "activations_piecewise-inl.hpp"
#include "activations_tanh-inl.hpp"
