// Our side of bench/compare_units.py: times one op at a time, called as a user calls it, by the
// protocol of bench/README.md.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "sluice/autograd/activations.hpp"
#include "sluice/autograd/norm.hpp"
#include "sluice/autograd/softmax.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/random.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Uniform in [-3, 3], the same 65,536 numbers over and over.
Tensor values(Shape shape, std::uint32_t stream) {
  const RandomKey key{1, stream, 0};
  Tensor x(shape);
  const std::span<float> all = x.span<float>();
  const std::size_t period = std::min<std::size_t>(all.size(), 65536);
  for (std::size_t i = 0; i < period; ++i) all[i] = 6.0F * key.uniform(i) - 3.0F;
  for (std::size_t i = period; i < all.size(); i += period) {
    std::copy_n(all.data(), std::min(period, all.size() - i), all.data() + i);
  }
  return x;
}

/// An op with its made-up inputs.
struct Op {
  std::vector<Variable> inputs;
  std::function<Variable()> call;
};

Op make_unit(const std::string& name, std::int64_t rows, std::int64_t columns) {
  const Unit u = parse_unit(name);
  const Variable x(values(Shape{rows, u.inputs(columns)}, 1), true);
  return {{x}, [x, u] { return unit(x, u); }};
}

/// Norms in training and the softmax family; undefined for another name. Group and instance norm
/// take images of 64 channels of 8 by 8 (the smallest case, 8 of 1 by 2), the others rows.
Op make_norm(const std::string& name, std::int64_t rows, std::int64_t columns) {
  constexpr std::int64_t kImage = std::int64_t{64} * 8 * 8, kGroups = 8;
  const std::int64_t outputs = rows * columns;
  const bool image = name == "group_norm" || name == "instance_norm";
  const bool small = outputs < kImage;
  const Shape shape = !image  ? Shape{rows, columns}
                      : small ? Shape{outputs / 16, 8, 1, 2}
                              : Shape{outputs / kImage, 64, 8, 8};
  const Variable x(values(shape, 1), true);
  if (name == "softmax") return {{x}, [x] { return softmax(x); }};
  if (name == "log_softmax") return {{x}, [x] { return log_softmax(x); }};
  if (name == "softmin") return {{x}, [x] { return softmin(x); }};
  const std::int64_t channels = shape[1];
  const Variable weight(values(Shape{channels}, 5), true);
  const Variable bias(values(Shape{channels}, 6), true);
  if (name == "rms_norm") return {{x, weight}, [=] { return rms_norm(x, weight); }};
  const std::vector<Variable> all{x, weight, bias};
  if (name == "layer_norm") return {all, [=] { return layer_norm(x, weight, bias); }};
  if (name == "group_norm") return {all, [=] { return group_norm(x, kGroups, weight, bias); }};
  if (name == "instance_norm") return {all, [=] { return instance_norm(x, weight, bias); }};
  if (name == "batch_norm") {
    const RunningStatistics running{Tensor::zeros(Shape{channels}), values(Shape{channels}, 7)};
    return {all, [=] { return batch_norm(x, weight, bias, running, true); }};
  }
  return {};
}

/// Units with parameters of their own, one for each channel, with random numbers, or of several
/// channels; undefined for another name.
Op make_layer_unit(const std::string& name, std::int64_t rows, std::int64_t columns) {
  const Variable x(values(Shape{rows, columns}, 1), true);
  const Variable each(values(Shape{columns}, 5), true);
  if (name == "prelu") return {{x, each}, [=] { return prelu(x, each); }};
  if (name == "swish") return {{x, each}, [=] { return swish(x, each); }};
  if (name == "rrelu") {
    return {{x}, [=] { return rrelu(x, 0.125F, 1.0F / 3.0F, true, RandomKey{1, 8, 0}); }};
  }
  if (name == "maxout") {
    const Variable z(values(Shape{rows, 2 * columns}, 1), true);
    return {{z}, [=] { return maxout(z, 2); }};
  }
  return {};
}

Op make_op(const std::string& name, std::int64_t rows, std::int64_t columns) {
  if (Op norm = make_norm(name, rows, columns); norm.call) return norm;
  if (Op layer = make_layer_unit(name, rows, columns); layer.call) return layer;
  return make_unit(name, rows, columns);
}

/// The kernel of a unit alone, on one thread and data that stay in the first-level cache: what its
/// arithmetic takes.
class Arithmetic {
 public:
  static constexpr std::int64_t kRows = 2, kColumns = 512;

  Arithmetic(const std::string& name, bool backward)
      : unit_(parse_unit(name)),
        backward_(backward),
        z_(values(Shape{kRows, unit_.inputs(kColumns)}, 1)),
        dz_(z_.shape()),
        y_(values(Shape{kRows, kColumns}, 2)) {}

  /// Seconds that `calls` calls took, of kRows · kColumns outputs each.
  double time(int calls) const {
    const auto m = static_cast<std::size_t>(z_.dim(1));
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) {
      if (backward_) {
        kernels::unit_backward(
            kernels::UnitBackward<float>{dz_.data<float>(), m, nullptr, y_.data<float>(),
                                         z_.data<float>(), m, nullptr, 1.0F, traffic(2, 1)},
            std::size_t{kRows}, std::size_t{kColumns}, unit_);
      } else {
        kernels::unit_forward(kernels::UnitForward<float>{y_.data<float>(), z_.data<float>(), m,
                                                          nullptr, nullptr, 1.0F, traffic(1, 1)},
                              std::size_t{kRows}, std::size_t{kColumns}, unit_);
      }
    }
    return seconds_since(start);
  }

 private:
  // Of so many passes over z and y.
  kernels::Traffic traffic(int of_z, int of_y) const {
    return kernels::traffic_of(static_cast<double>(of_z * z_.elements() + of_y * y_.elements()) *
                               sizeof(float));
  }

  Unit unit_;
  bool backward_;
  Tensor z_, dz_, y_;
};

/// What is timed: an op in one direction, and copies that move as many bytes.
class Case {
 public:
  Case(const std::string& name, bool backward, std::int64_t outputs, std::int64_t columns)
      : op_(make_op(name, outputs / columns, columns)), backward_(backward) {
    const NoGrad guard;
    const Shape shape = op_.call().shape();
    if (backward_) dy_ = values(shape, 2);
    std::int64_t elements = shape.elements();
    for (const Variable& input : op_.inputs) {
      elements += (backward ? 2 : 1) * input.value().elements();
    }
    bytes_ = elements * static_cast<std::int64_t>(sizeof(float));
    copied_ = values(Shape{elements / 2}, 3);
    copy_ = values(Shape{elements / 2}, 4);
  }

  std::int64_t bytes() const { return bytes_; }

  /// Seconds that `calls` calls took.
  double time(int calls) const {
    double seconds = 0;
    for (int i = 0; i < calls; ++i) seconds += backward_ ? time_backward() : time_forward();
    return seconds;
  }

  /// Seconds that `calls` copies took, by memcpy or by the activation that does nothing.
  double time_copies(int calls, bool by_memcpy) const {
    float* to = copy_.data<float>();
    const float* from = copied_.data<float>();
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) {
      parallel_for(copy_.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
        const auto n = static_cast<std::size_t>(end - begin);
        if (by_memcpy) {
          std::memcpy(to + begin, from + begin, n * sizeof(float));
        } else {
          kernels::unit_forward(
              kernels::UnitForward<float>{
                  to + begin, from + begin, n, nullptr, nullptr, 1.0F,
                  kernels::traffic_of(2.0 * sizeof(float) * static_cast<double>(n))},
              1, n, Unit{});
        }
      });
    }
    return seconds_since(start);
  }

 private:
  double time_forward() const {
    const auto start = Clock::now();
    Tape tape;
    op_.call();
    return seconds_since(start);
  }

  double time_backward() const {
    Tape tape;
    // A loss that passes dy on: the op gets a gradient that is its own, as it does in a model.
    const Variable loss(Tensor::zeros(Shape{1}), true);
    {
      const Variable y = op_.call();
      tape.record([dy = dy_.clone(), y = y.gradient()]() mutable { y->accumulate(std::move(dy)); });
    }
    const auto start = Clock::now();
    tape.backward(loss);
    for (const Variable& input : op_.inputs) input.zero_grad();
    return seconds_since(start);
  }

  Op op_;
  bool backward_;
  std::int64_t bytes_ = 0;
  Tensor dy_, copied_, copy_;
};

Case make_case(const nlohmann::json& wanted) {
  set_thread_count(wanted.at("threads"));
  const std::int64_t outputs = wanted.at("outputs");
  const std::int64_t columns = std::min<std::int64_t>(outputs / 2, wanted.at("columns"));
  return Case(wanted.at("op"), wanted.at("direction") == "backward", outputs, columns);
}

nlohmann::json timed(double seconds, int calls) { return {{"seconds", seconds}, {"calls", calls}}; }

int serve() {
  std::optional<Case> current;
  nlohmann::json wanted;
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    nlohmann::json reply;
    int calls = 0;
    const bool counted = current && (std::sscanf(line.c_str(), "%*s %d", &calls) == 1) && calls > 0;
    if (line == "names") {
      reply = {{"names", unit_names()}};
    } else if (line.starts_with("case ")) {
      current.reset();
      release_cached_memory();
      wanted = nlohmann::json::parse(line.substr(5));
      current = make_case(wanted);
      reply = {{"bytes", current->bytes()}};
    } else if (counted && line.starts_with("go ")) {
      current->time(1);  // the other program's turn cooled the caches
      reply = timed(current->time(calls), calls);
    } else if (counted && (line.starts_with("memcpy ") || line.starts_with("stream "))) {
      const bool by_memcpy = line.starts_with("memcpy ");
      current->time_copies(1, by_memcpy);
      reply = timed(current->time_copies(calls, by_memcpy), calls);
    } else if (counted && line.starts_with("arithmetic ")) {
      const Arithmetic arithmetic(wanted.at("op"), wanted.at("direction") == "backward");
      arithmetic.time(1);
      reply = timed(arithmetic.time(calls), calls);
      reply["outputs"] = Arithmetic::kRows * Arithmetic::kColumns;
    } else {
      fmt::print(stderr,
                 "unit_bench: expected 'names', 'case', 'go N', 'memcpy N', 'stream N', "
                 "'arithmetic N' or 'quit', got '{}'\n",
                 line);
      return 1;
    }
    std::cout << reply.dump() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace sluice

int main() {
  try {
    return sluice::serve();
  } catch (const std::exception& error) {
    fmt::print(stderr, "unit_bench: {}\n", error.what());
    return 1;
  }
}
