// Readers of what models are used with: weights, prepared weights, cached tokens, labels, n-grams,
// lists of hypotheses, lines to score. Where a file has checksums, they are made right first:
// whoever means harm writes right ones.

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "harnesses.hpp"
#include "in_memory.hpp"
#include "ngram_image.hpp"
#include "shard_file.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/inference/calibration.hpp"
#include "sluice/inference/line_format.hpp"
#include "sluice/inference/rescore.hpp"
#include "sluice/inference/runtime_model.hpp"
#include "sluice/inference/session.hpp"
#include "sluice/inference/word_errors.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/text/inputs.hpp"

namespace sluice::fuzz {
namespace {

ModelConfig small_model() {
  ModelConfig config(architecture_names().front());
  config.shape<GcnnShape>().layers = parse_layers("[(4,2)]");
  config.softmax = "full";
  config.vocabulary = 4;
  config.dim = 4;
  return config;
}

/// A safetensors file with the checksums of what it holds; others as they are.
std::string with_checksums(std::string_view bytes, const ModelDirectory& files) {
  std::uint64_t length = 0;
  if (bytes.size() < sizeof length) return std::string(bytes);
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > bytes.size() - sizeof length) return std::string(bytes);
  const std::string_view data = bytes.substr(sizeof length + length);
  // Three levels are all that the reader takes.
  auto header = nlohmann::ordered_json::parse(
      bytes.substr(sizeof length, length), [](int depth, auto, auto&) { return depth < 8; }, false);
  if (!header.is_object() || !header["__metadata__"].is_object()) return std::string(bytes);
  auto& metadata = header["__metadata__"];
  metadata["xxh3_64"] = checksum_hex(data.data(), data.size());
  metadata["config_xxh3_64"] = file_checksum(files.config_file());
  metadata["tokenizer_xxh3_64"] = file_checksum(files.path() / "tokenizer.json");
  metadata.erase("header_xxh3_64");
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  // The data begins as far from a cache line as it did.
  text.append((length - text.size()) % 64, ' ');
  length = text.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof length);
  return file.append(text).append(data);
}

void use(const std::shared_ptr<const NgramModel>& model) {
  NgramModel::State state = model->begin_state();
  std::vector<float> logs(model->words());
  for (NgramModel::Word word = 0; word < std::min<NgramModel::Word>(model->words(), 50); ++word) {
    const NgramModel::Step step = model->step(state, word);
    require(!std::isnan(step.log10));
    model->distribution(state, logs);
    for (const float log : logs) require(!std::isnan(log));
    state = step.next;
  }
  const auto tokenizer = make_ngram_tokenizer(*model);
  static_cast<void>(make_predictor(model, *tokenizer));
}

}  // namespace

void weights(std::string_view bytes) {
  static const auto model = make_model(small_model(), 1);
  const InMemory file(bytes);
  load_parameters(file.path(), *model);
}

void runtime_model(std::string_view bytes) {
  static const ModelDirectory files = [] {
    const ModelDirectory trained(directory_in_memory()), made(directory_in_memory());
    trained.save(*make_model(small_model(), 1),
                 *make_word_tokenizer({"<eos>", "the", "<unk>", "cat"}));
    write_runtime_model(made.path(), trained, WeightPrecision::int8);
    return made;
  }();
  put_file(files.runtime_file(), with_checksums(bytes, files));
  static_cast<void>(runtime_info(files));
  const LoadedFrozenModel loaded = load_runtime_model(files, Verify::always);
  Session session = loaded.model->session();
  session.feed(std::vector<TokenId>{0, 1, 2, 3, 1});
  static_cast<void>(session.log_probabilities());
}

void calibration(std::string_view bytes) {
  const Calibration read =
      read_calibration(ModelDirectory(directory_with(ModelDirectory::calibration_name, bytes)));
  require(std::isfinite(read.temperature) && read.temperature > 0 && read.lines >= 0);
}

void token_cache(std::string_view bytes) {
  constexpr ShardKey key{.tokenizer = 1, .text = 2};
  constexpr std::int64_t vocabulary = 50;
  constexpr std::size_t footer = 80;
  std::string file(bytes);
  if (file.size() >= footer) {
    char* const end = file.data() + file.size() - footer;
    std::memcpy(end, "SLUITOK\n", 8);
    constexpr std::uint32_t version = 1;
    std::memcpy(end + 8, &version, sizeof version);
    std::memcpy(end + 16, &key, sizeof key);
    const std::uint64_t sum = checksum(file.data(), file.size() - sizeof sum);
    std::memcpy(end + footer - sizeof sum, &sum, sizeof sum);
  }
  const InMemory held(file);
  const auto shard = load_shard(held.path(), key, vocabulary);
  if (!shard) return;
  const auto tokens = static_cast<std::size_t>(shard->info.tokens);
  for (std::size_t i = 0; i < tokens; ++i) {
    std::uint32_t token = 0;
    const std::size_t width = shard->narrow ? 2 : 4;
    shard->file.read(i * width, &token, width);
    require(token < vocabulary);
  }
}

void labelled_text(std::string_view bytes) {
  if (bytes.empty()) return;
  const InMemory file(bytes.substr(1));
  const bool json = (bytes[0] & 1) != 0;
  const TextInputs read({file.path()},
                        {.field = json ? "text" : "", .condition = json ? "label" : "1"}, {});
  static_cast<void>(label_names(read.sources()));
}

void arpa(std::string_view bytes) {
  const InMemory file(bytes);
  use(NgramModel::read_arpa(file.path()));
}

void ngram_file(std::string_view bytes) {
  std::string text(bytes);
  using Header = NgramModel::Image::Header;
  if (text.size() >= sizeof(Header)) {
    Header header;
    const Header whole;
    std::memcpy(&header, text.data(), sizeof header);
    header.magic = whole.magic;
    header.version = whole.version;
    header.checksum = checksum(text.data() + sizeof header, text.size() - sizeof header);
    header.checksum = checksum(&header, sizeof header);
    std::memcpy(text.data(), &header, sizeof header);
  }
  const InMemory file(text);
  use(NgramModel::map(file.path()));
}

void hypotheses(std::string_view bytes) {
  if (bytes.empty()) return;
  constexpr LineFormat formats[] = {LineFormat::moses, LineFormat::kaldi, LineFormat::jsonl};
  NbestOptions options{.format = formats[static_cast<unsigned char>(bytes[0]) % 3]};
  if ((bytes[0] & 0x40) != 0 && options.format == LineFormat::moses) {
    options.given = {{"LM0", {0.5}}, {"Word", {1, 2}}};
  }
  const std::string text(bytes.substr(1));
  const auto codec = make_nbest_codec(options);
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    try {
      Hypothesis hypothesis = codec->parse(line, "line 1");
      hypothesis.line = line;
      static_cast<void>(codec->write(hypothesis, -1.5));
      static_cast<void>(codec->best(hypothesis, -1.5));
    } catch (const Error& error) {
      Hypothesis failed;
      failed.line = line;
      failed.fault = error.what();
      static_cast<void>(codec->failed(failed));
    }
  }
  std::istringstream again(text);
  if ((bytes[0] & 0x80) != 0) {
    static_cast<void>(read_costs(again));
  } else {
    static_cast<void>(read_references(again, options.format));
  }
}

void lines(std::string_view bytes) {
  if (bytes.empty()) return;
  constexpr LineFormat formats[] = {LineFormat::plain, LineFormat::tsv, LineFormat::kaldi,
                                    LineFormat::moses, LineFormat::jsonl};
  const auto choice = static_cast<unsigned char>(bytes[0]);
  const auto format = formats[choice % 5];
  const bool columns = format == LineFormat::tsv || format == LineFormat::jsonl;
  const auto codec =
      make_line_codec({.format = format,
                       .context_column = columns && (choice & 0x80) != 0 ? "before" : "",
                       .json = format != LineFormat::jsonl && (choice & 0x40) != 0});
  std::istringstream in{std::string(bytes.substr(1))};
  std::string line;
  if (codec->has_header() && std::getline(in, line)) static_cast<void>(codec->header(line));
  LineScore score;
  score.log_probability = -2.5;
  score.tokens = 2;
  while (std::getline(in, line)) {
    FormattedLine parsed;
    try {
      parsed = codec->parse(line, "line 1");
      parsed.line = line;
      static_cast<void>(codec->write(parsed, score));
    } catch (const Error& error) {
      parsed.line = line;
      static_cast<void>(codec->failed(parsed, error.what()));
    }
  }
}

}  // namespace sluice::fuzz
