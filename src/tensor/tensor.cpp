#include "sluice/tensor/tensor.hpp"

#include <cassert>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "allocator.hpp"
#include "sluice/base/error.hpp"
#include "sluice/kernels/detail/bfloat16.hpp"

namespace sluice {

std::size_t dtype_size(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 8;
    case DType::bf16:
      return 2;
    case DType::i8:
      return 1;
    case DType::f32:
    case DType::i32:
      break;
  }
  return 4;
}

std::string_view dtype_name(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return "float64";
    case DType::bf16:
      return "bfloat16";
    case DType::i32:
      return "int32";
    case DType::i8:
      return "int8";
    case DType::f32:
      break;
  }
  return "float32";
}

Shape::Shape(std::initializer_list<std::int64_t> dims) {
  if (dims.size() > dims_.size()) throw Error("a tensor has at most four dimensions");
  std::int64_t elements = 1;
  for (const std::int64_t dim : dims) {
    if (dim < 0) throw Error(fmt::format("a tensor's dimension cannot be negative, got {}", dim));
    if (dim > 0 && elements > std::numeric_limits<std::int64_t>::max() / 8 / dim) {
      throw Error("a tensor's elements do not fit in memory; use smaller sizes");
    }
    elements *= dim;
    dims_[static_cast<std::size_t>(rank_++)] = dim;
  }
}

std::int64_t Shape::operator[](int i) const {
  const int index = i < 0 ? i + rank_ : i;
  assert(index >= 0 && index < rank_);
  return dims_[static_cast<std::size_t>(index)];
}

std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (int i = 0; i < rank_; ++i) product *= dims_[static_cast<std::size_t>(i)];
  return product;
}

Shape Shape::with_dim(int i, std::int64_t size) const {
  const int index = i < 0 ? i + rank_ : i;
  assert(index >= 0 && index < rank_);
  Shape shape(*this);
  shape.dims_[static_cast<std::size_t>(index)] = size;
  return shape;
}

bool Shape::operator==(const Shape& other) const {
  return rank_ == other.rank_ && dims_ == other.dims_;
}

std::string Shape::str() const {
  return fmt::format("[{}]", fmt::join(dims_.begin(), dims_.begin() + rank_, ", "));
}

namespace detail {

void unsupported_dtype(DType dtype) {
  throw Error(fmt::format("this operation does not take {} tensors", dtype_name(dtype)));
}

void check_count(const Shape& shape, std::size_t count) {
  if (static_cast<std::size_t>(shape.elements()) != count) {
    throw Error(fmt::format("a tensor of shape {} takes {} values, got {}", shape.str(),
                            shape.elements(), count));
  }
}

}  // namespace detail

Tensor::Tensor(Shape shape, DType dtype) : shape_(shape), dtype_(dtype) {
  buffer_ = detail::allocate(bytes());
}

Tensor Tensor::constant(Shape shape, DType dtype, const void* data,
                        std::shared_ptr<const void> owner) {
  Tensor tensor;
  tensor.shape_ = shape;
  tensor.dtype_ = dtype;
  tensor.buffer_ = detail::hold(data, std::move(owner));
  return tensor;
}

Tensor Tensor::zeros(Shape shape, DType dtype) {
  Tensor tensor;
  tensor.shape_ = shape;
  tensor.dtype_ = dtype;
  bool zero = false;
  tensor.buffer_ = detail::allocate(tensor.bytes(), &zero);
  if (!zero) tensor.fill_zero();
  return tensor;
}

Tensor::Tensor(const Tensor& other)
    : buffer_(other.buffer_), offset_(other.offset_), shape_(other.shape_), dtype_(other.dtype_) {
  detail::retain(buffer_);
}

Tensor::Tensor(Tensor&& other) noexcept
    : buffer_(std::exchange(other.buffer_, nullptr)),
      offset_(std::exchange(other.offset_, 0)),
      shape_(std::exchange(other.shape_, Shape())),
      dtype_(other.dtype_) {}

Tensor& Tensor::operator=(Tensor other) noexcept {
  std::swap(buffer_, other.buffer_);
  std::swap(offset_, other.offset_);
  std::swap(shape_, other.shape_);
  std::swap(dtype_, other.dtype_);
  return *this;
}

Tensor::~Tensor() { detail::release(buffer_); }

bool Tensor::unique() const {
  // Acquire: what another holder did with the elements is done before it let go of them.
  return buffer_ != nullptr && buffer_->held == nullptr &&
         buffer_->references.load(std::memory_order_acquire) == 1;
}

void* Tensor::raw() const {
  if (buffer_ == nullptr) return nullptr;
  return static_cast<std::byte*>(detail::buffer_data(buffer_)) + offset_;
}

Tensor Tensor::reshape(Shape shape) const {
  if (shape.elements() != elements()) {
    throw Error(
        fmt::format("cannot reshape a tensor of shape {} to {}: they hold {} and {} elements",
                    shape_.str(), shape.str(), elements(), shape.elements()));
  }
  Tensor view(*this);
  view.shape_ = shape;
  return view;
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
  if (shape_.rank() == 0 || begin < 0 || end < begin || end > dim(0)) {
    throw Error(
        fmt::format("rows [{}, {}) are outside a tensor of shape {}", begin, end, shape_.str()));
  }
  Tensor view(*this);
  const std::int64_t row = dim(0) == 0 ? 0 : elements() / dim(0);
  view.offset_ += static_cast<std::size_t>(begin * row) * dtype_size(dtype_);
  view.shape_ = shape_.with_dim(0, end - begin);
  return view;
}

Tensor Tensor::clone() const {
  if (!defined()) return {};
  Tensor copy(shape_, dtype_);
  std::memcpy(copy.raw(), raw(), bytes());
  return copy;
}

void Tensor::fill_zero() const {
  if (bytes() > 0) std::memset(raw(), 0, bytes());
}

void Tensor::copy_from(const Tensor& other) const {
  if (!(shape_ == other.shape_) || dtype_ != other.dtype_) {
    throw Error(fmt::format("cannot copy a {} tensor of shape {} into a {} tensor of shape {}",
                            dtype_name(other.dtype_), other.shape_.str(), dtype_name(dtype_),
                            shape_.str()));
  }
  if (bytes() > 0) std::memcpy(raw(), other.raw(), bytes());
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return clone();
  Tensor result(shape_, dtype);
  const auto n = static_cast<std::size_t>(elements());
  if (dtype_ == DType::f32 && dtype == DType::bf16) {
    kernels::to_bfloat16(result.data<std::uint16_t>(), data<float>(), n);
  } else if (dtype_ == DType::bf16 && dtype == DType::f32) {
    kernels::from_bfloat16(result.data<float>(), data<std::uint16_t>(), n);
  } else if (dtype_ == DType::f32 && dtype == DType::f64) {
    for (std::size_t i = 0; i < n; ++i) result.data<double>()[i] = data<float>()[i];
  } else if (dtype_ == DType::f64 && dtype == DType::f32) {
    for (std::size_t i = 0; i < n; ++i) {
      result.data<float>()[i] = static_cast<float>(data<double>()[i]);
    }
  } else {
    throw Error(
        fmt::format("cannot convert a {} tensor to {}", dtype_name(dtype_), dtype_name(dtype)));
  }
  return result;
}

}  // namespace sluice
