#include "sluice/lab/compare/variants.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "json_values.hpp"
#include "sluice/base/error.hpp"
#include "sluice/models/architecture.hpp"

namespace sluice {
namespace {

constexpr std::size_t most_variants = 1000;

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The fields of a model that some architecture has.
std::vector<std::string> model_field_names() {
  std::vector<std::string> names;
  for (const Architecture* architecture : architectures()) {
    for (const std::string& name : request_fields(*architecture)) {
      if (!contains(names, name)) names.push_back(name);
    }
  }
  return names;
}

/// Why a field cannot be varied; "" when it can.
std::string_view refusal(std::string_view field) {
  if (field == "vocabulary") return "losses over different vocabularies do not compare";
  if (field == "seed") return "every variant is trained with the same seeds";
  if (field == "documents" || field == "document_mark") {
    return "all variants read one text, cut into documents once; train a model with each, and "
           "evaluate them";
  }
  for (const std::string_view budget : budget_fields) {
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

/// The field of that name that may be varied.
const Field& varied_field(const std::string& name) {
  const Field* field = train_fields().find(name);
  if (field == nullptr && contains(model_field_names(), name)) field = find_request_field(name);
  if (field == nullptr) {
    std::vector<std::string> known = model_field_names();
    for (const Field& each : train_fields().fields()) known.push_back(each.name);
    std::erase_if(known, [](const std::string& each) { return !refusal(each).empty(); });
    throw UsageError(
        fmt::format("there is no field {} to vary; {}", in_quotes(name), suggestion(name, known)));
  }
  if (const std::string_view why = refusal(name); !why.empty()) {
    throw UsageError(fmt::format("'{}' cannot be varied: {}", name, why));
  }
  return *field;
}

/// A value that some model has for the field: which one, the architecture says.
void check_value(const Field& field, const Value& value, const FieldPlace& place) {
  try {
    field.check(value, place);
  } catch (const UsageError&) {
    for (const Architecture* architecture : architectures()) {
      const Field* const other = architecture->fields().find(field.name);
      if (other == nullptr || other == &field) continue;
      try {
        other->check(value, place);
        return;
      } catch (const UsageError&) {  // nor this one
      }
    }
    throw;
  }
}

}  // namespace

Variation parse_variation(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw UsageError(
        fmt::format("expected a field and its values as FIELD=A,B,.., got {}", in_quotes(text)));
  }
  return make_variation(text.substr(0, equals), split(text.substr(equals + 1)));
}

Variation make_variation(const std::string& field, const std::vector<std::string>& values) {
  const Field& varied = varied_field(field);
  const FieldPlace place{.where = fmt::format("values of '{}'", field),
                         .origin = FieldPlace::Origin::flag};
  Variation variation{field, {}};
  for (const std::string& text : values) {
    if (text.empty()) place.refuse("expected a value, got ''");
    const Value value = varied.from_text(text);
    check_value(varied, value, place);
    if (std::find(variation.values.begin(), variation.values.end(), value) !=
        variation.values.end()) {
      place.refuse(fmt::format("{} is given twice", in_quotes(text)));
    }
    variation.values.push_back(value);
  }
  return variation;
}

const Value* Variant::find(std::string_view field) const {
  const auto found = std::find_if(fields.begin(), fields.end(),
                                  [&](const auto& each) { return each.first == field; });
  return found == fields.end() ? nullptr : &found->second;
}

std::vector<Variant> all_variants(const std::vector<Variation>& variations) {
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
      for (const Value& value : variation.values) {
        Variant next = variant;
        next.name += fmt::format("{}{}={}", next.name.empty() ? "" : " ", variation.field,
                                 value_text(value));
        next.fields.emplace_back(variation.field, value);
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

VariantSettings apply_variant(const VariantSettings& base, const Variant& variant) {
  const FieldPlace model_place{.where = "model config"};
  VariantSettings settings = base;
  std::vector<FieldChoice> model;
  for (const auto& [name, value] : variant.fields) {
    if (train_fields().find(name) != nullptr) {
      settings.training.set(name, value, {.where = "training config"});
    } else {
      model.push_back({name, value, model_place});
    }
  }
  const ModelRequest over = read_model_request(model, base.model.architecture());
  if (over.arch_given) settings.model.adapt(over.architecture());
  settings.model.overlay(over, model_place);
  return settings;
}

}  // namespace sluice
