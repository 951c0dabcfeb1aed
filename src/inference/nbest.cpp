// The forms of lists of hypotheses.
#include <fmt/format.h>

#include <algorithm>
#include <istream>

#include "nbest_fields.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/inference/rescore.hpp"

namespace sluice {
namespace {

double number_of(std::string_view text, const std::string& what, const std::string& where) {
  if (const auto number = real_number(text)) return *number;
  throw Error(fmt::format("{}: expected a number as {}, got {}", where, what, in_quotes(text)));
}

/// "id ||| text ||| features [||| total [||| ...]]".
class MosesList final : public NbestCodec {
 public:
  explicit MosesList(const NbestOptions& options) : options_(options) {}

  Hypothesis parse(const std::string& line, const std::string& where) const override {
    const std::vector<std::string_view> fields = moses_fields(line, where);
    Hypothesis hypothesis;
    hypothesis.list = fields[0];
    hypothesis.text = fields[1];
    if (!options_.given.empty()) {
      hypothesis.given = given_by(fields[2], where);
    } else if (fields.size() > 3) {
      hypothesis.given = number_of(fields[3], "the total", where);
    }
    return hypothesis;
  }

  std::string write(const Hypothesis& hypothesis, std::optional<double> total) const override {
    std::string line =
        with_moses_feature(hypothesis.line, options_.feature, hypothesis.log_probability);
    return total ? with_moses_total(line, *total) : line;
  }
  std::string failed(const Hypothesis& hypothesis) const override { return hypothesis.line; }

 private:
  /// "A= 1 2 B= 3": the sum of values, each times what is given for it.
  double given_by(std::string_view features, const std::string& where) const {
    std::map<std::string, std::vector<double>> values;
    std::vector<double>* named = nullptr;
    for (const std::string_view part : split_fields(features, " ")) {
      if (part.empty()) continue;
      if (part.ends_with('=')) {
        named = &values[std::string(part.substr(0, part.size() - 1))];
      } else if (named == nullptr) {
        throw Error(fmt::format("{}: expected features like 'LM0= -3.5', got {}", where,
                                in_quotes(features)));
      } else {
        named->push_back(number_of(part, "a feature", where));
      }
    }
    double sum = 0;
    for (const auto& [name, weights] : options_.given) {
      const std::vector<double>& own = values[name];
      if (own.size() != weights.size()) {
        throw Error(fmt::format("{}: {} weights are given for the feature {}, which has {} values",
                                where, weights.size(), in_quotes(name), own.size()));
      }
      for (std::size_t i = 0; i < own.size(); ++i) sum += weights[i] * own[i];
    }
    return sum;
  }

  NbestOptions options_;
};

/// "utt-1 words".
class KaldiList final : public NbestCodec {
 public:
  explicit KaldiList(const NbestOptions& options) : costs_(options.costs) {}

  Hypothesis parse(const std::string& line, const std::string& where) const override {
    const KaldiFields fields = kaldi_fields(line, where);
    Hypothesis hypothesis;
    hypothesis.name = fields.id;
    hypothesis.text = fields.rest;
    const std::size_t dash = fields.id.rfind('-');
    if (dash == std::string_view::npos || dash == 0 || !whole_number(fields.id.substr(dash + 1))) {
      throw Error(
          fmt::format("{}: expected a name like 'utt-1', an utterance's and a number, got "
                      "{}",
                      where, in_quotes(fields.id)));
    }
    hypothesis.list = fields.id.substr(0, dash);
    if (!costs_.empty()) {
      const auto cost = costs_.find(hypothesis.name);
      if (cost == costs_.end()) {
        throw Error(fmt::format("{}: there is no cost of {} among those given", where,
                                in_quotes(hypothesis.name)));
      }
      hypothesis.given = -cost->second;
    }
    return hypothesis;
  }
  std::string write(const Hypothesis& hypothesis, std::optional<double> total) const override {
    return fmt::format("{} {:.4f}", hypothesis.name, -total.value_or(hypothesis.log_probability));
  }
  std::string best(const Hypothesis& hypothesis, double /*total*/) const override {
    return hypothesis.list + (hypothesis.text.empty() ? "" : " ") + hypothesis.text;
  }
  std::string failed(const Hypothesis& hypothesis) const override {
    return (hypothesis.name.empty() ? "?" : hypothesis.name) + " nan";
  }

 private:
  std::map<std::string, double> costs_;
};

/// {"id": ..., "text": ..., "score": ...}.
class JsonList final : public NbestCodec {
 public:
  Hypothesis parse(const std::string& line, const std::string& where) const override {
    const FieldPlace place{.where = where, .origin = FieldPlace::Origin::file};
    const Value value = parse_json(line, place, json_line);
    const auto needed = [&](const char* name) -> const Value& {
      const Value* const field = value.find(name);
      if (field == nullptr) {
        throw Error(
            fmt::format("{}: expected an object with the fields 'id', 'text' and perhaps "
                        "'score', there is no '{}'",
                        where, name));
      }
      return *field;
    };
    Hypothesis hypothesis;
    const Value& id = needed("id");
    hypothesis.list = id.as<std::string>() != nullptr ? *id.as<std::string>() : json_text(id);
    const Value& text = needed("text");
    if (text.as<std::string>() == nullptr) place.field("text").refuse("a text", text);
    hypothesis.text = *text.as<std::string>();
    if (const Value* const score = value.find("score")) {
      if (const auto* const real = score->as<double>()) {
        hypothesis.given = *real;
      } else if (const auto* const whole = score->as<std::int64_t>()) {
        hypothesis.given = static_cast<double>(*whole);
      } else {
        place.field("score").refuse("a number", *score);
      }
    }
    for (const char* const own : {"log_probability", "total"}) {
      if (value.find(own) != nullptr) {
        throw Error(fmt::format("{}: the object has a field '{}' already; rename it", where, own));
      }
    }
    return hypothesis;
  }
  std::string write(const Hypothesis& hypothesis, std::optional<double> total) const override {
    Value::Object fields = {{"log_probability", hypothesis.log_probability}};
    if (total) fields.emplace_back("total", *total);
    return with_json_fields(hypothesis.line, json_text(std::move(fields), -1, JsonNames::as_given));
  }
  std::string failed(const Hypothesis& hypothesis) const override {
    return json_text(Value::Object{{"error", hypothesis.fault}});
  }
};

}  // namespace

std::unique_ptr<NbestCodec> make_nbest_codec(const NbestOptions& options) {
  switch (options.format) {
    case LineFormat::moses:
      return std::make_unique<MosesList>(options);
    case LineFormat::kaldi:
      return std::make_unique<KaldiList>(options);
    case LineFormat::jsonl:
      return std::make_unique<JsonList>();
    case LineFormat::plain:
    case LineFormat::tsv:
      break;
  }
  throw UsageError(fmt::format("lists of hypotheses come as moses, kaldi or jsonl, got {}",
                               name_of(options.format)));
}

std::map<std::string, double> read_costs(std::istream& in) {
  std::map<std::string, double> costs;
  std::int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    const std::string where = fmt::format("line {} of the costs", ++number);
    const KaldiFields fields = kaldi_fields(line, where);
    const double cost = number_of(fields.rest, "the cost", where);
    if (!costs.emplace(fields.id, cost).second) {
      throw Error(fmt::format("{}: {} is there twice", where, in_quotes(fields.id)));
    }
  }
  return costs;
}

}  // namespace sluice
