#include "row_scores.hpp"

namespace sluice {

std::vector<double> row_scores(LanguageModel& model, std::span<const std::int32_t> ids,
                               std::int64_t batch, std::int64_t time, ModelState& state,
                               std::span<const std::int32_t> rows,
                               std::span<const std::int32_t> targets,
                               const ForwardOptions& options) {
  const NoGrad no_grad;
  Variable hidden = model.hidden(ids, batch, time, state, options);
  if (rows.empty()) return {};
  if (rows.size() != ids.size()) hidden = gather_rows(hidden, rows);
  Tensor nll;
  model.loss(hidden, targets, options, &nll);
  return dispatch_float(nll.dtype(), [&](auto zero) {
    const auto values = nll.span<decltype(zero)>();
    return std::vector<double>(values.begin(), values.end());
  });
}

}  // namespace sluice
