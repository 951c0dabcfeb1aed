#pragma once
// Whole trainings as they were published: model, optimizer, schedule, regularisation.

#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/training/settings.hpp"

SLUICE_API_BEGIN
namespace sluice {

struct Recipe {
  std::string name;
  /// Where each part of it was published, and what of it could not be taken over.
  std::string source;
  /// As a file of settings.
  std::string text;
};

/// In the order of their names.
const std::vector<Recipe>& recipes();

/// The settings of a recipe, over which what a user gives wins. Throws UsageError for an unknown
/// name, naming the nearest.
Settings recipe_settings(std::string_view name);

}  // namespace sluice
SLUICE_API_END
