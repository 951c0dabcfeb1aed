#pragma once
// Keeping a model frozen for a scope.

#include "sluice/models/language_model.hpp"

namespace sluice {

/// Freezes a model, and unfreezes it when the scope is left, by an exception too.
class Frozen {
 public:
  explicit Frozen(LanguageModel& model) : model_(model) { model_.freeze(); }
  ~Frozen() { model_.unfreeze(); }
  Frozen(const Frozen&) = delete;
  Frozen& operator=(const Frozen&) = delete;

 private:
  LanguageModel& model_;
};

}  // namespace sluice
