#include "sluice/autograd/linear.hpp"

#include <fmt/format.h>

#include "linear_shapes.hpp"
#include "op_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/operand.hpp"
#include "sluice/tensor/gemm.hpp"

namespace sluice {

void check_linear(const char* op, const Variable& x, const Variable& weight, const Variable& bias) {
  if (x.shape().rank() != 2 || weight.shape().rank() != 2 || x.shape()[1] != weight.shape()[1] ||
      (bias.defined() && !(bias.shape() == Shape{weight.shape()[0]}))) {
    throw Error(
        fmt::format("{}: input {} does not fit weight {} and bias {}, expected [R, C], "
                    "[N, C] and [N]",
                    op, x.shape().str(), weight.shape().str(), bias.shape().str()));
  }
}

Variable linear(const Variable& x, const Variable& weight, const Variable& bias,
                Precision precision) {
  check_linear("linear", x, weight, bias);
  const DType dtype = x.dtype();
  const DType operand = operand_type(dtype, precision);
  const Tensor xo = as_operand(x.value(), operand);
  const Tensor wo = as_operand(weight.value(), operand);
  const Tensor y(Shape{x.shape()[0], weight.shape()[0]}, dtype);
  dispatch_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    gemm(y.data<T>(), y.dim(1), matrix(xo), transpose(matrix(wo)));
    add_bias(y, bias.value());
  });
  return record(
      y, {x, weight, bias},
      [=, x = x.gradient(), weight = weight.gradient(), bias = bias.gradient()](const Tensor& dy) {
        dispatch_float(dtype, [&](auto zero) {
          using T = decltype(zero);
          const Tensor dyo = as_operand(dy, operand);
          if (x) {
            const Tensor dx(Shape{xo.dim(0), xo.dim(1)}, dtype);
            gemm(dx.data<T>(), dx.dim(1), matrix(dyo), matrix(wo));
            x->accumulate(dx);
          }
          if (weight) {
            const Tensor dw(Shape{wo.dim(0), wo.dim(1)}, dtype);
            gemm(dw.data<T>(), dw.dim(1), transpose(matrix(dyo)), matrix(xo));
            weight->accumulate(dw);
          }
          if (bias) bias->accumulate(bias_gradient(dy));
        });
      });
}

Variable matmul(const Variable& x, const Variable& w, Precision precision) {
  if (x.shape().rank() != 2 || w.shape().rank() != 2 || x.shape()[1] != w.shape()[0]) {
    throw Error(fmt::format("matmul: inner dimensions of {} and {} differ", x.shape().str(),
                            w.shape().str()));
  }
  const DType dtype = x.dtype();
  const DType operand = operand_type(dtype, precision);
  const Tensor xo = as_operand(x.value(), operand);
  const Tensor wo = as_operand(w.value(), operand);
  const Tensor y(Shape{x.shape()[0], w.shape()[1]}, dtype);
  dispatch_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    gemm(y.data<T>(), y.dim(1), matrix(xo), matrix(wo));
  });
  return record(y, {x, w}, [=, x = x.gradient(), w = w.gradient()](const Tensor& dy) {
    dispatch_float(dtype, [&](auto zero) {
      using T = decltype(zero);
      const Tensor dyo = as_operand(dy, operand);
      if (x) {
        const Tensor dx(Shape{xo.dim(0), xo.dim(1)}, dtype);
        gemm(dx.data<T>(), dx.dim(1), matrix(dyo), transpose(matrix(wo)));
        x->accumulate(dx);
      }
      if (w) {
        const Tensor dw(Shape{wo.dim(0), wo.dim(1)}, dtype);
        gemm(dw.data<T>(), dw.dim(1), transpose(matrix(xo)), matrix(dyo));
        w->accumulate(dw);
      }
    });
  });
}

}  // namespace sluice
