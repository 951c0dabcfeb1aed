#include "inspect/time_measures.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>

#include "sluice/autograd/detail/observe.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/kernels/arithmetic.hpp"

namespace sluice {
namespace {

/// Positions in one pass.
constexpr std::int64_t rows_per_pass = 4096;

/// Tokens of a document that have `before` others before them in it.
std::int64_t tokens_after(const DocumentEnds& documents, std::int64_t document,
                          std::int64_t before) {
  const std::int64_t size = documents.end(document) - documents.begin(document);
  return std::max<std::int64_t>(size - before, 0);
}

/// The same of all documents.
std::int64_t tokens_after(const DocumentEnds& documents, std::int64_t before) {
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < documents.count(); ++i) sum += tokens_after(documents, i, before);
  return sum;
}

/// The largest reach, at most `most`, such that half of all tokens at least have `windows` times as
/// many before them in their document.
std::int64_t reach_in(const DocumentEnds& documents, std::int64_t windows, std::int64_t most) {
  const std::int64_t all = tokens_after(documents, 0);
  std::int64_t reach = 0;
  for (std::int64_t beyond = most + 1; beyond - reach > 1;) {
    const std::int64_t middle = reach + (beyond - reach) / 2;
    (2 * tokens_after(documents, windows * middle) >= all ? reach : beyond) = middle;
  }
  return reach;
}

/// `count` tokens with `before` others before them in their document, spread evenly over all such;
/// all of them when there are no more.
std::vector<std::int64_t> spread(const DocumentEnds& documents, std::int64_t before,
                                 std::int64_t count) {
  const std::int64_t all = tokens_after(documents, before);
  count = std::min(count, all);
  std::vector<std::int64_t> targets;
  std::int64_t document = 0, passed = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t index = (2 * i + 1) * all / (2 * count);
    while (index - passed >= tokens_after(documents, document, before)) {
      passed += tokens_after(documents, document++, before);
    }
    targets.push_back(documents.begin(document) + before + index - passed);
  }
  return targets;
}

/// Windows of `time` positions side by side, the last of each predicting one of some tokens.
struct Windows {
  std::int64_t batch = 0, time = 0;
  std::vector<std::int32_t> ids = {};
  /// Of the last positions: their rows in the hidden layer, and what they predict.
  std::vector<std::int32_t> last = {};
  std::vector<std::int32_t> targets = {};
};

Windows windows(const TokenShards& text, std::span<const std::int64_t> ends, std::int64_t time) {
  Windows windows{.batch = static_cast<std::int64_t>(ends.size()), .time = time};
  windows.ids.resize(static_cast<std::size_t>(windows.batch * time));
  std::vector<std::int32_t> targets(static_cast<std::size_t>(time));
  for (std::int64_t b = 0; b < windows.batch; ++b) {
    text.read_pairs(ends[static_cast<std::size_t>(b)] - time + 1, time,
                    windows.ids.data() + b * time, targets.data());
    windows.last.push_back(static_cast<std::int32_t>((b + 1) * time - 1));
    windows.targets.push_back(targets.back());
  }
  return windows;
}

using Targets = std::span<const std::int64_t>;

/// All of the plan's targets in batches of at most about rows_per_pass positions.
std::vector<Targets> batches_of(const TimePlan& plan, std::int64_t time) {
  const auto size = static_cast<std::size_t>(std::max<std::int64_t>(rows_per_pass / time, 1));
  const Targets all = plan.targets;
  std::vector<Targets> batches;
  for (std::size_t begin = 0; begin < all.size(); begin += size) {
    batches.push_back(all.subspan(begin, std::min(size, all.size() - begin)));
  }
  return batches;
}

/// Lists the norms of the gradients of token vectors [B, T, D], times `scale`.
class LagProbe final : public Probe {
 public:
  LagProbe(std::vector<double>& norms, double scale) : norms_(norms), scale_(scale) {}

  bool wants(ProbePoint point) const override { return point == ProbePoint::embedded; }
  Variable see(const ProbePlace&, const Variable& x) override {
    return observe(x, [this](const Tensor& dx) { add(dx); });
  }

 private:
  void add(const Tensor& dx) {
    const std::int64_t time = dx.dim(1), dim = dx.dim(2);
    dispatch_float(dx.dtype(), [&](auto zero) {
      const auto* row = dx.data<decltype(zero)>();
      for (std::int64_t i = 0; i < dx.dim(0) * time; ++i, row += dim) {
        const double squares = kernels::sum_of_squares(row, static_cast<std::size_t>(dim));
        norms_.push_back(scale_ * std::sqrt(squares));
      }
    });
  }

  std::vector<double>& norms_;
  double scale_;
};

}  // namespace

TimePlan plan_lags(const DocumentEnds& documents, std::int64_t most_lag, std::int64_t positions) {
  TimePlan plan{.reach = reach_in(documents, 2, most_lag)};
  plan.targets = spread(documents, 2 * plan.reach, positions);
  plan.cost = static_cast<std::int64_t>(plan.targets.size()) *
              (plan.reach + (plan.reach + 1) * backward_cost);
  return plan;
}

TimePlan plan_contexts(const DocumentEnds& documents, std::int64_t most_context,
                       std::int64_t positions) {
  TimePlan plan{.reach = std::max<std::int64_t>(reach_in(documents, 1, most_context), 1)};
  plan.targets = spread(documents, plan.reach - 1, positions);
  for (const std::int64_t context : contexts_of(plan)) {
    plan.cost += static_cast<std::int64_t>(plan.targets.size()) * context;
  }
  return plan;
}

std::vector<double> lag_norms(LanguageModel& model, const TokenShards& text, const TimePlan& plan,
                              const Spent& spent, PieceWork& work) {
  const std::int64_t time = plan.reach + 1;
  const ForwardOptions plain{.conv = ConvPath::direct};
  const std::vector<Targets> batches = batches_of(plan, time);
  const auto of_batch = [&](std::int64_t batch) {
    const Targets ends = batches[static_cast<std::size_t>(batch)];
    ModelState state;
    if (plan.reach > 0) {
      const NoGrad guard;
      std::vector<std::int64_t> before(ends.begin(), ends.end());
      for (std::int64_t& end : before) end -= time;
      const Windows warm_up = windows(text, before, plan.reach);
      model.hidden(warm_up.ids, warm_up.batch, warm_up.time, state, plain);
    }
    const Windows window = windows(text, ends, time);
    // The loss is a mean over windows.
    std::vector<double> norms;
    LagProbe probe(norms, static_cast<double>(window.batch));
    ForwardOptions options = plain;
    options.probe = &probe;
    Tape tape;
    const Variable hidden = model.hidden(window.ids, window.batch, time, state, options);
    tape.backward(model.loss(gather_rows(hidden, window.last), window.targets, options));
    spent(window.batch * (plan.reach + time * backward_cost));
    return bytes_of_values(norms);
  };
  std::vector<double> norms(static_cast<std::size_t>(time));
  for (const std::string& batch : work.map(static_cast<std::int64_t>(batches.size()), of_batch)) {
    std::size_t position = 0;
    for (const double norm : values_of_bytes<double>(batch)) {
      norms[norms.size() - 1 - position++ % norms.size()] += norm;
    }
  }
  for (double& norm : norms) norm /= static_cast<double>(plan.targets.size());
  return norms;
}

std::vector<std::int64_t> contexts_of(const TimePlan& plan) {
  std::vector<std::int64_t> contexts;
  for (std::int64_t context = 1; context <= plan.reach; context *= 2) contexts.push_back(context);
  return contexts;
}

std::vector<double> context_losses(LanguageModel& model, const TokenShards& text,
                                   const TimePlan& plan, const Spent& spent, PieceWork& work) {
  const NoGrad guard;
  const ForwardOptions options{.conv = ConvPath::direct};
  struct Batch {
    std::size_t context;  // which of the plan's
    std::int64_t time;
    Targets ends;
  };
  std::vector<Batch> batches;
  const std::vector<std::int64_t> contexts = contexts_of(plan);
  for (std::size_t c = 0; c < contexts.size(); ++c) {
    for (const Targets ends : batches_of(plan, contexts[c])) {
      batches.push_back({c, contexts[c], ends});
    }
  }
  const auto of_batch = [&](std::int64_t number) {
    const Batch& batch = batches[static_cast<std::size_t>(number)];
    const Windows window = windows(text, batch.ends, batch.time);
    ModelState state;
    const Variable hidden = model.hidden(window.ids, window.batch, batch.time, state, options);
    Tensor nll;
    model.loss(gather_rows(hidden, window.last), window.targets, options, &nll);
    spent(window.batch * batch.time);
    return dispatch_float(nll.dtype(), [&](auto zero) {
      const auto values = nll.span<decltype(zero)>();
      return bytes_of_values(std::vector<double>(values.begin(), values.end()));
    });
  };
  const auto results = work.map(static_cast<std::int64_t>(batches.size()), of_batch);
  std::vector<double> losses(contexts.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    for (const double loss : values_of_bytes<double>(results[i])) {
      losses[batches[i].context] += loss;
    }
  }
  for (double& loss : losses) loss /= static_cast<double>(plan.targets.size());
  return losses;
}

}  // namespace sluice
