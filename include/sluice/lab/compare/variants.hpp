#pragma once
// What a comparison compares: every combination of the values that fields are given.

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// A field of config.json's "model" or "training" object, and the values it is to take.
struct Variation {
  std::string field;
  std::vector<nlohmann::json> values;
};

/// Parses 'unit=tanh,relu'. Commas within brackets, quotes and parentheses belong to the value:
/// 'layers=[(64,4)]*4,[(32,4)]*8'. Values are read as the field's type; a list may be given as one
/// word, or as "none". Throws UsageError for an unknown field (naming the nearest), one that cannot
/// be varied (why, and what to use), a value of the wrong type or no value.
Variation parse_variation(const std::string& text);
/// The same of values that are apart already.
Variation make_variation(const std::string& field, const std::vector<std::string>& values);

/// One of the combinations.
struct Variant {
  /// "unit=glu norm=layer".
  std::string name;
  /// The fields in the order they were varied, and their values.
  std::vector<std::pair<std::string, nlohmann::json>> fields;
  /// The same as sections of a configuration.
  nlohmann::json model = nlohmann::json::object();
  nlohmann::json training = nlohmann::json::object();
};

/// Every combination of the variations' values, the last varying fastest. Throws UsageError when a
/// field is given twice, and when there are fewer than two combinations or more than 1,000.
std::vector<Variant> all_variants(const std::vector<Variation>& variations);

/// The variant's settings: `base`, an object with the sections "model" and "training", with the
/// variant's fields over it. Fields of base["model"] that only other architectures have are left
/// out when the variant chooses the architecture. Throws UsageError as merge_settings does, and for
/// an unknown architecture.
nlohmann::json apply_variant(const nlohmann::json& base, const Variant& variant);

}  // namespace sluice
