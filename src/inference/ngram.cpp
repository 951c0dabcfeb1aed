#include "sluice/inference/ngram.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <unordered_map>

#include "ngram_image.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"

namespace sluice {

std::uint32_t NgramModel::Image::child(std::uint32_t node, Word word) const {
  // All words are 1-grams.
  if (node == 0) return word + 1;
  const std::uint32_t* begin = last_word.data() + contexts[node].first_child;
  std::size_t count = contexts[node + 1].first_child - contexts[node].first_child;
  if (count == 0) return 0;
  // A search without branches that the CPU would guess wrong.
  while (count > 1) {
    const std::size_t half = count / 2;
    begin += begin[half - 1] < word ? half : 0;
    count -= half;
  }
  return *begin == word ? static_cast<std::uint32_t>(begin - last_word.data()) : 0;
}

NgramModel::NgramModel(std::unique_ptr<const Image> image) : image_(std::move(image)) {}
NgramModel::~NgramModel() = default;

int NgramModel::order() const { return static_cast<int>(image_->header.order); }

std::vector<std::int64_t> NgramModel::counts() const {
  const auto& counts = image_->header.counts;
  return {counts.begin(), counts.begin() + order()};
}

NgramModel::Word NgramModel::words() const { return static_cast<Word>(image_->header.words); }

std::string_view NgramModel::word(Word word) const {
  const std::uint64_t begin = image_->name_begin[word], end = image_->name_begin[word + 1];
  return image_->names.substr(begin, end - begin);
}

NgramModel::Word NgramModel::begin_word() const { return image_->header.begin; }
NgramModel::Word NgramModel::end_word() const { return image_->header.end; }
NgramModel::Word NgramModel::unknown_word() const { return image_->header.unknown; }

NgramModel::State NgramModel::null_state() const { return 0; }
NgramModel::State NgramModel::begin_state() const {
  return image_->entries[image_->header.begin + 1].next;
}

NgramModel::Step NgramModel::step(State state, Word word) const {
  float backoff = 0;
  for (;;) {
    if (const std::uint32_t node = image_->child(state, word)) {
      const Image::Entry& entry = image_->entries[node];
      return {entry.log10 + backoff, entry.next};
    }
    backoff += image_->contexts[state].backoff;
    state = image_->contexts[state].shorter;
  }
}

void NgramModel::distribution(State state, std::span<float> out) const {
  // From the shortest context to the longest: each knows better.
  std::vector<std::pair<State, float>> contexts;
  for (float backoff = 0;; state = image_->contexts[state].shorter) {
    contexts.emplace_back(state, backoff);
    if (state == 0) break;
    backoff += image_->contexts[state].backoff;
  }
  for (auto context = contexts.rbegin(); context != contexts.rend(); ++context) {
    const auto [node, backoff] = *context;
    const std::uint32_t begin = node == 0 ? 1 : image_->contexts[node].first_child;
    const std::uint32_t end = node == 0 ? words() + 1 : image_->contexts[node + 1].first_child;
    for (std::uint32_t child = begin; child < end; ++child) {
      out[image_->last_word[child]] = image_->entries[child].log10 + backoff;
    }
  }
}

namespace {

constexpr std::string_view ngram_begin = "<s>";
constexpr std::string_view ngram_end = "</s>";
constexpr std::string_view end_of_line = "<eos>";

struct NgramPart final : PredictorState::Part {
  NgramModel::State state = 0;
  std::unique_ptr<Part> clone() const override { return std::make_unique<NgramPart>(*this); }
};

class NgramPredictor final : public Predictor {
 public:
  NgramPredictor(std::shared_ptr<const NgramModel> model, std::vector<NgramModel::Word> word_of)
      : model_(std::move(model)), word_of_(std::move(word_of)) {}

  std::int64_t vocabulary() const override { return static_cast<std::int64_t>(word_of_.size()); }
  bool predicts_start() const override { return true; }

 private:
  using Part = NgramPart;
  /// A fresh state is that of no context: NgramModel::null_state().
  double read(Part& part, std::int32_t id) const {
    const NgramModel::Word word = word_of_[static_cast<std::size_t>(id)];
    const NgramModel::Step step = model_->step(part.state, word);
    part.state = word == model_->end_word() ? model_->begin_state() : step.next;
    return -std::numbers::ln10 * step.log10;
  }
  void do_feed(std::span<PredictorState* const> states, std::span<const Ids> ids) const override {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      auto& part = states[i]->as<Part>();
      for (const std::int32_t id : ids[i]) read(part, id);
    }
  }
  std::vector<double> do_nll(std::span<PredictorState* const> states, std::span<const Ids> ids,
                             Reading /*reading*/) const override {
    std::vector<double> nll;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      auto& part = states[i]->as<Part>();
      for (const std::int32_t id : ids[i]) nll.push_back(read(part, id));
    }
    return nll;
  }
  Tensor do_log_probabilities(std::span<PredictorState* const> states) const override {
    Tensor logs(Shape{static_cast<std::int64_t>(states.size()), vocabulary()});
    std::vector<float> of_word(model_->words());
    float* out = logs.data<float>();
    for (PredictorState* state : states) {
      model_->distribution(state->as<Part>().state, of_word);
      for (const NgramModel::Word word : word_of_) {
        *out++ = std::numbers::ln10_v<float> * of_word[word];
      }
    }
    return logs;
  }

  std::shared_ptr<const NgramModel> model_;
  std::vector<NgramModel::Word> word_of_;  // by token
};

}  // namespace

std::unique_ptr<Tokenizer> make_ngram_tokenizer(const NgramModel& model) {
  std::vector<std::string> tokens;
  for (NgramModel::Word word = 0; word < model.words(); ++word) {
    // Only a line's end is <eos>, whatever the file calls by that name.
    const bool bound = word == model.end_word() || word == model.unknown_word();
    if (word == model.begin_word() || (model.word(word) == end_of_line && !bound)) continue;
    tokens.emplace_back(word == model.end_word()       ? end_of_line
                        : word == model.unknown_word() ? "<unk>"
                                                       : model.word(word));
  }
  return make_word_tokenizer(std::move(tokens));
}

std::shared_ptr<const Predictor> make_predictor(std::shared_ptr<const NgramModel> model,
                                                const Tokenizer& tokenizer) {
  std::unordered_map<std::string_view, NgramModel::Word> words;
  for (NgramModel::Word word = 0; word < model->words(); ++word) words[model->word(word)] = word;
  words.erase(ngram_begin);
  words.erase(ngram_end);
  words.erase(end_of_line);
  words.erase(model->word(model->unknown_word()));

  const auto refuse = [](std::string_view word, const char* where) {
    return Error(
        fmt::format("the n-gram and the other model have different vocabularies: {} is "
                    "only in {}; only models of one vocabulary mix",
                    in_quotes(word), where));
  };
  std::vector<NgramModel::Word> word_of;
  for (std::int32_t id = 0; id < tokenizer.size(); ++id) {
    if (id == tokenizer.eos() || id == tokenizer.unk()) {
      word_of.push_back(id == tokenizer.eos() ? model->end_word() : model->unknown_word());
      continue;
    }
    const std::string token = tokenizer.token(id);
    const auto found = words.find(token);
    if (found == words.end()) throw refuse(token, "the other");
    word_of.push_back(found->second);
    words.erase(found);
  }
  if (!words.empty()) throw refuse(words.begin()->first, "the n-gram");
  return std::make_shared<NgramPredictor>(std::move(model), std::move(word_of));
}

}  // namespace sluice
