// sluice rescore: lists of hypotheses, scored anew.

#include <fmt/format.h>

#include <istream>
#include <memory>
#include <string>
#include <vector>

#include "commands.hpp"
#include "input_lines.hpp"
#include "model_argument.hpp"
#include "options.hpp"
#include "output.hpp"
#include "ranks.hpp"
#include "sluice/base/error.hpp"
#include "sluice/inference/rescore.hpp"
#include "sluice/inference/word_errors.hpp"
#include "sluice/text/inputs.hpp"

namespace sluice::cli {
namespace {

struct RescoreCommand {
  ModelFlags model;
  std::string file = "-";
  std::string format;
  std::string weight;
  std::vector<std::string> features;
  std::string costs;
  std::string tune;
  bool no_bos = false;
  bool no_eos = false;
  bool json = false;
  double word_reward = 0;
  NbestOptions lists;
  RescoreOptions options;

  int run();

 private:
  void read_flags();
  void print_tuning(const std::vector<RatedList>& rated) const;
};

/// "NAME=X" or "NAME=X,Y".
void add_feature(const std::string& text, NbestOptions& lists) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw UsageError(
        fmt::format("--given: expected NAME=X or NAME=X,Y.., got {}", in_quotes(text)));
  }
  std::vector<double>& weights = lists.given[text.substr(0, equals)];
  for (std::size_t begin = equals + 1; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    weights.push_back(parse_number("--given", text.substr(begin, end - begin)));
    begin = end + 1;
  }
}

void RescoreCommand::read_flags() {
  lists.format = parse_enum<LineFormat>(format);
  options.score.bos = !no_bos;
  options.score.eos = !no_eos;
  options.score.context = with_escapes("--context", options.score.context);
  for (const std::string& feature : features) add_feature(feature, lists);
  if (!features.empty() && lists.format != LineFormat::moses) {
    throw UsageError("--given names features of --format moses");
  }
  if (!costs.empty() && lists.format != LineFormat::kaldi) {
    throw UsageError("--costs is a file of --format kaldi");
  }
  if (!weight.empty() || options.best || word_reward != 0) {
    options.weights = RescoreWeights();
    options.weights->word_reward = word_reward;
    if (!weight.empty()) options.weights->weight = parse_number("--weight", weight);
  }
}

void RescoreCommand::print_tuning(const std::vector<RatedList>& rated) const {
  const RescoreWeights found = tune_weights(rated);
  const ErrorRate with = word_error_rate(rated, found);
  const ErrorRate without = word_error_rate(rated, {.weight = 0, .word_reward = 0});
  const double least = least_error_rate(rated);
  if (json) {
    const auto rate = [](const ErrorRate& error) {
      return Value::Object{{"rate", error.rate}, {"low", error.low}, {"high", error.high}};
    };
    print_json(Value::Object{{"weight", found.weight},
                             {"word_reward", found.word_reward},
                             {"lists", rated.size()},
                             {"word_error_rate", rate(with)},
                             {"without_model", rate(without)},
                             {"least", least}});
    return;
  }
  const auto rate = [](const ErrorRate& error) {
    return fmt::format("{:.2f}% [{:.2f}, {:.2f}]", 100 * error.rate, 100 * error.low,
                       100 * error.high);
  };
  print(fmt::format(
      "lists                          {}\n"
      "word error rate                {}\n"
      "  without the model            {}\n"
      "  of the best hypotheses       {:.2f}%\n"
      "weights                        --weight {:.4g} --word-reward {:.4g}\n",
      rated.size(), rate(with), rate(without), 100 * least, found.weight, found.word_reward));
}

int RescoreCommand::run() {
  read_flags();
  if (!costs.empty()) lists.costs = read_costs(*open_text(costs));
  std::map<std::string, std::string> references;
  if (!tune.empty()) references = read_references(*open_text(tune), lists.format);
  const std::unique_ptr<NbestCodec> codec = make_nbest_codec(lists);
  divide_cores();
  PieceWork& work = shared_work();
  const std::unique_ptr<std::istream> input = leading_text(file);
  const LoadedPredictor loaded = model.load();
  check_same_model(model.model);
  const Rescorer rescorer(loaded.predictor, *loaded.tokenizer, options);
  FaultyLines faults("rescore");
  const LineOutput output{.line = [](const std::string& line) { print(line + "\n"); },
                          .fault = [&](const std::string& fault) { faults.tell(fault); },
                          .flush = flush_output};
  std::int64_t failed = 0;
  if (tune.empty()) {
    failed = rescore_lines(*input, rescorer, *codec, output, work);
  } else {
    const auto hypotheses = read_rescored(*input, rescorer, *codec, output, failed, work);
    if (work.leads()) print_tuning(rate_hypotheses(hypotheses, references));
  }
  faults.finish();
  return failed == 0 ? 0 : 1;
}

}  // namespace

void add_rescore(CLI::App& program, int& status) {
  auto command = std::make_shared<RescoreCommand>();
  ScoreOptions& score = command->options.score;
  CLI::App& app = add_command(program, "rescore", "Rescore n-best lists of hypotheses");
  add_footer(
      app,
      "Prints each line with the model's score: moses with one more feature, kaldi as 'utt-1 "
      "cost', jsonl with one more field. With --weight also a total: what the list gives for the "
      "hypothesis (moses: its total or --given features; kaldi: minus --costs; jsonl: the field "
      "score) plus weight times ln p plus word reward times words. A malformed line is reported, "
      "passed on, and makes the exit status 1; the others are scored all the same. What the "
      "hypotheses of a list begin with together is read once.",
      {"sluice rescore model nbest --format kaldi --costs costs --tune references",
       "sluice rescore model nbest --format kaldi --costs costs --weight 2.7 --best"});
  add_model_flags(app, command->model);
  add_text(
      app, "FILE", command->file,
      "the lists, each list's hypotheses together, plain or compressed; - or nothing: standard "
      "input",
      "");
  add_text(app, "--format", command->format,
           "moses ('id ||| text ||| features [||| total]'), kaldi ('utt-1 text') or jsonl (objects "
           "with id, text and perhaps score)",
           "NAME")
      .required();
  add_text(app, "--weight", command->weight, "the model's weight in totals (default 1 with --best)",
           "X");
  add_number(app, "--word-reward", command->word_reward,
             "added to totals for each word (default 0)");
  add_texts(app, "--given", command->features,
            "moses: weights of a feature's values, instead of the total that the list has; may be "
            "repeated",
            "NAME=X,Y..");
  add_text(app, "--costs", command->costs,
           "kaldi: a file of 'utt-1 cost' with the recogniser's costs, the lower the better",
           "FILE");
  add_flag(app, "--best", command->options.best, "print only the best hypothesis of each list");
  add_text(
      app, "--tune", command->tune,
      "find the weights with the lowest word error rate against these references and print "
      "them: a line for each list (moses), 'utt text' (kaldi), objects with id and text (jsonl)",
      "REFERENCE");
  add_text(app, "--feature", command->lists.feature,
           "moses: name of the feature to add (default Sluice)", "NAME");
  add_text(app, "--context", score.context,
           "text that each hypothesis continues, as it is but for \\n and \\t", "TEXT");
  add_flag(app, "--no-bos", command->no_bos, "do not begin with the end of a line before");
  add_flag(app, "--no-eos", command->no_eos, "do not score the end of the line");
  add_flag(app, "--json", command->json, "with --tune: print one JSON object");
  add_flag(app, "--deterministic", score.deterministic,
           "each hypothesis by itself, with the same bits whatever others there are; slower");
  when_chosen(app, [command, &status] { status = command->run(); });
}

}  // namespace sluice::cli
