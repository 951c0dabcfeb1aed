#pragma once
// What requests for completions have in common, and the plan that is made of them.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "completion_job.hpp"
#include "request_fields.hpp"
#include "services.hpp"

namespace sluice::server {

/// How tokens are drawn: fields of the same names in every interface.
struct DrawFields {
  double temperature = 1;
  double top_p = 1;
  std::int64_t top_k = 0;
  double min_p = 0;
  double presence_penalty = 0, frequency_penalty = 0;
  std::map<std::int32_t, double> logit_bias;
};
const RequestTable& draw_fields();

/// Fills in sampling and rules of a plan. `seed`: none, or a negative one, draws by chance.
void plan_draws(CompletionPlan& plan, const DrawFields& draw, std::optional<std::int64_t> seed);

/// Fills in prompts and the number of tokens. Throws RequestError for ones that are too long or too
/// many.
void plan_texts(CompletionPlan& plan, const std::vector<Prompt>& prompts, std::int64_t tokens,
                const ServerOptions& options);

/// Starts a job. Throws RequestError: 429 when too many wait, 503 when the server ends, 400 for
/// what the engine refuses.
void start_job(const Call& call, CompletionPlan plan, std::unique_ptr<const CompletionShape> shape);

}  // namespace sluice::server
