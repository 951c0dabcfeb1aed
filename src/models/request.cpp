#include "sluice/models/request.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "sluice/base/error.hpp"
#include "sluice/models/architecture.hpp"

namespace sluice {
namespace {

/// What stands beside a model's own fields.
struct ModelChoice {
  std::string arch, preset;
};

bool among(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Whether a request for the architecture may give the field.
bool takes(const Architecture& architecture, const std::string& name) {
  if (name == "arch") return true;
  if (name == "preset") return !architecture.presets().empty();
  return common_model_fields().find(name) != nullptr || architecture.fields().find(name) != nullptr;
}

/// Throws unless the architecture has the field.
void check_takes(const Architecture& architecture, const std::string& name,
                 const FieldPlace& place) {
  if (takes(architecture, name)) return;
  for (const Architecture* other : architectures()) {
    if (!takes(*other, name)) continue;
    place.refuse(fmt::format("'{}' is not a choice of arch {} (it is of {}); its choices are {}",
                             name, architecture.name(), other->name(),
                             fmt::join(model_fields(architecture.name()), ", ")));
  }
  place.refuse("unknown field " + in_quotes(name) + "; " +
               suggestion(name, request_fields(architecture)));
}

/// The last choice of that name.
const FieldChoice* find_choice(const std::vector<FieldChoice>& choices, std::string_view name) {
  const FieldChoice* found = nullptr;
  for (const FieldChoice& choice : choices) {
    if (choice.name == name) found = &choice;
  }
  return found;
}

/// The fields that a preset sets besides the unit.
std::vector<std::string> set_by_preset(const Architecture& architecture) {
  std::vector<std::string> names = architecture.size_fields();
  names.insert(names.end(), {"softmax", "cutoffs"});
  return names;
}

}  // namespace

const FieldTable& model_choice_fields() {
  // Made anew for architectures that were registered since: names are checked when they are read.
  static const FieldTable table =
      FieldsOf<ModelChoice>()
          .add("arch", &ModelChoice::arch,
               text_codec<std::string>([](const std::string& name) { return name; },
                                       [](const std::string& name) {
                                         parse_name("arch", name, architecture_names());
                                         return name;
                                       },
                                       "a name in quotes", "NAME"),
               {.flag = "--arch", .group = "Model"})
          .add("preset", &ModelChoice::preset,
               text_codec<std::string>(
                   [](const std::string& name) { return name; },
                   [](const std::string& name) { return find_preset(name).name; },
                   "a name in quotes", "NAME"),
               {.flag = "--preset", .group = "Model"});
  return table;
}

bool ModelRequest::has(std::string_view name) const {
  if (name == "arch") return arch_given;
  return name == "preset" ? !preset.empty() : fields.has(name);
}

void ModelRequest::check() const {
  for (const FieldChoice& choice : waiting) check_takes(architecture(), choice.name, choice.place);
}

void ModelRequest::adapt(const Architecture& other) {
  if (&other == &architecture()) {
    waiting.clear();
    return;
  }
  const std::vector<std::string> kept = request_fields(other);
  ModelRequest changed;
  changed.fields.values = ModelConfig(other.name());
  if (among(kept, "preset")) changed.preset = preset;
  for (const std::string& name : fields.names) {
    if (!among(kept, name)) continue;
    const Value value = write_fields(field_parts(fields.values), {name});
    changed.fields.read(value, {.where = "model config"});
  }
  for (const FieldChoice& choice : waiting) {
    if (takes(other, choice.name)) changed.fields.set(choice.name, choice.value, choice.place);
  }
  *this = std::move(changed);
}

void ModelRequest::overlay(const ModelRequest& over, const FieldPlace& place) {
  const Architecture& wanted = over.architecture();
  if (&wanted != &architecture()) {
    if (!preset.empty() && over.preset.empty()) check_takes(wanted, "preset", place);
    for (const std::string& name : fields.names) {
      // What the preset sets is displaced anyway.
      const bool displaced = !over.preset.empty() && among(set_by_preset(wanted), name);
      if (!displaced) check_takes(wanted, name, place);
    }
  }
  if (over.arch_given || !over.preset.empty()) {
    for (const FieldChoice& choice : waiting) check_takes(wanted, choice.name, choice.place);
    adapt(wanted);
  }
  waiting.insert(waiting.end(), over.waiting.begin(), over.waiting.end());
  if (!over.preset.empty()) {
    for (const std::string& name : set_by_preset(wanted)) fields.remove(name);
    preset = over.preset;
  }
  if (over.fields.has(wanted.size_fields().front())) preset = over.preset;
  arch_given = arch_given || over.arch_given;
  fields.overlay(over.fields);
}

void ModelRequest::become(ModelConfig config) {
  preset.clear();
  arch_given = true;
  waiting.clear();
  fields.become(std::move(config));
}

Value ModelRequest::write() const {
  Value object = fields.write();
  if (arch_given) object.set("arch", architecture().name());
  if (!preset.empty()) object.set("preset", preset);
  return object;
}

ModelRequest read_model_request(const std::vector<FieldChoice>& choices,
                                const Architecture& otherwise) {
  ModelChoice choice;
  for (const char* name : {"arch", "preset"}) {
    if (const FieldChoice* const given = find_choice(choices, name)) {
      set_field({{model_choice_fields(), choice}}, name, given->value, given->place);
    }
  }
  ModelRequest request;
  request.preset = choice.preset;
  request.arch_given = !choice.arch.empty();
  const std::string arch = !choice.arch.empty()     ? choice.arch
                           : !choice.preset.empty() ? find_preset(choice.preset).config.arch()
                                                    : otherwise.name();
  request.fields.values = ModelConfig(arch);
  // Another part of the request may choose the architecture yet.
  const bool open = !request.arch_given && &otherwise == &default_architecture();
  for (const FieldChoice& given : choices) {
    const bool chooses = given.name == "arch" || given.name == "preset";
    if (!chooses && takes(request.architecture(), given.name)) {
      request.fields.set(given.name, given.value, given.place);
    } else if (const Field* const other = chooses ? nullptr : find_request_field(given.name);
               other != nullptr && open && choice.preset.empty()) {
      other->check(given.value, given.place.origin == FieldPlace::Origin::flag
                                    ? given.place
                                    : given.place.field(given.name));
      request.waiting.push_back(given);
    } else {
      check_takes(request.architecture(), given.name, given.place);
    }
  }
  return request;
}

ModelRequest read_model_request(const Value& object, const FieldPlace& place,
                                const Architecture& otherwise) {
  const auto* fields = object.as<Value::Object>();
  if (fields == nullptr) place.refuse("an object", object);
  std::vector<FieldChoice> choices;
  for (const auto& [name, value] : *fields) choices.push_back({name, value, place});
  // What stands for another field gives way to it.
  std::stable_partition(choices.begin(), choices.end(), [](const FieldChoice& choice) {
    const Field* const field = common_model_fields().find(choice.name);
    return field != nullptr && !field->stands_for.empty();
  });
  return read_model_request(choices, otherwise);
}

const Architecture& default_architecture() { return *architectures().front(); }

std::vector<std::string> request_fields(const Architecture& architecture) {
  std::vector<std::string> fields = model_fields(architecture.name());
  if (!architecture.presets().empty()) fields.emplace_back("preset");
  return fields;
}

const Field* find_request_field(std::string_view name, const Architecture* architecture) {
  if (architecture != nullptr) {
    if (const Field* const field = architecture->fields().find(name)) return field;
  }
  if (const Field* const field = model_choice_fields().find(name)) return field;
  if (const Field* const field = common_model_fields().find(name)) return field;
  for (const Architecture* other : architectures()) {
    if (const Field* const field = other->fields().find(name)) return field;
  }
  return nullptr;
}

}  // namespace sluice
