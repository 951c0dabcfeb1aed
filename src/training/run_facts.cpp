#include "run_facts.hpp"

#include <cstdint>
#include <vector>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/file.hpp"
#include "sluice/training/detail/data_fingerprint.hpp"

namespace sluice {

Fingerprint fingerprint_of(const LanguageModel& model, const TokenShards& train,
                           const TokenShards* valid, const TrainConfig& config,
                           const Fingerprint& more) {
  Fingerprint out = more;
  const Value fields = write_model(model.config());
  for (const auto& [name, value] : *fields.as<Value::Object>()) {
    if (name != "dropout") out["model " + name] = json_text(value);
  }
  out["batch"] = std::to_string(config.batch);
  out["context"] = std::to_string(config.context);
  out[accumulate_fact] = std::to_string(config.accumulate);
  if (config.sync_every > 0) out["sync_every"] = std::to_string(config.sync_every);
  if (config.communicate == Precision::bf16) out["communicate"] = name_of(config.communicate);
  out["carry"] = config.carry ? "on" : "off";
  out["optimizer"] = name_of(config.optimizer.kind);
  out["training data"] = data_fingerprint(train);
  out["validation data"] = valid != nullptr ? data_fingerprint(*valid) : "none";
  return out;
}

std::string parameters_checksum(const Parameters& parameters) {
  std::vector<std::uint64_t> sums;
  for (const Parameter& parameter : parameters) {
    const Tensor& value = parameter.variable.value();
    sums.push_back(checksum(value.raw(), value.bytes()));
  }
  return checksum_hex(sums.data(), sums.size() * sizeof sums[0]);
}

}  // namespace sluice
