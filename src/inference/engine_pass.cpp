#include "engine_pass.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <string>

#include "choose.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/inference/detail/pass_rows.hpp"
#include "sluice/tensor/detail/rows.hpp"

namespace sluice::detail {
namespace {

/// Rows whose whole distributions exist at once.
constexpr std::size_t most_distributions = 32;

}  // namespace

std::vector<EnginePass::Told> EnginePass::run(std::span<const Part> parts) {
  outputs_.clear();
  std::vector<Told> told;
  for (const Part& part : parts) {
    EngineTask& task = *part.task;
    told.push_back({&task, {}, {}});
    if (task.echoed == 0) {
      EngineToken first;
      first.id = task.text.front();
      told.back().prompt.push_back(std::move(first));
      task.echoed = 1;
    }
    // What is remembered of a prompt may already predict a token that is asked for.
    if (task.hidden.defined() && task.read > 0) {
      collect_row(task, task.hidden, 0, task.read);
    }
  }
  read(parts);

  std::vector<Output*> distributions, scores;
  for (Output& output : outputs_) {
    if (output.task->ended) continue;
    const bool chooses = output.position >= output.task->text.size();
    (chooses || output.task->request.alternatives > 0 ? distributions : scores).push_back(&output);
  }
  for (std::size_t begin = 0; begin < distributions.size(); begin += most_distributions) {
    const std::size_t count = std::min(most_distributions, distributions.size() - begin);
    evaluate(std::span(distributions).subspan(begin, count));
  }
  evaluate_scores(scores);

  for (Output& output : outputs_) {
    if (output.task->ended) continue;
    if (!output.error.empty()) {
      output.task->end(EndReason::error, output.error);
      continue;
    }
    const auto to = std::find_if(told.begin(), told.end(),
                                 [&](const Told& each) { return each.task == output.task; });
    if (output.chosen) {
      output.task->text.push_back(output.token.id);
      to->made = std::move(output.token);
    } else {
      output.task->echoed = output.position + 1;
      to->prompt.push_back(std::move(output.token));
    }
  }
  return told;
}

void EnginePass::read(std::span<const Part> parts) {
  std::vector<Part> together, alone;
  for (const Part& part : parts) {
    if (part.count == 0) continue;
    (deterministic_ && part.task->reads_prompt() ? alone : together).push_back(part);
  }
  for (const Part& part : alone) read_together({&part, 1}, 1);
  const std::size_t size = deterministic_ ? group : std::max<std::size_t>(together.size(), 1);
  for (std::size_t begin = 0; begin < together.size(); begin += size) {
    const std::size_t count = std::min(size, together.size() - begin);
    read_together(std::span(together).subspan(begin, count), deterministic_ ? group : count);
  }
}

void EnginePass::read_together(std::span<const Part> parts, std::size_t padding) {
  PassRows pass;
  for (const Part& part : parts) {
    pass.add(part.task->state, std::span(part.task->text).subspan(part.task->read, part.count));
  }
  std::vector<StackState> nobody(padding - parts.size());
  for (StackState& state : nobody) pass.add(state, std::array<std::int32_t, 1>{0});
  try {
    collect(parts, pass.read(model_));
    return;
  } catch (...) {
    if (parts.size() == 1) {
      parts.front().task->end(EndReason::error, reason_of(std::current_exception()));
      return;
    }
  }
  // Whose fault it is is found by reading each by itself.
  for (const Part& part : parts) {
    if (part.task->state.position != static_cast<std::int64_t>(part.task->read)) {
      part.task->end(EndReason::error, "engine: the state was lost when another request failed");
    } else {
      read_together({&part, 1}, deterministic_ ? group : 1);
    }
  }
}

void EnginePass::collect(std::span<const Part> parts, const Tensor& hidden) {
  std::int64_t at = 0;
  for (const Part& part : parts) {
    EngineTask& task = *part.task;
    for (std::size_t i = 0; i < part.count; ++i, ++at) {
      collect_row(task, hidden, at, task.read + i + 1);
    }
    task.read += part.count;
    task.hidden = own_row(hidden, at - 1);
  }
}

void EnginePass::collect_row(EngineTask& task, const Tensor& hidden, std::int64_t row,
                             std::size_t position) {
  const bool tells = position < task.prompt_size && position >= task.echoed;
  const bool chooses = position == task.text.size() && task.wants_token();
  if (!tells && !chooses) return;
  outputs_.push_back({&task, hidden.rows(row, row + 1), position, {}, chooses, {}});
}

Tensor EnginePass::hidden_rows(std::span<Output* const> outputs, std::size_t rows) {
  std::vector<Tensor> each(rows);
  std::transform(outputs.begin(), outputs.end(), each.begin(),
                 [](const Output* output) { return output->hidden; });
  return stacked_parts(each, 0, each.front().dim(1));
}

void EnginePass::evaluate(std::span<Output* const> outputs) {
  try {
    const std::size_t rows = deterministic_ ? most_distributions : outputs.size();
    const Tensor logs = model_.log_probabilities(hidden_rows(outputs, rows));
    const auto width = static_cast<std::size_t>(logs.dim(1));
    const ProfileScope profile("choose tokens", 0, static_cast<double>(logs.bytes()));
    parallel_for(static_cast<std::int64_t>(outputs.size()), 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; ++i) {
                     const auto row = static_cast<std::size_t>(i);
                     choose(*outputs[row], logs.span<float>().subspan(row * width, width));
                   }
                 });
  } catch (...) {
    for (Output* const output : outputs) output->error = reason_of(std::current_exception());
  }
}

std::int64_t EnginePass::rank_of(std::span<const float> log_probabilities, std::int32_t id) {
  const float own = log_probabilities[static_cast<std::size_t>(id)];
  const auto end = log_probabilities.begin() + id;
  return 1 +
         std::count_if(log_probabilities.begin(), end, [own](float log) { return log >= own; }) +
         std::count_if(end, log_probabilities.end(), [own](float log) { return log > own; });
}

void EnginePass::choose(Output& output, std::span<float> log_probabilities) {
  try {
    EngineTask& task = *output.task;
    const bool alternatives = task.request.alternatives > 0;
    if (alternatives) {
      const Peaks peaks(log_probabilities);
      for (const std::size_t place :
           peaks.largest(static_cast<std::size_t>(task.request.alternatives))) {
        output.token.alternatives.push_back(
            {static_cast<std::int32_t>(place), log_probabilities[place]});
      }
    }
    output.token.id =
        output.chosen ? task.sampler.next(log_probabilities) : task.text[output.position];
    output.token.log_probability = log_probabilities[static_cast<std::size_t>(output.token.id)];
    if (std::isnan(output.token.log_probability)) {
      throw Error(
          fmt::format("engine: the log-probability of token {} is not a number; the model "
                      "is damaged or has diverged",
                      output.token.id));
    }
    if (alternatives) output.token.rank = rank_of(log_probabilities, output.token.id);
  } catch (...) {
    output.error = reason_of(std::current_exception());
  }
}

void EnginePass::evaluate_scores(std::span<Output* const> outputs) {
  // Those of one request stand together; by themselves where who else is there must not matter.
  for (std::size_t begin = 0, end = 0; begin < outputs.size(); begin = end) {
    end = outputs.size();
    if (deterministic_) {
      end = begin + 1;
      while (end < outputs.size() && outputs[end]->task == outputs[begin]->task) ++end;
    }
    const auto part = outputs.subspan(begin, end - begin);
    std::vector<std::int32_t> targets;
    for (const Output* const output : part) targets.push_back(output->task->text[output->position]);
    try {
      const std::vector<double> nll = model_.nll(hidden_rows(part, part.size()), targets);
      for (std::size_t i = 0; i < part.size(); ++i) {
        part[i]->token.id = targets[i];
        part[i]->token.log_probability = static_cast<float>(-nll[i]);
      }
    } catch (...) {
      for (Output* const output : part) output->error = reason_of(std::current_exception());
    }
  }
}

}  // namespace sluice::detail
