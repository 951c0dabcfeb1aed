// How fast the kernels go at sizes that lie in the first-level cache, the second, and memory,
// beside memcpy. bytes_per_second counts what a kernel must read and write once.
//   kernels_bench --benchmark_filter=unit_forward
// The best SIMD target is used; SLUICE_SIMD=AVX2 (a name of simd_targets()) takes another.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "dispatch.hpp"
#include "sluice/base/random.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/cross_entropy.hpp"
#include "sluice/kernels/dropout.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/kernels/optimizers.hpp"
#include "sluice/kernels/weight_norm.hpp"

namespace {

using benchmark::State;
using sluice::Unit;
namespace kernels = sluice::kernels;

// Elements of the arrays a kernel goes over, per array: 2K floats are 8 KiB, 64K 256 KiB, 16M 64
// MiB.
constexpr std::int64_t kSizes[] = {2 << 10, 64 << 10, 16 << 20};

std::vector<float> values(std::size_t n) {
  const sluice::RandomKey key{1, 2, 3};
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = 6.0F * key.uniform(i % 65536) - 3.0F;
  return x;
}

void report(State& state, std::size_t elements, std::size_t floats_moved_each) {
  const auto total = static_cast<std::int64_t>(elements) * state.iterations();
  state.SetItemsProcessed(total);
  state.SetBytesProcessed(total * static_cast<std::int64_t>(floats_moved_each * sizeof(float)));
}

void copy(State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  const auto x = values(n);
  std::vector<float> y(n);
  for (auto _ : state) {
    std::memcpy(y.data(), x.data(), n * sizeof(float));
    benchmark::ClobberMemory();
  }
  report(state, n, 2);
}

// Rows of at most 512 outputs, as a layer has them.
void unit_forward(State& state, const Unit& unit) {
  const auto outputs = static_cast<std::size_t>(state.range(0));
  const std::size_t n = 512;
  const std::size_t rows = outputs / n;
  const std::size_t inputs = unit.gated ? 2 * n : n;
  const auto z = values(rows * inputs);
  const auto bias = values(inputs);
  std::vector<float> y(outputs);
  const auto traffic = kernels::traffic_of(static_cast<double>(z.size() + outputs) * sizeof(float));
  for (auto _ : state) {
    kernels::unit_forward(kernels::UnitForward<float>{y.data(), z.data(), inputs, bias.data(),
                                                      nullptr, 1.0F, traffic},
                          rows, n, unit);
    benchmark::ClobberMemory();
  }
  report(state, outputs, inputs / n + 1);
}

void unit_backward(State& state, const Unit& unit) {
  const auto outputs = static_cast<std::size_t>(state.range(0));
  const std::size_t n = 512;
  const std::size_t rows = outputs / n;
  const std::size_t inputs = unit.gated ? 2 * n : n;
  const auto z = values(rows * inputs);
  const auto dy = values(outputs);
  const auto bias = values(inputs);
  std::vector<float> dz(rows * inputs);
  std::vector<float> dbias(inputs);
  const auto traffic =
      kernels::traffic_of(static_cast<double>(2 * z.size() + outputs) * sizeof(float));
  for (auto _ : state) {
    kernels::unit_backward(
        kernels::UnitBackward<float>{dz.data(), inputs, dbias.data(), dy.data(), z.data(), inputs,
                                     bias.data(), 1.0F, traffic},
        rows, n, unit);
    benchmark::ClobberMemory();
  }
  report(state, outputs, 2 * inputs / n + 1);
}

// Logits in [-3, 3] first, gradients of such logits afterwards: the work does not depend on them.
void cross_entropy(State& state, float gradient_scale) {
  const auto total = static_cast<std::size_t>(state.range(0));
  const std::size_t n = total < 8192 ? total : 8192;
  const std::size_t rows = total / n;
  auto logits = values(total);
  const std::vector<std::int32_t> target(rows, 5);
  std::vector<float> nll(rows);
  for (auto _ : state) {
    kernels::softmax_cross_entropy(
        kernels::CrossEntropyRows<float>{nll.data(), logits.data(), nullptr, target.data(),
                                         gradient_scale},
        rows, n);
    benchmark::ClobberMemory();
  }
  report(state, total, gradient_scale == 0.0F ? 1 : 2);
}

void dropout(State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  const auto x = values(n);
  std::vector<float> y(n);
  for (auto _ : state) {
    kernels::dropout(y.data(), x.data(), n, 0.1F, {1, 2, 3}, 0);
    benchmark::ClobberMemory();
  }
  report(state, n, 2);
}

void sum_of_squares(State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  const auto x = values(n);
  for (auto _ : state) benchmark::DoNotOptimize(kernels::sum_of_squares(x.data(), n));
  report(state, n, 1);
}

void exponential(State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  const auto x = values(n);
  std::vector<float> y(n);
  for (auto _ : state) {
    kernels::exponential(y.data(), x.data(), n);
    benchmark::ClobberMemory();
  }
  report(state, n, 2);
}

void sgd_nesterov(State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  auto w = values(n);
  std::vector<float> v(n);
  const auto grad = values(n);
  for (auto _ : state) {
    kernels::sgd_step(w.data(), v.data(), grad.data(), {1e-6F, 0.1F, 0.9F, 0.0F, true}, n);
    benchmark::ClobberMemory();
  }
  report(state, n, 5);
}

void adam(State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  auto w = values(n);
  std::vector<float> m(n);
  std::vector<float> v(n);
  const auto grad = values(n);
  const kernels::AdamStep step{1.0F, 1e-9F, 0.9F, 0.999F, 1e-8F, 0.0F, 0.5F, 0.5F, true};
  for (auto _ : state) {
    kernels::adam_step(w.data(), m.data(), v.data(), grad.data(), step, n);
    benchmark::ClobberMemory();
  }
  report(state, n, 7);
}

void weight_norm(State& state) {
  const auto total = static_cast<std::size_t>(state.range(0));
  const std::size_t n = total < 65536 ? 128 : 1024;
  const std::size_t rows = total / n;
  const auto v = values(total);
  const auto g = values(n);
  std::vector<float> w(total);
  std::vector<float> norm(n);
  for (auto _ : state) {
    kernels::weight_norm_forward(w.data(), norm.data(), v.data(), g.data(), {rows, n, 0, n});
    benchmark::ClobberMemory();
  }
  report(state, total, 3);
}

template <class Function>
void add(const std::string& name, const Function& function) {
  auto* const registered = benchmark::RegisterBenchmark(name.c_str(), function);
  for (const std::int64_t size : kSizes) registered->Arg(size);
}

void choose_target() {
  const char* const wanted = std::getenv("SLUICE_SIMD");
  for (const auto& [target, name] : kernels::simd_targets()) {
    if (wanted != nullptr && name == wanted) kernels::force_simd_target(target);
  }
  std::printf("SIMD target %s\n", kernels::simd_target().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  choose_target();
  add("copy", copy);
  for (const std::string& name : sluice::unit_names()) {
    const Unit unit = sluice::parse_unit(name);
    add("unit_forward/" + name, [unit](State& state) { unit_forward(state, unit); });
    add("unit_backward/" + name, [unit](State& state) { unit_backward(state, unit); });
  }
  add("exponential", exponential);
  add("cross_entropy/loss", [](State& state) { cross_entropy(state, 0.0F); });
  add("cross_entropy/gradient", [](State& state) { cross_entropy(state, 1.0F); });
  add("dropout", dropout);
  add("sum_of_squares", sum_of_squares);
  add("sgd_nesterov", sgd_nesterov);
  add("adam", adam);
  add("weight_norm", weight_norm);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
