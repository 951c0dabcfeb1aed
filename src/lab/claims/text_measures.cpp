// Measures of what trained models predict of the validation text, token by token and block by
// block.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "claims/answers.hpp"
#include "claims/measure_groups.hpp"
#include "codecs.hpp"
#include "sluice/autograd/variable.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/inference/detail/pass_rows.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/lab/compare/run.hpp"

namespace sluice {
namespace {

/// Texts that are read side by side, each after as many tokens before it.
constexpr std::int64_t streams = 16, warm_up = 256;
/// Numbers of a distribution over the vocabulary at once.
constexpr std::int64_t most_numbers = std::int64_t{1} << 22;

/// Sums over a block, or over a whole text.
struct TextScore {
  double tokens = 0, nll = 0, right = 0;
  /// Of tokens of answers (tasks.hpp).
  double answers = 0, answers_right = 0;
};

const FieldTable& score_fields() {
  static const FieldTable table = FieldsOf<TextScore>()
                                      .add("tokens", &TextScore::tokens)
                                      .add("nll", &TextScore::nll)
                                      .add("right", &TextScore::right)
                                      .add("answers", &TextScore::answers)
                                      .add("answers_right", &TextScore::answers_right);
  return table;
}

FieldCodec<std::vector<TextScore>> scores_codec() {
  return list_of(complete<TextScore>(score_fields()));
}

/// Which tokens of a text belong to answers.
std::vector<bool> answers_of(const Tokenizer& tokenizer, std::span<const TokenId> tokens) {
  AnswerFinder finder(tokenizer);
  std::vector<bool> answers(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) answers[i] = finder.read(tokens[i]).has_value();
  return answers;
}

/// The number of blocks of a text, and the one that a token is in.
std::int64_t blocks_of(std::int64_t tokens) {
  return std::clamp<std::int64_t>(tokens / least_block_tokens, 1, text_blocks);
}
TextScore& block_at(std::vector<TextScore>& blocks, std::int64_t place, std::int64_t tokens) {
  return blocks[static_cast<std::size_t>(place * static_cast<std::int64_t>(blocks.size()) /
                                         tokens)];
}

class TextReader {
 public:
  TextReader(const LoadedModel& loaded, const TokenShards& text)
      : model_(FrozenModel::freeze(*loaded.model)),
        tokens_(static_cast<std::size_t>(text.size())),
        text_(text),
        blocks_(static_cast<std::size_t>(blocks_of(text.size()))) {
    text.read(0, text.size(), tokens_.data());
    answers_ = answers_of(*loaded.tokenizer, tokens_);
  }

  /// Every token is scored once, with the tokens before it that its stream has read.
  std::vector<TextScore> read() {
    const std::int64_t size = text_.size();
    const std::int64_t each = (size + streams - 1) / streams;
    const std::int64_t rows = std::max<std::int64_t>(
        1, std::min<std::int64_t>(2048, most_numbers / model_->vocabulary()) / streams);
    std::vector<StackState> states(streams);
    for (std::int64_t offset = -warm_up; offset < each; offset += rows) {
      const std::int64_t end = std::min(offset + rows, each);
      pass(states, each, offset, end);
    }
    return blocks_;
  }

 private:
  /// Positions [offset, end) of each stream; those before its own are read and not scored.
  void pass(std::vector<StackState>& states, std::int64_t each, std::int64_t offset,
            std::int64_t end) {
    detail::PassRows rows;
    std::vector<std::int32_t> targets;
    std::vector<std::int64_t> places;  // in the text, -1: not scored
    for (std::int64_t stream = 0; stream < streams; ++stream) {
      const std::int64_t begin = stream * each;
      const std::int64_t first = std::max<std::int64_t>(begin + offset, 0);
      const std::int64_t last = std::min(begin + end, text_.size());
      if (first >= last) continue;
      const std::size_t at = targets.size();
      targets.resize(at + static_cast<std::size_t>(last - first));
      const auto ids =
          rows.make_room(states[static_cast<std::size_t>(stream)], targets.size() - at);
      text_.read_pairs(first, last - first, ids.data(), targets.data() + at);
      for (std::int64_t i = first; i < last; ++i) places.push_back(i < begin ? -1 : i);
    }
    if (rows.empty()) return;
    const Tensor log_p = model_->log_probabilities(rows.read(*model_));
    const std::int64_t vocabulary = model_->vocabulary();
    for (std::size_t r = 0; r < targets.size(); ++r) {
      if (places[r] < 0) continue;
      const float* row = log_p.data<float>() + static_cast<std::int64_t>(r) * vocabulary;
      const auto best = static_cast<TokenId>(std::max_element(row, row + vocabulary) - row);
      add(places[r], -static_cast<double>(row[targets[r]]), best == targets[r]);
    }
  }

  void add(std::int64_t place, double nll, bool right) {
    TextScore& block = block_at(blocks_, place, text_.size());
    block.tokens += 1;
    block.nll += nll;
    block.right += right ? 1 : 0;
    if (!answers_[static_cast<std::size_t>(place)]) return;
    block.answers += 1;
    block.answers_right += right ? 1 : 0;
  }

  std::shared_ptr<const FrozenModel> model_;
  std::vector<TokenId> tokens_;
  std::vector<bool> answers_;
  const TokenShards& text_;
  std::vector<TextScore> blocks_;
};

/// What the run's model reads of the validation text, kept; empty when it diverged.
std::vector<TextScore> scores_of(Measuring& measuring, const MeasuredRun& run) {
  if (run.run.record.status == RunStatus::diverged) return {};
  const Value kept = measuring.kept(run, "reading in blocks, ends of lines no answers", [&] {
    const ThreadCount threads(static_cast<int>(run.comparison.threads()));
    return scores_codec().write(
        TextReader(load_trained(run.directory()), *run.comparison.text().valid).read());
  });
  return scores_codec().read(kept, in_file("measured values"));
}

/// What the best guess without the question has right of the validation text's answers, kept.
std::vector<TextScore> guesses_of(Measuring& measuring, const MeasuredRun& run) {
  const Value kept = measuring.kept(run, "guesses in blocks", [&] {
    const PreparedText& text = run.comparison.text();
    const AnswerGuess guess(*text.tokenizer, text.train);
    AnswerFinder finder(*text.tokenizer);
    std::vector<TextScore> blocks(static_cast<std::size_t>(blocks_of(text.valid->size())));
    std::int64_t place = 0;
    for_each_token(*text.valid, [&](TokenId token) {
      TextScore& block = block_at(blocks, place++, text.valid->size());
      const auto found = finder.read(token);
      block.tokens += 1;
      if (!found) return;
      block.answers += 1;
      block.answers_right += guess.at(*found) == token ? 1 : 0;
    });
    return scores_codec().write(blocks);
  });
  return scores_codec().read(kept, in_file("measured values"));
}

TextScore sum_of(const std::vector<TextScore>& blocks) {
  TextScore sum;
  for (const TextScore& block : blocks) {
    sum.tokens += block.tokens;
    sum.nll += block.nll;
    sum.right += block.right;
    sum.answers += block.answers;
    sum.answers_right += block.answers_right;
  }
  return sum;
}

/// A share of one sum in another, over the whole text and by block.
Measure share_measure(Measure measure, double TextScore::*part, double TextScore::*whole) {
  measure.unit = "share of tokens";
  measure.of_run = [=](Measuring& measuring, const MeasuredRun& run, double) {
    const TextScore sum = sum_of(scores_of(measuring, run));
    return sum.*whole > 0 ? sum.*part / (sum.*whole) : no_value;
  };
  measure.of_blocks = [=](Measuring& measuring, const MeasuredRun& run) {
    std::vector<double> values;
    for (const TextScore& block : scores_of(measuring, run)) {
      if (!(block.*whole > 0)) return std::vector<double>();
      values.push_back(block.*part / (block.*whole));
    }
    return values;
  };
  return measure;
}

double answer_accuracy(const TextScore& score) {
  return score.answers > 0 ? score.answers_right / score.answers : no_value;
}

/// answer_accuracy less that of the best guess, over the whole text and by block.
Measure above_guessing() {
  Measure measure{.name = "above_guessing",
                  .unit = "share of tokens",
                  .description =
                      "answer_accuracy less that of the best guess without the question, by the "
                      "place in the answer and the token before, counted on the training text",
                  .of_run = {},
                  .of_pair = {}};
  measure.of_run = [](Measuring& measuring, const MeasuredRun& run, double) {
    const double right = answer_accuracy(sum_of(scores_of(measuring, run)));
    if (right == no_value) return no_value;
    return right - answer_accuracy(sum_of(guesses_of(measuring, run)));
  };
  measure.of_blocks = [](Measuring& measuring, const MeasuredRun& run) {
    const std::vector<TextScore> scores = scores_of(measuring, run);
    if (scores.empty()) return std::vector<double>();
    const std::vector<TextScore> guesses = guesses_of(measuring, run);
    std::vector<double> values;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (!(scores[i].answers > 0)) return std::vector<double>();
      values.push_back(answer_accuracy(scores[i]) - answer_accuracy(guesses[i]));
    }
    return values;
  };
  return measure;
}

/// Loss of the trained model as in training: batch norm takes the batch's statistics.
double batch_statistics_loss(const MeasuredRun& run) {
  const LoadedModel loaded = load_trained(run.directory());
  const TokenShards& text = *run.comparison.text().valid;
  const TrainConfig& training = run.variant().training;
  const std::int64_t each = text.size() / training.batch;
  const std::int64_t time = std::min(training.context, each);
  const NoGrad guard;
  const ForwardOptions options{.training = true};
  ModelState state;
  double sum = 0;
  double count = 0;
  const auto rows = static_cast<std::size_t>(training.batch * time);
  std::vector<std::int32_t> ids(rows);
  std::vector<std::int32_t> targets(rows);
  for (std::int64_t offset = 0; offset + time <= each; offset += time) {
    for (std::int64_t stream = 0; stream < training.batch; ++stream) {
      text.read_pairs(stream * each + offset, time, ids.data() + stream * time,
                      targets.data() + stream * time);
    }
    const Variable hidden = loaded.model->hidden(ids, training.batch, time, state, options);
    Tensor nll;
    loaded.model->loss(hidden, targets, options, &nll);
    for (const float one : nll.span<float>()) sum += one;
    count += static_cast<double>(rows);
  }
  return count > 0 ? sum / count : no_value;
}

}  // namespace

std::vector<double> block_losses(Measuring& measuring, const MeasuredRun& run) {
  std::vector<double> losses;
  for (const TextScore& block : scores_of(measuring, run))
    losses.push_back(block.nll / block.tokens);
  return losses;
}

std::vector<Measure> text_measures() {
  const auto measure = [](const char* name, const char* description) {
    return Measure{.name = name,
                   .unit = "nats per token",
                   .description = description,
                   .of_run = {},
                   .of_pair = {}};
  };
  Measure batch = measure("batch_statistics_loss",
                          "validation loss in batches as in training, batch norm with the batch's "
                          "own statistics; what of it is not in final_loss is due to running ones");
  batch.of_run = [](Measuring& measuring, const MeasuredRun& run, double) {
    if (run.run.record.status == RunStatus::diverged) return no_value;
    const Value kept = measuring.kept(run, "loss with batch statistics", [&]() -> Value {
      const ThreadCount threads(static_cast<int>(run.comparison.threads()));
      return batch_statistics_loss(run);
    });
    return field_codec<double>({}).read(kept, in_file("measured values"));
  };
  return {share_measure(
              measure("accuracy", "tokens of the validation text that are the most probable ones"),
              &TextScore::right, &TextScore::tokens),
          share_measure(measure("answer_accuracy",
                                "the same of the tokens behind = in a line, its end left out, and "
                                "behind / up to >: the answers of tasks"),
                        &TextScore::answers_right, &TextScore::answers),
          above_guessing(), batch};
}

}  // namespace sluice
