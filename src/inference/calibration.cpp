#include "sluice/inference/calibration.hpp"

#include <fmt/format.h>

#include <string>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/safetensors.hpp"

namespace sluice {
namespace {

const FieldTable& calibration_fields() {
  static const FieldTable table =
      FieldsOf<Calibration>()
          .add("temperature", &Calibration::temperature, {.range = above(0)})
          .add("lines", &Calibration::lines, {.range = at_least(0)});
  return table;
}

/// What the file says besides: which weights it is of, and the checksum of all before it.
struct Seal {
  std::string weights, checksum;
};

const FieldTable& seal_fields() {
  static const FieldTable table =
      FieldsOf<Seal>().add("weights", &Seal::weights).add("xxh3_64", &Seal::checksum);
  return table;
}

std::string checksum_of(const Calibration& calibration, const std::string& weights) {
  const std::string all = json_text(write_fields({{calibration_fields(), calibration}})) + weights;
  return checksum_hex(all.data(), all.size());
}

/// The checksum of the weights that the directory classifies with.
std::string weights_checksum(const ModelDirectory& files) {
  return SafetensorsFile(files.has_runtime() ? files.runtime_file() : files.weights_file())
      .checksum();
}

}  // namespace

void write_calibration(const ModelDirectory& files, const Calibration& calibration) {
  const std::string weights = weights_checksum(files);
  const Seal seal{weights, checksum_of(calibration, weights)};
  write_file(
      files.calibration_file(),
      json_text(write_fields({{calibration_fields(), calibration}, {seal_fields(), seal}}), 2) +
          "\n");
}

Calibration read_calibration(const ModelDirectory& files) {
  Calibration calibration;
  if (!is_there(files.calibration_file())) return calibration;
  const FieldPlace place{
      .where = fmt::format("cannot read '{}'", files.calibration_file().string()),
      .origin = FieldPlace::Origin::file};
  constexpr std::size_t most = 4096;
  Seal seal;
  read_fields({{calibration_fields(), calibration}, {seal_fields(), seal}},
              parse_json(read_file(files.calibration_file(), most), place), place,
              Reading::complete);
  if (seal.checksum != checksum_of(calibration, seal.weights)) {
    place.refuse("its checksum does not match, so it is damaged; calibrate again or remove it");
  }
  if (seal.weights != weights_checksum(files)) {
    place.refuse("it was found for other weights; calibrate again or remove it");
  }
  return calibration;
}

}  // namespace sluice
