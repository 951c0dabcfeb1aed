#pragma once
// What has a state that a checkpoint holds.

#include <string>
#include <string_view>

#include "sluice/base/value.hpp"
#include "sluice/models/safetensors.hpp"

namespace sluice {

/// What a part of a run saves.
struct SavedState {
  /// Named within the part, each made when its turn comes to be written.
  TensorSources tensors;
  /// Beside those of the other parts, so that no two may have one name.
  Value::Object fields;
};

/// What a checkpoint holds of a part. Not to be kept: it reads from the file as it is asked.
struct StoredState {
  /// The file, for messages.
  std::string file;
  /// Of the part, named within it.
  TensorSources tensors;
  /// Of all parts.
  const Value& fields;
  /// What the names of the part's tensors begin with in the file, for messages.
  std::string prefix;

  /// Throws Error when there is no such tensor.
  const TensorSource& tensor(const std::string& name) const;
};

/// A part of a run that goes on after an interruption as it was before.
class Stateful {
 public:
  virtual ~Stateful() = default;
  /// What the names of its tensors begin with in the file, before a dot.
  virtual std::string_view name() const = 0;
  virtual SavedState save() const = 0;
  /// Throws Error when `stored` cannot be restored. Changes nothing.
  virtual void check(const StoredState& stored) const = 0;
  /// Called when every part's check() has passed.
  virtual void restore(const StoredState& stored) = 0;
};

}  // namespace sluice
