#include "sluice/training/detail/checkpoint.hpp"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

#include "checkpoint_document.hpp"
#include "run_states.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

constexpr std::int64_t checkpoint_version = 1;
constexpr const char* metadata_key = "training";
constexpr const char* version_name = "version";

}  // namespace

const FieldTable& train_state_fields() {
  // JSON has no infinities: they are left out, and reading keeps the default.
  const auto validated = [](double TrainState::*loss) {
    return [loss](const TrainState& state) { return std::isfinite(state.*loss); };
  };
  const FieldSpec natural = {.range = {.least = 0}};
  static const FieldTable table =
      FieldsOf<TrainState>()
          .add("step", &TrainState::step, natural)
          .add("validated_step", &TrainState::validated_step, {.range = {.least = -1}})
          .add("best_loss", &TrainState::best_loss)
          .only_if(validated(&TrainState::best_loss))
          .add("best_step", &TrainState::best_step, natural)
          .add("last_validation_loss", &TrainState::last_validation_loss)
          .only_if(validated(&TrainState::last_validation_loss))
          .add("without_improvement", &TrainState::without_improvement, natural)
          .add("decay", &TrainState::decay)
          .add("rate", &TrainState::rate, {.optional = true})
          .add("next_rate", &TrainState::next_rate, {.optional = true})
          .add("smoothed_loss", &TrainState::smoothed_loss)
          .add("smoothed_weight", &TrainState::smoothed_weight)
          .add("logged_loss", &TrainState::logged_loss)
          .add("logged_steps", &TrainState::logged_steps, natural)
          .add("logged_clipped", &TrainState::logged_clipped,
               {.range = {.least = 0}, .optional = true})
          .add("smoothed_clipped", &TrainState::smoothed_clipped, {.optional = true})
          .add("elapsed", &TrainState::elapsed)
          .add("weights", &TrainState::weights, {.optional = true})
          .add("configuration", &TrainState::configuration, {.optional = true});
  return table;
}

Metadata checkpoint_metadata(Value fields) {
  fields.set(version_name, checkpoint_version);
  return {{metadata_key, json_text(fields)}};
}

Value checkpoint_fields(const SafetensorsFile& file) {
  const std::string name = file.path().string();
  const auto found = file.metadata().find(metadata_key);
  if (found == file.metadata().end()) {
    throw Error(fmt::format("'{}' is not a training checkpoint: its metadata has no '{}'", name,
                            metadata_key));
  }
  const FieldPlace place{fmt::format("'{}' is no checkpoint that can be continued", name),
                         FieldPlace::Origin::file};
  Value fields = parse_json(found->second, place);
  const Value* stored = fields.find(version_name);
  const auto* version = stored != nullptr ? stored->as<std::int64_t>() : nullptr;
  if (version == nullptr) place.field(version_name).refuse("it is missing or no whole number");
  if (*version > checkpoint_version) {
    throw Error(
        fmt::format("'{}' has checkpoint version {}, and this program reads up to {}: use a newer "
                    "one",
                    name, *version, checkpoint_version));
  }
  return fields;
}

TrainState read_checkpoint_state(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  return train_state_of(path.string(), checkpoint_fields(file));
}

}  // namespace sluice
