// How probable texts are: whole, word by word, against each other.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "routes.hpp"
#include "score_job.hpp"
#include "sluice/inference/text_builder.hpp"
#include "sluice/text/detail/utf8.hpp"
#include "sluice/text/line_parts.hpp"

namespace sluice::server {
namespace {

constexpr std::size_t most_texts = 4096;

struct ScoreRequest {
  std::string model;
  std::optional<std::string> text;
  std::vector<std::string> lines;
  std::string context;
  bool words = false;
  std::int64_t alternatives = 0;
};

struct PerplexityRequest {
  std::string model;
  std::string text;
};

struct GivenText {
  std::string text;
  double score = 0;
};

struct RescoreRequest {
  std::string model;
  std::vector<GivenText> hypotheses;
  std::string context;
  double weight = 1;
  double word_bonus = 0;
  bool eos = true;
};

Value summary(const ScoredText& scored) {
  Value object;
  object.set("log_probability", scored.log_probability);
  object.set("tokens", static_cast<std::int64_t>(scored.tokens.size()));
  object.set("oov", scored.oov);
  // Of nothing there is none.
  object.set("perplexity", scored.tokens.empty() ? Value() : Value(scored.perplexity()));
  return object;
}

/// Writes words of a scored text with their tokens, and what was expected in the place of each.
class WordWriter {
 public:
  WordWriter(const Tokenizer& tokenizer, TokenId previous, bool alternatives)
      : tokenizer_(tokenizer), previous_(previous), alternatives_(alternatives) {}

  /// Words of a line whose tokens these are, with the one of its end where there is one more.
  void line(std::string_view line, std::span<const EngineToken> tokens, bool end) {
    std::vector<TokenId> ids;
    for (const EngineToken& token : tokens.first(tokens.size() - (end ? 1 : 0))) {
      ids.push_back(token.id);
    }
    const std::vector<TextSpan> places = token_spans(tokenizer_, line, ids);
    std::size_t next = 0, counted = 0;
    for (const TextSpan& word : word_spans(line)) {
      const std::size_t first = next;
      // Blanks before a word belong to it.
      while (next < ids.size() && places[next].begin < word.end) ++next;
      const std::int64_t begin =
          characters_ + count_characters(line.substr(counted, word.begin - counted));
      const std::string_view text = line.substr(word.begin, word.end - word.begin);
      characters_ = begin + count_characters(text);
      counted = word.end;
      add(std::string(text), begin, characters_, tokens.subspan(first, next - first));
    }
    characters_ += count_characters(line.substr(counted));
    if (next < tokens.size()) {
      add(end ? "\n" : std::string(line.substr(counted)), characters_, characters_ + (end ? 1 : 0),
          tokens.subspan(next));
    }
    characters_ += end ? 1 : 0;
  }

  Value::List take() { return std::move(words_); }

 private:
  void add(std::string text, std::int64_t begin, std::int64_t end,
           std::span<const EngineToken> tokens) {
    double sum = 0;
    bool oov = false;
    Value::List list;
    for (const EngineToken& token : tokens) {
      sum += token.log_probability;
      oov = oov || token.id == tokenizer_.unk();
      if (alternatives_) list.push_back(described(token));
      previous_ = token.id;
    }
    Value word;
    word.set("text", std::move(text));
    word.set("begin", begin);
    word.set("end", end);
    word.set("log_probability", sum);
    word.set("oov", oov);
    word.set("token_count", static_cast<std::int64_t>(tokens.size()));
    if (alternatives_) word.set("tokens", std::move(list));
    words_.push_back(std::move(word));
  }

  Value described(const EngineToken& token) const {
    Value::List expected;
    for (const auto& other : token.alternatives) {
      Value one;
      one.set("text", token_label(tokenizer_.text_after(previous_, other.id)));
      one.set("log_probability", fields_detail::shortest(other.log_probability));
      expected.push_back(std::move(one));
    }
    Value object;
    object.set("text", token_label(tokenizer_.text_after(previous_, token.id)));
    object.set("log_probability", fields_detail::shortest(token.log_probability));
    object.set("rank", token.rank);
    object.set("expected", std::move(expected));
    return object;
  }

  const Tokenizer& tokenizer_;
  TokenId previous_;
  bool alternatives_;
  std::int64_t characters_ = 0;
  Value::List words_;
};

/// Words of lines, of which all but the last (that, too, where `ended`) have an end.
Value::List words_of(const ServedModel& model, const ScoredText& scored, bool ended,
                     bool alternatives) {
  const Tokenizer& tokenizer = *model.tokenizer;
  WordWriter writer(tokenizer, scored.text->read[scored.text->begin - 1], alternatives);
  std::string_view text = scored.text->text;
  std::span<const EngineToken> tokens = scored.tokens;
  while (true) {
    const std::size_t end = text.find('\n');
    const bool last = end == std::string_view::npos;
    std::size_t count = tokens.size();
    if (!last) {
      const auto eos = std::find_if(tokens.begin(), tokens.end(), [&](const EngineToken& token) {
        return token.id == tokenizer.eos();
      });
      count = static_cast<std::size_t>(eos - tokens.begin()) + 1;
    }
    writer.line(text.substr(0, end), tokens.first(count), last ? ended : true);
    if (last) return writer.take();
    tokens = tokens.subspan(count);
    text.remove_prefix(end + 1);
  }
}

void check_count(std::size_t count, const char* field) {
  if (count == 0) throw RequestError(400, fmt::format("request: '{}' is empty", field), field);
  if (count > most_texts) {
    throw RequestError(400,
                       fmt::format("request: '{}' has {} texts, and may have {}; send several "
                                   "requests",
                                   field, count, most_texts),
                       field);
  }
}

}  // namespace

const RequestTable* score_request() {
  using Request = ScoreRequest;
  static const RequestTable table =
      RequestOf<Request>()
          .add("model", &Request::model, {.help = "Left out: the first served."})
          .add("text", &Request::text,
               {.help = "One text of any number of lines, to score as a whole."})
          .add("lines", &Request::lines, {.help = "Lines to score, each on its own."})
          .add("context", &Request::context, {.help = "What the text, or each line, continues."})
          .add("words", &Request::words, {.help = "Answer the words, too."})
          .add("alternatives", &Request::alternatives,
               {.range = between(0, static_cast<double>(EngineRequest::most_alternatives)),
                .help = "With words: answer their tokens, too, with this many most probable ones "
                        "in the place of each."});
  return &table;
}

void handle_score(const Call& call) {
  const auto request = read_request<ScoreRequest>(*score_request(), call.body);
  const auto model = call.model(request.model);
  if (request.text.has_value() == !request.lines.empty()) {
    throw RequestError(400, "request: either 'text' or 'lines', of one line at least, is needed",
                       "text");
  }
  if (request.alternatives > 0 && !request.words) {
    throw RequestError(400, "request: 'alternatives' go with words; set words, too",
                       "alternatives");
  }
  const bool lines = !request.text;
  std::vector<EngineText> texts;
  if (lines) {
    check_count(request.lines.size(), "lines");
    for (std::size_t i = 0; i < request.lines.size(); ++i) {
      const std::string field = fmt::format("lines[{}]", i);
      if (request.lines[i].find('\n') != std::string::npos) {
        throw RequestError(400, fmt::format("request: '{}' holds a line end; use text", field),
                           field);
      }
      texts.push_back(engine_text(call, *model, request.lines[i], request.context, true, field));
    }
  } else {
    texts.push_back(engine_text(call, *model, *request.text, request.context, false, "text"));
  }
  const auto describe = [lines, words = request.words, alternatives = request.alternatives > 0](
                            const ServedModel& served, const ScoredText& scored) {
    Value object = summary(scored);
    if (words) object.set("words", words_of(served, scored, lines, alternatives));
    return object;
  };
  std::make_shared<ScoreJob>(
      model, std::move(texts), request.alternatives,
      [describe, lines](const ServedModel& served, const std::vector<ScoredText>& scored) {
        if (!lines) return describe(served, scored.front());
        Value::List list;
        for (const ScoredText& line : scored) list.push_back(describe(served, line));
        Value object;
        object.set("lines", std::move(list));
        return object;
      })
      ->start(call);
}

const RequestTable* perplexity_request() {
  using Request = PerplexityRequest;
  static const RequestTable table =
      RequestOf<Request>()
          .add("model", &Request::model, {.help = "Left out: the first served."})
          .add("text", &Request::text, {.help = "A text of whole lines, read as one document."})
          .require("text");
  return &table;
}

void handle_perplexity(const Call& call) {
  const auto request = read_request<PerplexityRequest>(*perplexity_request(), call.body);
  const auto model = call.model(request.model);
  const bool open = !request.text.empty() && !request.text.ends_with('\n');
  std::vector<EngineText> texts = {engine_text(call, *model, request.text, "", open, "text")};
  if (texts.front().read.size() == 1) throw RequestError(400, "request: 'text' is empty", "text");
  std::make_shared<ScoreJob>(model, std::move(texts), 0,
                             [](const ServedModel&, const std::vector<ScoredText>& scored) {
                               const ScoredText& text = scored.front();
                               Value object = summary(text);
                               object.set("nll", -text.log_probability);
                               const std::int64_t characters = count_characters(text.text->text);
                               object.set("characters", characters);
                               object.set(
                                   "bits_per_character",
                                   -text.log_probability / std::log(2.0) /
                                       static_cast<double>(std::max<std::int64_t>(1, characters)));
                               return object;
                             })
      ->start(call);
}

const RequestTable* rescore_request() {
  using Request = RescoreRequest;
  static const FieldTable hypothesis = FieldsOf<GivenText>()
                                           .add("text", &GivenText::text)
                                           .add("score", &GivenText::score, {.optional = true});
  FieldCodec<std::vector<GivenText>> codec;
  codec.expected = "a list of texts, or of objects with text and score";
  codec.value = "LIST";
  codec.read = [](const Value& value, const FieldPlace& place) {
    std::vector<GivenText> list;
    for (const Value& one : fields_detail::read_list(value, place)) {
      GivenText& read = list.emplace_back();
      if (const auto* text = one.as<std::string>()) {
        read.text = *text;
      } else {
        read_fields({{hypothesis, read}}, one, place.element(list.size() - 1), Reading::complete);
      }
    }
    return list;
  };
  codec.write = [](const std::vector<GivenText>&) { return Value(); };
  codec.from_text = [](std::string_view text) { return Value(std::string(text)); };
  static const RequestTable table =
      RequestOf<Request>()
          .add("model", &Request::model, {.help = "Left out: the first served."})
          .add("hypotheses", &Request::hypotheses, codec, schema_of_list(Value(Value::Object{})),
               {.help = "Texts, or objects with a text and the score (a log-probability) that a "
                        "recogniser or translator gave it."})
          .add("context", &Request::context, {.help = "What the texts continue."})
          .add("weight", &Request::weight,
               {.range = between(0, 1e6), .help = "Of the model's log-probability in the total."})
          .add("word_bonus", &Request::word_bonus,
               {.range = between(-1e6, 1e6), .help = "Added for each word."})
          .add("eos", &Request::eos, {.help = "Whether the end of the line is scored."})
          .require("hypotheses");
  return &table;
}

void handle_rescore(const Call& call) {
  const auto request = read_request<RescoreRequest>(*rescore_request(), call.body);
  const auto model = call.model(request.model);
  check_count(request.hypotheses.size(), "hypotheses");
  std::vector<EngineText> texts;
  for (std::size_t i = 0; i < request.hypotheses.size(); ++i) {
    texts.push_back(engine_text(call, *model, request.hypotheses[i].text, request.context,
                                request.eos, fmt::format("hypotheses[{}]", i)));
  }
  std::make_shared<ScoreJob>(
      model, std::move(texts), 0,
      [request](const ServedModel&, const std::vector<ScoredText>& scored) {
        std::vector<double> totals;
        for (std::size_t i = 0; i < scored.size(); ++i) {
          const auto words = static_cast<double>(word_spans(scored[i].text->text).size());
          totals.push_back(request.hypotheses[i].score +
                           request.weight * scored[i].log_probability + request.word_bonus * words);
        }
        std::vector<std::size_t> order(scored.size());
        std::iota(order.begin(), order.end(), 0U);
        std::stable_sort(order.begin(), order.end(),
                         [&](std::size_t a, std::size_t b) { return totals[a] > totals[b]; });
        Value::List list;
        for (const std::size_t i : order) {
          Value one = summary(scored[i]);
          one.set("index", static_cast<std::int64_t>(i));
          one.set("text", scored[i].text->text);
          one.set("score", request.hypotheses[i].score);
          one.set("total", totals[i]);
          list.push_back(std::move(one));
        }
        Value object;
        object.set("best", scored[order.front()].text->text);
        object.set("hypotheses", std::move(list));
        return object;
      })
      ->start(call);
}

}  // namespace sluice::server
