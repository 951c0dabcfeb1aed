// Norm ops: gradients against central differences in float64, what they see of the future, threads,
// errors. Values are held against PyTorch in models/norm_golden_test.cpp.
#include "sluice/autograd/norm.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

#include "sluice/autograd/activations.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

using test::check_gradients;
using test::leaf;
using test::random_tensor;
using test::weighted_sum;

RunningStatistics fresh_statistics(std::int64_t channels, DType dtype = DType::f64) {
  RunningStatistics running{Tensor::zeros(Shape{channels}, dtype),
                            Tensor::zeros(Shape{channels}, dtype)};
  dispatch_float(dtype, [&](auto zero) {
    for (auto& value : running.var.span<decltype(zero)>()) value = 1;
  });
  return running;
}

using Op = std::function<Variable(const Variable& x, const Variable& w, const Variable& b)>;

struct Case {
  std::string name;
  Shape shape;
  Shape affine;
  Op op;
};

std::vector<Case> cases() {
  const auto layer = [](int dims) -> Op {
    return [dims](const Variable& x, const Variable& w, const Variable& b) {
      return layer_norm(x, w, b, 1e-5, dims);
    };
  };
  const auto position = [](std::int64_t groups) -> Op {
    return [groups](const Variable& x, const Variable& w, const Variable& b) {
      return position_norm(x, groups, w, b);
    };
  };
  const auto group = [](std::int64_t groups, bool centred) -> Op {
    return [=](const Variable& x, const Variable& w, const Variable& b) {
      return group_norm(x, groups, w, b, 1e-5, centred);
    };
  };
  const Op instance = [](const Variable& x, const Variable& w, const Variable& b) {
    return instance_norm(x, w, b);
  };
  const auto batch = [](bool training) -> Op {
    return [training](const Variable& x, const Variable& w, const Variable& b) {
      const std::int64_t channels = x.shape()[x.shape().rank() == 4 ? 1 : -1];
      RunningStatistics running = fresh_statistics(channels);
      running.mean.data<double>()[1] = 0.5;
      running.var.data<double>()[2] = 2.5;
      return batch_norm(x, w, b, running, training);
    };
  };
  std::vector<Case> all = {
      {"layer rows", {5, 6}, {6}, layer(1)},
      {"layer sequence", {2, 3, 6}, {6}, layer(1)},
      {"layer two dims", {2, 3, 6}, {3, 6}, layer(2)},
      {"layer image", {2, 3, 2, 2}, {3, 2, 2}, layer(3)},
      {"position", {2, 3, 6}, {6}, position(2)},
      {"position of one", {4, 6}, {6}, position(3)},
      {"rms",
       {2, 3, 6},
       {6},
       [](const Variable& x, const Variable& w, const Variable&) { return rms_norm(x, w); }},
      {"group rms rows", {4, 6}, {6}, group(2, false)},
  };
  for (const Shape& shape : {Shape{2, 5, 6}, Shape{2, 6, 3, 2}}) {
    all.push_back({"group " + shape.str(), shape, {6}, group(2, true)});
    all.push_back({"rms " + shape.str(), shape, {6}, group(1, false)});
    all.push_back({"instance " + shape.str(), shape, {6}, instance});
  }
  for (const Shape& shape : {Shape{7, 6}, Shape{150, 6}, Shape{2, 5, 6}, Shape{2, 6, 3, 2}}) {
    all.push_back({"batch training " + shape.str(), shape, {6}, batch(true)});
    all.push_back({"batch " + shape.str(), shape, {6}, batch(false)});
  }
  return all;
}

TEST(NormOps, GradientsMatchCentralDifferences) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const Variable x = leaf(c.shape, 1), w = leaf(c.affine, 2), b = leaf(c.affine, 3);
    const bool biased = c.name != "rms";
    std::vector<Variable> inputs = {x, w};
    if (biased) inputs.push_back(b);
    check_gradients(inputs, [&] { return weighted_sum(c.op(x, w, b)); });
    // Without affine parameters, with a bias alone, and with x a constant.
    check_gradients({x}, [&] { return weighted_sum(c.op(x, {}, {})); });
    if (biased) check_gradients({x, b}, [&] { return weighted_sum(c.op(x, {}, b)); });
    check_gradients({w}, [&] { return weighted_sum(c.op(Variable(x.value()), w, {})); });
  }
}

// A norm a language model may use gives the past the same bits whatever the future holds.
TEST(NormOps, CausalNormsDoNotSeeTheFuture) {
  const Shape shape{2, 6, 8};
  const RunningStatistics running = fresh_statistics(8);
  const std::vector<Op> ops = {
      [](const Variable& x, const Variable&, const Variable&) { return layer_norm(x, {}, {}); },
      [](const Variable& x, const Variable&, const Variable&) { return rms_norm(x, {}); },
      [](const Variable& x, const Variable&, const Variable&) {
        return position_norm(x, 2, {}, {});
      },
      [&](const Variable& x, const Variable&, const Variable&) {
        return batch_norm(x, {}, {}, running, false);
      },
      // These do see it.
      [](const Variable& x, const Variable&, const Variable&) { return group_norm(x, 2, {}, {}); },
      [](const Variable& x, const Variable&, const Variable&) { return instance_norm(x, {}, {}); },
  };
  for (std::size_t which = 0; which < ops.size(); ++which) {
    const Tensor x = random_tensor(shape, 1);
    const Tensor before = ops[which](Variable(x), {}, {}).value();
    const Tensor changed = x.clone();
    for (std::int64_t b = 0; b < 2; ++b) {
      for (std::int64_t i = 4 * 8; i < 6 * 8; ++i) changed.data<double>()[b * 48 + i] += 3.0;
    }
    const Tensor after = ops[which](Variable(changed), {}, {}).value();
    bool same = true;
    for (std::int64_t b = 0; b < 2; ++b) {
      for (std::int64_t i = 0; i < 4 * 8; ++i) {
        same = same && before.data<double>()[b * 48 + i] == after.data<double>()[b * 48 + i];
      }
    }
    EXPECT_EQ(same, which < 4) << "op " << which;
  }
}

Variable leaf32(Shape shape, std::uint32_t stream) {
  return Variable(random_tensor(shape, stream).to(DType::f32), true);
}

void expect_same(const Tensor& a, const Tensor& b) {
  for (std::int64_t i = 0; i < a.elements(); ++i) ASSERT_EQ(a.data<float>()[i], b.data<float>()[i]);
}

TEST(NormOps, ThreadsChangeNoBit) {
  const int threads = thread_count();
  const auto run = [&](int count, int which) {
    set_thread_count(count);
    const Variable x = leaf32({10, 150, 96}, 1), w = leaf32({96}, 2), b = leaf32({96}, 3);
    const RunningStatistics running = fresh_statistics(96, DType::f32);
    const Tape tape;
    const Variable y = which == 0   ? layer_norm(x, w, b)
                       : which == 1 ? position_norm(x, 4, w, b)
                       : which == 2 ? group_norm(x, 4, w, b)
                                    : batch_norm(x, w, b, running, true);
    Tape::current()->backward(sum(unit(reshape(y, Shape{1500, 96}), parse_unit("tanh"))));
    return std::vector<Tensor>{y.value(), x.grad(), w.grad(), b.grad(), running.mean, running.var};
  };
  for (int which = 0; which < 4; ++which) {
    const auto one = run(1, which), three = run(3, which);
    for (std::size_t i = 0; i < one.size(); ++i) expect_same(one[i], three[i]);
  }
  set_thread_count(threads);
}

// Documented: a set of shared statistics that holds a NaN or an infinity becomes NaN, others stay.
TEST(NormOps, NanAndInfinityStayInTheirSet) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      Tensor wide = random_tensor({3, 5, 40}, 1);
      wide.data<double>()[(1 * 5 + 2) * 40 + 7] = bad;
      const Tensor x = wide.to(dtype);
      const auto count_nan = [&](const Variable& y, const std::function<bool(int, int, int)>& in) {
        const Tensor values = y.value().to(DType::f64);
        for (int b = 0; b < 3; ++b) {
          for (int t = 0; t < 5; ++t) {
            for (int c = 0; c < 40; ++c) {
              EXPECT_EQ(std::isnan(values.data<double>()[(b * 5 + t) * 40 + c]), in(b, t, c));
            }
          }
        }
      };
      const Variable v(x);
      count_nan(layer_norm(v, {}, {}), [](int b, int t, int) { return b == 1 && t == 2; });
      count_nan(position_norm(v, 4, {}, {}),
                [](int b, int t, int c) { return b == 1 && t == 2 && c < 10; });
      count_nan(group_norm(v, 4, {}, {}), [](int b, int, int c) { return b == 1 && c < 10; });
      count_nan(instance_norm(v, {}, {}), [](int b, int, int c) { return b == 1 && c == 7; });
      count_nan(batch_norm(v, {}, {}, fresh_statistics(40, dtype), true),
                [](int, int, int c) { return c == 7; });
    }
  }
  // RMS norm: an infinity is divided by an infinite root, the rest of its row by it gives 0.
  Tensor x = random_tensor({2, 4}, 1);
  x.data<double>()[1] = std::numeric_limits<double>::infinity();
  const Tensor y = rms_norm(Variable(x), {}).value();
  EXPECT_EQ(y.data<double>()[0], 0);
  EXPECT_TRUE(std::isnan(y.data<double>()[1]));
  EXPECT_TRUE(std::isfinite(y.data<double>()[4]));
}

template <class Exception>
void expect_error(const std::function<void()>& call, const std::string& part) {
  try {
    call();
    FAIL() << "expected: " << part;
  } catch (const Exception& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(NormOps, ErrorsSayWhatIsWrong) {
  const Variable x = leaf({4, 6}, 1), w = leaf({6}, 2), wrong = leaf({5}, 2);
  expect_error<Error>([&] { layer_norm(x, wrong, {}); }, "layer_norm: expected weight [6]");
  expect_error<Error>([&] { layer_norm(x, w, wrong); }, "layer_norm: expected bias [6]");
  expect_error<Error>([&] { layer_norm(x, w, {}, 1e-5, 3); }, "the last 3 dimensions of x [4, 6]");
  expect_error<Error>([&] { rms_norm(x, leaf32({6}, 1)); }, "of float64");
  expect_error<UsageError>([&] { position_norm(x, 4, w, {}); },
                           "must divide the 6 channels, got 4");
  expect_error<UsageError>([&] { group_norm(x, 0, w, {}); }, "must divide the 6 channels, got 0");
  expect_error<Error>([&] { layer_norm(leaf({0, 6}, 1), w, {}); }, "nothing to normalise");
  expect_error<Error>([&] { instance_norm(x, w, {}); }, "3 to 4 dimensions, got shape [4, 6]");
  expect_error<Error>([&] { instance_norm(leaf({4, 1, 6}, 1), w, {}); }, "more than one position");
  const RunningStatistics running = fresh_statistics(6);
  expect_error<Error>(
      [&] {
        batch_norm(leaf({1, 6}, 1), w, {}, running, true);
      },
      "more than one value per channel, got x [1, 6]");
  EXPECT_NO_THROW(batch_norm(leaf({1, 6}, 1), w, {}, running, false));
  expect_error<Error>([&] { batch_norm(x, w, {}, fresh_statistics(5), true); }, "running mean");
}

}  // namespace
}  // namespace sluice
