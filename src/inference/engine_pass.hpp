#pragma once
// One pass of an engine: requests read some of their tokens, and tokens are chosen behind them.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine_task.hpp"
#include "sluice/inference/frozen_model.hpp"

namespace sluice::detail {

class EnginePass {
 public:
  /// A request and how many of its unread tokens it reads; 0: only what follows from
  /// EngineTask::hidden is told.
  struct Part {
    EngineTask* task = nullptr;
    std::size_t count = 0;
  };
  /// What is to be told of a request.
  struct Told {
    EngineTask* task = nullptr;
    std::vector<EngineToken> prompt;
    std::optional<EngineToken> made;
  };

  EnginePass(const FrozenModel& model, bool deterministic)
      : model_(model), deterministic_(deterministic) {}

  /// Reads, and chooses the next token of every request that has then read all of its text and
  /// wants one, which becomes part of the text. Requests whose part fails end, the others go on.
  std::vector<Told> run(std::span<const Part> parts);

  /// Texts that read a token each in one go, where results must not depend on how many there are.
  static constexpr std::size_t group = 32;

 private:
  /// A hidden row of `task` that predicts text[position].
  struct Output {
    EngineTask* task = nullptr;
    Tensor hidden;  // [1, H], a view
    std::size_t position = 0;
    EngineToken token;
    bool chosen = false;
    std::string error;
  };

  void read(std::span<const Part> parts);
  /// The hidden rows of parts that are read together.
  void read_together(std::span<const Part> parts, std::size_t padding);
  void collect(std::span<const Part> parts, const Tensor& hidden);
  void collect_row(EngineTask& task, const Tensor& hidden, std::int64_t row, std::size_t position);
  void evaluate(std::span<Output* const> outputs);
  void evaluate_scores(std::span<Output* const> outputs);
  /// Those of the outputs, [rows, H], zeros behind them.
  static Tensor hidden_rows(std::span<Output* const> outputs, std::size_t rows);
  static void choose(Output& output, std::span<float> log_probabilities);
  /// See EngineToken::rank.
  static std::int64_t rank_of(std::span<const float> log_probabilities, std::int32_t id);

  const FrozenModel& model_;
  bool deterministic_;
  std::vector<Output> outputs_;
};

}  // namespace sluice::detail
