// sluice tokenizer, tokenize, detokenize, vocabulary: tokenizers on their own.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <istream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/text/corpus.hpp"
#include "sluice/text/inputs.hpp"
#include "sluice/text/tokenizer.hpp"
#include "sluice/training/defaults.hpp"
#include "text_flags.hpp"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* tokenizer_help =
    "a model's directory, a tokenizer's file, a SentencePiece model, a tokenizer.json, a list of "
    "words, or fairseq's "
    "dict.txt";

/// Calls body(line, number) for the lines of `file`, without their ends.
void for_each_line_of(const std::string& file,
                      const std::function<void(std::string line, std::int64_t number)>& body) {
  const auto in = open_text(file);
  std::int64_t number = 0;
  for (std::string line; std::getline(*in, line);) body(line, ++number);
}

struct TokenizeCommand {
  std::string tokenizer;
  std::string file = "-";
  bool ids = false;

  void run() const {
    const auto cutter = read_tokenizer(tokenizer);
    for_each_line_of(file, [&](const std::string& line, std::int64_t number) {
      cutter->check_text(line, fmt::format("line {}", number));
      std::vector<TokenId> tokens;
      cutter->encode(line, tokens);
      std::string text;
      for (const TokenId id : tokens) {
        if (!text.empty()) text += ' ';
        text += ids ? std::to_string(id) : cutter->token(id);
      }
      print(text + "\n");
    });
  }
};

struct DetokenizeCommand {
  std::string tokenizer;
  std::string file = "-";

  void run() const {
    const auto joiner = read_tokenizer(tokenizer);
    for_each_line_of(file, [&](const std::string& line, std::int64_t number) {
      print(joiner->decode(ids_of(line, number)) + "\n");
    });
  }

 private:
  static std::vector<TokenId> ids_of(const std::string& line, std::int64_t number) {
    std::vector<TokenId> ids;
    const char* const end = line.data() + line.size();
    for (const char* at = line.data(); at != end;) {
      if (*at == ' ' || *at == '\t' || *at == '\r') {
        ++at;
        continue;
      }
      const char* const stop = std::find_if(at, end, [](char c) { return c == ' ' || c == '\t'; });
      TokenId id = 0;
      const auto read = std::from_chars(at, stop, id);
      if (read.ec != std::errc() || (read.ptr != stop && *read.ptr != '\r')) {
        throw Error(fmt::format("line {}: expected the numbers of tokens, got {}", number,
                                in_quotes(std::string(at, stop))));
      }
      ids.push_back(id);
      at = read.ptr;
    }
    return ids;
  }
};

struct VocabularyCommand {
  std::string tokenizer;
  TextFlags text;
  bool list = false;
  bool json = false;

  void run() const;

 private:
  void print_list(const Tokenizer& words, const std::vector<std::int64_t>& counts) const;
};

/// How often each token is in a text.
std::vector<std::int64_t> count_tokens(const TokenShards& corpus) {
  constexpr std::int64_t piece = 1 << 16;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(corpus.vocabulary()), 0);
  std::vector<TokenId> tokens(static_cast<std::size_t>(piece));
  for (std::int64_t at = 0; at < corpus.size(); at += piece) {
    const std::int64_t n = std::min(piece, corpus.size() - at);
    corpus.read(at, n, tokens.data());
    for (std::int64_t i = 0; i < n; ++i) {
      ++counts[static_cast<std::size_t>(tokens[static_cast<std::size_t>(i)])];
    }
  }
  return counts;
}

/// Of the text's tokens, the share of the N most frequent, for N of 100, 200, 500, 1000, ...
std::vector<std::pair<std::int64_t, double>> coverage(std::vector<std::int64_t> counts) {
  std::sort(counts.rbegin(), counts.rend());
  const auto total = static_cast<double>(
      std::max<std::int64_t>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}), 1));
  std::vector<std::pair<std::int64_t, double>> shares;
  const auto size = static_cast<std::int64_t>(counts.size());
  std::int64_t done = 0;
  std::int64_t sum = 0;
  const auto add = [&](std::int64_t n) {
    while (done < n) sum += counts[static_cast<std::size_t>(done++)];
    shares.emplace_back(n, static_cast<double>(sum) / total);
  };
  for (std::int64_t decade = 100; decade < size; decade *= 10) {
    for (const std::int64_t step : {1, 2, 5}) {
      if (decade * step < size) add(decade * step);
    }
  }
  add(size);
  return shares;
}

void VocabularyCommand::print_list(const Tokenizer& words,
                                   const std::vector<std::int64_t>& counts) const {
  for (TokenId id = 0; id < words.size(); ++id) {
    std::string name = words.token(id);
    if (name == "\n") name = "\\n";
    print(counts.empty()
              ? fmt::format("{}\t{}\n", id, name)
              : fmt::format("{}\t{}\t{}\n", id, counts[static_cast<std::size_t>(id)], name));
  }
}

void VocabularyCommand::run() const {
  const auto words = read_tokenizer(tokenizer);
  if (text.files.empty()) {
    print_list(*words, {});
    return;
  }
  ProgressDisplay display;
  const Progress progress = [&](double fraction, std::string_view what) {
    display.update(fraction, what);
  };
  const TextInputs inputs = text.open(*words, progress);
  const TokenShards corpus = tokenize_uncached(inputs.sources(), *words, progress);
  display.clear();
  if (!inputs.skipped().empty()) {
    tell(fmt::format("sluice vocabulary: {}\n", inputs.skipped_note()));
  }
  const std::vector<std::int64_t> counts = count_tokens(corpus);
  if (list) {
    print_list(*words, counts);
    return;
  }
  const CorpusInfo& info = corpus.info();
  const auto used = static_cast<std::int64_t>(
      std::count_if(counts.begin(), counts.end(), [](std::int64_t count) { return count > 0; }));
  const double rate = static_cast<double>(info.oov) / static_cast<double>(info.tokens);
  const double length = static_cast<double>(info.characters) / static_cast<double>(info.tokens);
  const auto shares = coverage(counts);
  if (json) {
    Value::List covered;
    for (const auto& [size, share] : shares) {
      covered.emplace_back(Value::Object{{"size", size}, {"share", share}});
    }
    print_json(Value::Object{{"kind", std::string(words->kind())},
                             {"size", words->size()},
                             {"tokens", info.tokens},
                             {"lines", info.lines},
                             {"used", used},
                             {"oov", info.oov},
                             {"oov_rate", rate},
                             {"characters", info.characters},
                             {"coverage", std::move(covered)}});
    return;
  }
  print(fmt::format(
      "vocabulary            {} tokens ({}), {} of them in the text\n"
      "text                  {} in {}, {:.3f} characters a token\n"
      "not in the vocabulary {} ({:.3f}%)\n",
      grouped(words->size()), words->kind(), grouped(used), counted(info.tokens, "token"),
      counted(info.lines, "line"), length, grouped(info.oov), 100 * rate));
  print("the most frequent N   cover\n");
  for (const auto& [size, share] : shares) {
    print(fmt::format("{:>19}   {:.2f}%\n", grouped(size), 100 * share));
  }
}

struct TrainTokenizerCommand {
  std::string action;
  TextFlags text;
  Given<TokenizerOptions> options;
  std::string out;

  void run();
};

void TrainTokenizerCommand::run() {
  if (action != "train") {
    throw UsageError(fmt::format("unknown action '{}'; {}", action, suggestion(action, {"train"})));
  }
  const auto left_behind = [](const fs::directory_entry& entry) {
    return AtomicFile::is_temporary(entry.path().filename().string());
  };
  std::error_code ignored;
  if (is_there(out) &&
      !(fs::is_directory(out, ignored) &&
        std::all_of(fs::directory_iterator(out, ignored), fs::directory_iterator(), left_behind))) {
    throw Error(
        fmt::format("--out '{}' exists already and is not empty; give another directory", out));
  }
  ProgressDisplay display;
  const Progress progress = [&](double fraction, std::string_view what) {
    display.update(fraction, what);
  };
  const std::vector<fs::path> paths(text.files.begin(), text.files.end());
  const TextInputs inputs(paths, text.options(options.values.kind == "byte"), {}, progress);
  Notes notes;
  TextFacts facts = inspect_text(inputs.sources());
  if (!options.has("kind")) measure_costs(facts, inputs.sources(), progress);
  const TokenizerOptions chosen = choose_tokenizer(options, facts, notes);
  const auto made = train_tokenizer(chosen, inputs.sources(), progress);
  fs::create_directories(out);
  made->save(out);
  display.clear();
  if (!inputs.skipped().empty()) notes.push_back(inputs.skipped_note());
  if (!notes.empty()) print(fmt::format("chosen: {}\n", fmt::join(notes, "; ")));
  print(fmt::format("{} tokenizer of {} tokens: {}\n", made->kind(), grouped(made->size()),
                    (fs::path(out) / made->file_name()).string()));
}

}  // namespace

void add_tokenize(CLI::App& program, int& status) {
  auto command = std::make_shared<TokenizeCommand>();
  CLI::App& app = add_command(program, "tokenize", "Print the tokens of a text, line by line");
  add_footer(app, "", {"sluice tokenize model text.txt"});
  add_text(app, "TOKENIZER", command->tokenizer, tokenizer_help, "").required();
  add_text(app, "FILE", command->file, "UTF-8 text; - or nothing: standard input", "");
  add_flag(app, "--ids", command->ids, "print the tokens' numbers instead");
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

void add_detokenize(CLI::App& program, int& status) {
  auto command = std::make_shared<DetokenizeCommand>();
  CLI::App& app =
      add_command(program, "detokenize", "Print the text of tokens, as tokenize --ids prints them");
  add_footer(app, "", {"sluice detokenize model ids.txt"});
  add_text(app, "TOKENIZER", command->tokenizer, tokenizer_help, "").required();
  add_text(app, "FILE", command->file,
           "numbers of tokens with spaces between them; - or nothing: standard input", "");
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

void add_vocabulary(CLI::App& program, int& status) {
  auto command = std::make_shared<VocabularyCommand>();
  CLI::App& app =
      add_command(program, "vocabulary", "List a vocabulary, or show how it fits a text");
  add_footer(app,
             "Without texts: each token's number and name. With texts: how much of them is not in "
             "the vocabulary, and what share its most frequent tokens cover.",
             {"sluice vocabulary model other.txt"});
  add_text(app, "TOKENIZER", command->tokenizer, tokenizer_help, "").required();
  add_text_flags(app, "FILE", command->text, TextsNeeded::no);
  add_flag(app, "--list", command->list,
           "print each token's number, count in the texts and name instead");
  add_flag(app, "--json", command->json, "print one JSON object instead");
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

void add_tokenizer(CLI::App& program, int& status) {
  auto command = std::make_shared<TrainTokenizerCommand>();
  CLI::App& app = add_command(program, "tokenizer", "Train a tokenizer by itself");
  add_footer(app, "",
             {"sluice tokenizer train --data text.txt --tokenizer bpe --vocab 8000 --out tok"});
  add_text(app, "ACTION", command->action, "train", "").required();
  add_text_flags(app, "--data", command->text, TextsNeeded::yes);
  add_field_flags(app, tokenizer_fields(),
                  [command](const Field& field, const Value& value, const FieldPlace& place) {
                    command->options.set(field.name, value, place);
                  });
  add_text(app, "--out", command->out, "directory to write it to, for --tokenizer to take", "DIR")
      .required();
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

}  // namespace sluice::cli
