#pragma once
// What a comparison compares: every combination of the values that fields are given.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/models/request.hpp"
#include "sluice/training/config.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A field of a model or of its training, and the values it is to take.
struct Variation {
  std::string field;
  std::vector<Value> values;
};

/// Parses 'unit=tanh,relu'. Commas within brackets, quotes and parentheses belong to the value:
/// 'layers=[(64,4)]*4,[(32,4)]*8'. Values are read as the field's type; a list may be given as one
/// word, or as "none". Throws UsageError for an unknown field (naming the nearest), one that cannot
/// be varied (why, and what to use), a value of the wrong type or out of range, or no value.
Variation parse_variation(const std::string& text);
/// The same of values that are apart already.
Variation make_variation(const std::string& field, const std::vector<std::string>& values);

/// One of the combinations.
struct Variant {
  /// "unit=glu norm=layer".
  std::string name;
  /// The fields in the order they were varied, and their values.
  std::vector<std::pair<std::string, Value>> fields;

  /// The value of a field; null when it is not varied.
  const Value* find(std::string_view field) const;
};

/// Every combination of the variations' values, the last varying fastest. Throws UsageError when a
/// field is given twice, and when there are fewer than two combinations or more than 1,000.
std::vector<Variant> all_variants(const std::vector<Variation>& variations);

/// What is asked of a model and of its training.
struct VariantSettings {
  ModelRequest model;
  Given<TrainConfig> training;
};

/// The variant's settings: `base` with the variant's fields over it. Fields of the model that only
/// other architectures have are left out when the variant chooses the architecture. Throws
/// UsageError for a field that the model's architecture lacks or does not take the value of.
VariantSettings apply_variant(const VariantSettings& base, const Variant& variant);

}  // namespace sluice
SLUICE_API_END
