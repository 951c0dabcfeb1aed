#include "sluice/tensor/gemm.hpp"

#include <omp.h>
#include <sys/mman.h>

#include <cstring>
#include <dnnl.hpp>
#include <functional>
#include <new>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"

namespace sluice {
namespace {

// Everything that selects a primitive.
struct Key {
  std::int64_t m, n, k, lda, ldb, ldc;
  bool ta, tb, accumulate, bf16;
  int threads;
  bool operator==(const Key&) const = default;

  /// A single row into rows that are apart: oneDNN does not copy b for it.
  bool reads_once() const { return m == 1 && ldc > n; }
};

struct KeyHash {
  std::size_t operator()(const Key& key) const {
    std::size_t h = 0;
    for (const std::int64_t v :
         {key.m, key.n, key.k, key.lda, key.ldb, key.ldc,
          std::int64_t{key.ta} | std::int64_t{key.tb} << 1 | std::int64_t{key.accumulate} << 2 |
              std::int64_t{key.bf16} << 3,
          std::int64_t{key.threads}}) {
      h = (h ^ std::hash<std::int64_t>{}(v)) * 0x9E3779B97F4A7C15ULL;
      h ^= h >> 29U;
    }
    return h;
  }
};

struct Entry {
  dnnl::matmul primitive;
  dnnl::memory::desc a, b, c, scratch;
  bool executed = false;
};

/// OpenMP's number of threads for this thread, which oneDNN asks for, while it lives: the host's
/// setting is as it was afterwards.
class OpenMpThreads {
 public:
  explicit OpenMpThreads(int count) : before_(omp_get_max_threads()), changes_(before_ != count) {
    detail::check_memory_for_threads(count);
    if (changes_) omp_set_num_threads(count);
  }
  ~OpenMpThreads() {
    if (changes_) omp_set_num_threads(before_);
  }
  OpenMpThreads(const OpenMpThreads&) = delete;
  OpenMpThreads& operator=(const OpenMpThreads&) = delete;

 private:
  int before_;
  bool changes_;
};

/// oneDNN writes its machine code to a null pointer, or ends the process, when there is no memory
/// for it: throws Error before it can. Code is made with a primitive and when one is first
/// executed.
void check_memory_for_code() {
  constexpr std::size_t enough = std::size_t{48} << 20;
  void* const memory =
      mmap(nullptr, enough, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error(
        "out of memory: there is none for the code of matrix products; lower the batch, the "
        "context or the width, or raise the limit on address space");
  }
  munmap(memory, enough);
}

const dnnl::engine& engine() {
  static const dnnl::engine instance(dnnl::engine::kind::cpu, 0);
  return instance;
}

dnnl::memory::desc layout(std::int64_t rows, std::int64_t columns, std::int64_t ld, bool transposed,
                          dnnl::memory::data_type type) {
  // oneDNN wants a leading dimension of at least the row even where there is one row only.
  using dims = dnnl::memory::dims;
  return {dims{rows, columns}, type, transposed ? dims{1, ld} : dims{ld, 1}};
}

Entry make_entry(const Key& key) {
  using type = dnnl::memory::data_type;
  const type operand = key.bf16 ? type::bf16 : type::f32;
  Entry entry;
  entry.a = layout(key.m, key.k, key.lda, key.ta, operand);
  entry.b = layout(key.k, key.n, key.ldb, key.tb, operand);
  entry.c = layout(key.m, key.n, key.ldc, false, type::f32);
  dnnl::primitive_attr attributes;
  // oneDNN takes two single rows of different strides for one problem, and gives the second what it
  // made for the first: the mode tells those apart.
  attributes.set_scratchpad_mode(key.reads_once() ? dnnl::scratchpad_mode::library
                                                  : dnnl::scratchpad_mode::user);
  if (key.accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    attributes.set_post_ops(sum);
  }
  const dnnl::matmul::primitive_desc descriptor(dnnl::matmul::desc(entry.a, entry.b, entry.c),
                                                attributes, engine());
  entry.scratch = descriptor.scratchpad_desc();
  check_memory_for_code();
  entry.primitive = dnnl::matmul(descriptor);
  return entry;
}

// Shapes vary without bound while scoring lines, so the cache is emptied when it grows past this.
constexpr std::size_t kMostPrimitives = 4096;

Entry& find_entry(const Key& key) {
  thread_local std::unordered_map<Key, Entry, KeyHash> cache;
  const auto found = cache.find(key);
  if (found != cache.end()) return found->second;
  if (cache.size() >= kMostPrimitives) cache.clear();
  return cache.emplace(key, make_entry(key)).first->second;
}

void check(const MatrixView& a, const MatrixView& b, DType c) {
  const bool types =
      a.dtype == b.dtype && (a.dtype == c || (a.dtype == DType::bf16 && c == DType::f32));
  if (!types) {
    throw Error(fmt::format("gemm: cannot multiply {} by {} into {}", dtype_name(a.dtype),
                            dtype_name(b.dtype), dtype_name(c)));
  }
  if (a.dtype == DType::bf16 && !has_bfloat16_gemm()) {
    throw Error("gemm: this CPU has no AVX-512, which bfloat16 products need; use float32");
  }
  if (a.columns != b.rows) {
    throw Error(fmt::format("gemm: inner dimensions differ, [{}, {}] by [{}, {}]", a.rows,
                            a.columns, b.rows, b.columns));
  }
}

/// With AMX, oneDNN 2.6.3's product of bfloat16 by an inner dimension of 32 n + 31 can end in an
/// illegal instruction, for some numbers of rows and columns (46 by 100 by 63, say; in 6,000 random
/// shapes of odd inner dimensions, 30, all of this kind).
bool traps_on_amx(std::int64_t inner) {
  return inner % 32 == 31 && dnnl::get_effective_cpu_isa() == dnnl::cpu_isa::avx512_core_amx;
}

template <class T>
void clear(T* c, std::int64_t ldc, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t i = 0; i < rows; ++i) {
    std::memset(c + i * ldc, 0, static_cast<std::size_t>(columns) * sizeof(T));
  }
}

void multiply(float* c, std::int64_t ldc, const MatrixView& a, const MatrixView& b,
              bool accumulate) {
  const int threads = in_parallel_range() ? 1 : thread_count();
  const OpenMpThreads limit(threads);
  Key key{a.rows, b.columns,    a.columns,    a.ld,       b.ld,
          ldc,    a.transposed, b.transposed, accumulate, a.dtype == DType::bf16,
          threads};
  if (a.rows == 1) {  // how far a single row is from others says nothing
    if (!a.transposed) key.lda = a.columns;
    if (ldc > b.columns) key.ldc = 2 * b.columns;
  }
  Entry& entry = find_entry(key);
  thread_local dnnl::stream stream(engine());
  const auto bytes = static_cast<std::int64_t>(entry.scratch.get_size());
  const Tensor scratch = bytes > 0 ? Tensor(Shape{(bytes + 3) / 4}, DType::i32) : Tensor();
  if (!std::exchange(entry.executed, true)) check_memory_for_code();
  const dnnl::memory ma(entry.a, engine(), const_cast<void*>(a.data));
  const dnnl::memory mb(entry.b, engine(), const_cast<void*>(b.data));
  const dnnl::memory mc(entry.c, engine(), c);
  const dnnl::memory ms(entry.scratch, engine(), scratch.raw());
  entry.primitive.execute(
      stream,
      {{DNNL_ARG_SRC, ma}, {DNNL_ARG_WEIGHTS, mb}, {DNNL_ARG_DST, mc}, {DNNL_ARG_SCRATCHPAD, ms}});
  stream.wait();
}

}  // namespace

void gemm(float* c, std::int64_t ldc, const MatrixView& a, const MatrixView& b, bool accumulate) {
  check(a, b, DType::f32);
  if (a.rows == 0 || b.columns == 0) return;
  if (a.columns == 0) {
    if (!accumulate) clear(c, ldc, a.rows, b.columns);
    return;
  }
  const auto m = static_cast<double>(a.rows), k = static_cast<double>(a.columns),
             n = static_cast<double>(b.columns);
  const ProfileScope profile(
      a.dtype == DType::bf16 ? "gemm bf16" : "gemm", 2 * m * k * n,
      (m + n) * k * static_cast<double>(dtype_size(a.dtype)) + m * n * (accumulate ? 8 : 4));
  try {
    if (a.dtype == DType::bf16 && traps_on_amx(a.columns)) {
      const std::int64_t last = a.columns - 1;
      multiply(c, ldc, a.column_range(0, last), b.row_range(0, last), accumulate);
      multiply(c, ldc, a.column_range(last, 1), b.row_range(last, 1), true);
    } else {
      multiply(c, ldc, a, b, accumulate);
    }
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory) throw std::bad_alloc();
    throw Error(fmt::format("gemm: [{}, {}] by [{}, {}] failed: oneDNN refuses it (status {})",
                            a.rows, a.columns, b.rows, b.columns, static_cast<int>(error.status)));
  }
}

void gemm(double* c, std::int64_t ldc, const MatrixView& a, const MatrixView& b, bool accumulate) {
  check(a, b, DType::f64);
  if (!accumulate) clear(c, ldc, a.rows, b.columns);
  const auto* pa = static_cast<const double*>(a.data);
  const auto* pb = static_cast<const double*>(b.data);
  const std::int64_t a_row = a.transposed ? 1 : a.ld, a_column = a.transposed ? a.ld : 1;
  const std::int64_t b_row = b.transposed ? 1 : b.ld, b_column = b.transposed ? b.ld : 1;
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t k = 0; k < a.columns; ++k) {
      const double value = pa[i * a_row + k * a_column];
      for (std::int64_t j = 0; j < b.columns; ++j) {
        c[i * ldc + j] += value * pb[k * b_row + j * b_column];
      }
    }
  }
}

bool has_bfloat16_gemm() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::avx512_core:
    case dnnl::cpu_isa::avx512_core_vnni:
    case dnnl::cpu_isa::avx512_core_bf16:
    case dnnl::cpu_isa::avx512_core_amx:
      return true;
    default:
      return false;
  }
}

}  // namespace sluice
