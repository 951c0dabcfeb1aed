#pragma once
// What is asked of a model, before the text is known and defaults fill in the rest.

#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/models/config.hpp"

SLUICE_API_BEGIN
namespace sluice {

class Architecture;

/// A field, what it is to be, and where that was said.
struct FieldChoice {
  std::string name;
  Value value;
  FieldPlace place;
};

/// Some fields of a model, or a named model ("preset") and fields that are to differ from it.
struct ModelRequest {
  /// One of presets(); empty: none.
  std::string preset = {};
  /// Of the architecture asked for; "arch" is not among the names.
  Given<ModelConfig> fields;
  /// Whether the architecture was given; it is the default one, or the preset's, else.
  bool arch_given = false;
  /// Fields that only other architectures have, as long as none was given.
  std::vector<FieldChoice> waiting = {};

  const Architecture& architecture() const { return fields.values.architecture(); }
  /// Whether a field was given: of ModelConfig, "arch" or "preset".
  bool has(std::string_view name) const;

  /// The fields of `over` win, and displace those that say the same in another way (a preset what
  /// it sets, layers a preset). `over` must have been read with this one's architecture as the one
  /// to take when it names none. Throws UsageError, as `place` says, when it chooses another
  /// architecture, which lacks a field given here.
  void overlay(const ModelRequest& over, const FieldPlace& place);
  /// Makes it a request for another architecture, without the fields that this one lacks.
  void adapt(const Architecture& other);
  /// Throws UsageError for a field that the architecture lacks: one that was not given, though
  /// others were that it would have to have.
  void check() const;
  /// All fields of a model become the given ones.
  void become(ModelConfig config);
  /// config.json's "model" object, of the fields that were given.
  Value write() const;
};

/// Reads choices, of which "arch" and "preset" are two. `otherwise` is the architecture when
/// neither is there. Throws as the choices' places say, naming the first field that is unknown, of
/// another architecture, of the wrong type or out of range.
ModelRequest read_model_request(const std::vector<FieldChoice>& choices,
                                const Architecture& otherwise);
/// The same of an object, a part of config.json or all of its "model" object.
ModelRequest read_model_request(const Value& object, const FieldPlace& place,
                                const Architecture& otherwise);

/// The default architecture.
const Architecture& default_architecture();

/// Names of what a request for this architecture may give: model_fields(), and "preset" where there
/// are any.
std::vector<std::string> request_fields(const Architecture& architecture);

/// The field of that name: of the given architecture, else of any that has one ("arch" and
/// "preset", too); null when there is none.
const Field* find_request_field(std::string_view name, const Architecture* architecture = nullptr);

/// "arch" and "preset": which model is asked for, before any other field means something.
const FieldTable& model_choice_fields();

}  // namespace sluice
SLUICE_API_END
