#include "checkpointer.hpp"

#include <fmt/format.h>

#include "checkpoint_document.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

constexpr const char* fingerprint_field = "fingerprint";

std::string prefix_of(const Stateful& part) { return fmt::format("{}.", part.name()); }

/// `stored` as facts by name; values that are no text are facts that nothing equals.
Fingerprint facts_of(const Value& stored) {
  Fingerprint facts;
  const Value* found = stored.find(fingerprint_field);
  const auto* object = found != nullptr ? found->as<Value::Object>() : nullptr;
  if (object == nullptr) return facts;
  for (const auto& [name, value] : *object) {
    const auto* text = value.as<std::string>();
    facts[name] = text != nullptr ? *text : shown(value);
  }
  return facts;
}

}  // namespace

const TensorSource& StoredState::tensor(const std::string& name) const {
  for (const TensorSource& source : tensors) {
    if (source.info.name == name) return source;
  }
  throw Error(fmt::format("cannot resume from '{}': tensor '{}{}' is missing", file, prefix, name));
}

void Checkpointer::save() const {
  TensorSources tensors;
  Value fields = Value::Object{};
  for (const Stateful* part : parts_) {
    SavedState state = part->save();
    for (TensorSource& source : state.tensors) {
      source.info.name.insert(0, prefix_of(*part));
      tensors.push_back(std::move(source));
    }
    for (auto& [name, value] : state.fields) fields.set(std::move(name), std::move(value));
  }
  Value facts = Value::Object{};
  for (const auto& [name, value] : fingerprint_) facts.set(name, value);
  fields.set(fingerprint_field, std::move(facts));
  write_safetensors(file_, tensors, checkpoint_metadata(std::move(fields)));
}

void Checkpointer::load() const {
  const SafetensorsFile file(file_);
  file.check_data();
  const Value fields = checkpoint_fields(file);
  check_fingerprint(fields);
  const auto stored = [&](const Stateful& part) {
    return StoredState{.file = file_.string(),
                       .tensors = file.sources(prefix_of(part)),
                       .fields = fields,
                       .prefix = prefix_of(part)};
  };
  for (const Stateful* part : parts_) part->check(stored(*part));
  for (Stateful* part : parts_) part->restore(stored(*part));
}

void Checkpointer::check_fingerprint(const Value& stored) const {
  const auto fail = [&](const std::string& name, std::string_view there, std::string_view here) {
    throw Error(
        fmt::format("cannot resume from '{}': its {} is {}, that of this run is {}; use the "
                    "same {} or train into another directory",
                    file_.string(), name, there, here, name));
  };
  Fingerprint found = facts_of(stored);
  if (fingerprint_.contains(accumulate_fact)) found.try_emplace(accumulate_fact, "1");
  found.erase(processes_fact);
  for (const auto& [name, value] : fingerprint_) {
    const auto it = found.find(name);
    if (it == found.end()) fail(name, "not recorded", value);
    if (it->second != value) fail(name, it->second, value);
  }
  for (const auto& [name, value] : found) {
    if (!fingerprint_.contains(name)) fail(name, value, "not known");
  }
}

}  // namespace sluice
