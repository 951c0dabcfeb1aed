#include "sluice/lab/compare/variants.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "json_values.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/models/architecture.hpp"
#include "sluice/training/config.hpp"
#include "sluice/training/defaults.hpp"
#include "sluice/training/settings.hpp"

namespace sluice {
namespace {

using nlohmann::json;

constexpr std::size_t most_variants = 1000;

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The fields of "model" that some architecture has.
std::vector<std::string> model_field_names() {
  std::vector<std::string> names;
  for (const Architecture* architecture : architectures()) {
    for (const std::string& name : request_fields(*architecture)) {
      if (!contains(names, name)) names.push_back(name);
    }
  }
  return names;
}

/// `model` without the fields that only other architectures than `arch` have.
json fitting(const json& model, const std::string& arch) {
  const std::vector<std::string> any = model_field_names();
  const std::vector<std::string> own = request_fields(find_architecture(arch));
  json kept = json::object();
  for (const auto& item : model.items()) {
    if (contains(own, item.key()) || !contains(any, item.key())) kept[item.key()] = item.value();
  }
  return kept;
}

/// Why a field cannot be varied; "" when it can.
std::string_view refusal(std::string_view field) {
  if (field == "vocabulary") return "losses over different vocabularies do not compare";
  if (field == "seed") return "every variant is trained with the same seeds";
  for (const std::string_view budget : {"tokens", "steps", "epochs", "minutes"}) {
    if (field == budget) return "every variant gets the same budget";
  }
  return "";
}

/// Cuts at commas that no bracket, parenthesis or quote encloses.
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts(1);
  int depth = 0;
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (c == '[' || c == '(') ++depth;
    if (c == ']' || c == ')') --depth;
    if (c == ',' && depth <= 0 && !quoted) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

/// The field's value in a configuration of its kind, for its type; null when there is none.
json example(const std::string& field, bool training) {
  if (training) return json(TrainConfig{}).value(field, json());
  for (const Architecture* architecture : architectures()) {
    const json model = ModelConfig(architecture->name());
    if (model.contains(field)) return model[field];
  }
  return {};
}

json parse_value(const std::string& field, const std::string& text, const json& like) {
  const auto refuse = [&](const char* expected) {
    throw UsageError(fmt::format("values of '{}': expected {}, got '{}'", field, expected, text));
  };
  if (text.empty()) refuse("a value");
  if (like.is_string()) return text;
  json value = json::parse(text, nullptr, false);
  if (value.is_discarded()) value = text;
  if (like.is_number_integer() && value.is_number_float()) {
    const auto number = value.get<double>();  // 1e4
    if (std::abs(number) < 1e15 && number == std::floor(number)) {
      value = static_cast<std::int64_t>(number);
    }
  }
  if (like.is_number_integer() && !value.is_number_integer()) refuse("a whole number");
  if (like.is_number() && !value.is_number()) refuse("a number");
  if (like.is_boolean() && !value.is_boolean()) refuse("true or false");
  if (like.is_array() && !value.is_array())
    value = value == "none" ? json::array() : json::array({value});
  return value;
}

}  // namespace

Variation parse_variation(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw UsageError(
        fmt::format("expected a field and its values as FIELD=A,B,.., got '{}'", text));
  }
  return make_variation(text.substr(0, equals), split(text.substr(equals + 1)));
}

Variation make_variation(const std::string& field, const std::vector<std::string>& values) {
  const json training_fields = TrainConfig{};
  const std::vector<std::string> model_names = model_field_names();
  const bool training = training_fields.contains(field);
  if (!training && !contains(model_names, field)) {
    std::vector<std::string> known = model_names;
    for (const auto& item : training_fields.items()) known.push_back(item.key());
    std::erase_if(known, [](const std::string& name) { return !refusal(name).empty(); });
    throw UsageError(
        fmt::format("there is no field '{}' to vary; {}", field, suggestion(field, known)));
  }
  if (const std::string_view why = refusal(field); !why.empty()) {
    throw UsageError(fmt::format("'{}' cannot be varied: {}", field, why));
  }
  Variation variation{field, {}};
  const json like = example(field, training);
  for (const std::string& part : values) {
    const json value = parse_value(field, part, like);
    if (std::find(variation.values.begin(), variation.values.end(), value) !=
        variation.values.end()) {
      throw UsageError(fmt::format("values of '{}': '{}' is given twice", field, part));
    }
    variation.values.push_back(value);
  }
  return variation;
}

std::vector<Variant> all_variants(const std::vector<Variation>& variations) {
  const json training_fields = TrainConfig{};
  std::vector<Variant> variants(1);
  for (std::size_t i = 0; i < variations.size(); ++i) {
    const Variation& variation = variations[i];
    for (std::size_t j = 0; j < i; ++j) {
      if (variations[j].field == variation.field) {
        throw UsageError(
            fmt::format("'{}' is varied twice; list all its values at once", variation.field));
      }
    }
    std::vector<Variant> longer;
    for (const Variant& variant : variants) {
      for (const json& value : variation.values) {
        Variant next = variant;
        next.name += fmt::format("{}{}={}", next.name.empty() ? "" : " ", variation.field,
                                 value_text(value));
        next.fields.emplace_back(variation.field, value);
        (training_fields.contains(variation.field) ? next.training : next.model)[variation.field] =
            value;
        longer.push_back(std::move(next));
      }
    }
    variants = std::move(longer);
    if (variants.size() > most_variants) {
      throw UsageError(
          fmt::format("the varied fields have more than {} combinations", most_variants));
    }
  }
  if (variants.size() < 2) {
    throw UsageError("a comparison needs at least two variants: vary a field, as in unit=glu,tanh");
  }
  return variants;
}

json apply_variant(const json& base, const Variant& variant) {
  json kept = {{"model", base.value("model", json::object())},
               {"training", base.value("training", json::object())}};
  if (variant.model.contains("arch")) {
    kept["model"] = fitting(kept["model"], variant.model["arch"].get<std::string>());
  }
  const Settings merged =
      merge_settings(kept, {{"model", variant.model}, {"training", variant.training}});
  return {{"model", merged.model}, {"training", merged.training}};
}

}  // namespace sluice
