#pragma once
// Contiguous row-major tensors over buffers from a caching allocator.

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Element types. bf16 is storage only (weights and activations feeding a GEMM).
/// i8 are elements of int8 matrices (tensor/int8_matrix.hpp), or bytes.
enum class DType : std::uint8_t { f32, f64, bf16, i32, i8 };

/// Bytes per element.
std::size_t dtype_size(DType dtype);
/// "float32", "float64", "bfloat16", "int32", "int8".
std::string_view dtype_name(DType dtype);

/// The types that tensors hold; bfloat16 as its bits.
template <class T>
concept Element = std::same_as<T, float> || std::same_as<T, double> ||
    std::same_as<T, std::uint16_t> || std::same_as<T, std::int32_t> || std::same_as<T, std::int8_t>;

/// The element type of a C++ type; others than Element do not compile.
template <Element T>
inline constexpr DType dtype_of = std::same_as<T, double>          ? DType::f64
                                  : std::same_as<T, std::uint16_t> ? DType::bf16
                                  : std::same_as<T, std::int32_t>  ? DType::i32
                                  : std::same_as<T, std::int8_t>   ? DType::i8
                                                                   : DType::f32;

/// Up to four dimensions, outermost first. A value.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims);
  int rank() const { return rank_; }
  /// Size of dimension i; negative i counts from the last (-1).
  std::int64_t operator[](int i) const;
  std::int64_t elements() const;
  /// The same but for dimension i, which there must be; negative i counts from the last.
  Shape with_dim(int i, std::int64_t size) const;
  bool operator==(const Shape& other) const;
  /// "[16, 128, 512]".
  std::string str() const;

 private:
  std::array<std::int64_t, 4> dims_{};
  int rank_ = 0;
};

namespace detail {
struct Buffer;
void retain(Buffer* buffer);
void release(Buffer* buffer);
}  // namespace detail

/// A handle to a shared buffer: copying a Tensor shares the elements, clone() copies them. Handles
/// of one buffer may be made and dropped by any threads; its elements are like any memory: many may
/// read them, or one may write.
class Tensor {
 public:
  /// Undefined: no elements, defined() is false.
  Tensor() = default;
  /// Uninitialised elements. Throws Error when memory runs out, saying how much was asked for.
  explicit Tensor(Shape shape, DType dtype = DType::f32);
  static Tensor zeros(Shape shape, DType dtype = DType::f32);
  /// Copies `values` in; values.size() must be shape.elements() (Error otherwise).
  template <Element T>
  static Tensor of(Shape shape, std::span<const T> values);
  /// Elements at `data`, which `owner` keeps alive and nobody may write to: a mapped file's.
  static Tensor constant(Shape shape, DType dtype, const void* data,
                         std::shared_ptr<const void> owner);

  Tensor(const Tensor& other);
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor other) noexcept;
  ~Tensor();

  bool defined() const { return buffer_ != nullptr; }
  /// Whether no other tensor shares the elements, so that they may be written over; never of a
  /// constant().
  bool unique() const;
  const Shape& shape() const { return shape_; }
  std::int64_t dim(int i) const { return shape_[i]; }
  std::int64_t elements() const { return shape_.elements(); }
  DType dtype() const { return dtype_; }
  std::size_t bytes() const { return static_cast<std::size_t>(elements()) * dtype_size(dtype_); }

  /// Pointer to the first element; T must be the tensor's type (asserted).
  template <Element T>
  T* data() const;
  void* raw() const;
  template <Element T>
  std::span<T> span() const {
    return {data<T>(), static_cast<std::size_t>(elements())};
  }

  /// The same elements under another shape (Error naming both when the counts differ).
  Tensor reshape(Shape shape) const;
  /// Rows [begin, end) of the first dimension, sharing the elements.
  Tensor rows(std::int64_t begin, std::int64_t end) const;
  Tensor clone() const;
  void fill_zero() const;
  /// Copies the elements of `other` (same shape and type, else Error naming both).
  void copy_from(const Tensor& other) const;
  /// A copy converted to `dtype` (float types only).
  Tensor to(DType dtype) const;

 private:
  detail::Buffer* buffer_ = nullptr;
  std::size_t offset_ = 0;  // bytes
  Shape shape_;
  DType dtype_ = DType::f32;
};

/// Calls f(float{}) or f(double{}) according to dtype; Error for other types.
template <class F>
decltype(auto) dispatch_float(DType dtype, F&& f);

/// What the caching allocator holds. `system_allocations` counts requests that reached the
/// operating system: constant in a steady-state training step.
struct AllocatorStats {
  std::size_t bytes_in_use = 0;
  std::size_t bytes_cached = 0;
  std::size_t peak_bytes_in_use = 0;
  std::uint64_t system_allocations = 0;
};
AllocatorStats allocator_stats();
/// Returns cached free buffers to the operating system.
void release_cached_memory();

namespace detail {
[[noreturn]] void unsupported_dtype(DType dtype);
void check_count(const Shape& shape, std::size_t count);
}  // namespace detail

template <Element T>
T* Tensor::data() const {
  if (dtype_of<T> != dtype_) detail::unsupported_dtype(dtype_);
  return static_cast<T*>(raw());
}

template <Element T>
Tensor Tensor::of(Shape shape, std::span<const T> values) {
  detail::check_count(shape, values.size());
  Tensor tensor(shape, dtype_of<T>);
  T* out = tensor.template data<T>();
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = values[i];
  return tensor;
}

template <class F>
decltype(auto) dispatch_float(DType dtype, F&& f) {
  if (dtype == DType::f64) return std::forward<F>(f)(double{});
  if (dtype != DType::f32) detail::unsupported_dtype(dtype);
  return std::forward<F>(f)(float{});
}

}  // namespace sluice
SLUICE_API_END
