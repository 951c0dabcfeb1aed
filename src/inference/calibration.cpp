#include "sluice/inference/calibration.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/base/file.hpp"

namespace sluice {
namespace {

const FieldTable& calibration_fields() {
  static const FieldTable table =
      FieldsOf<Calibration>()
          .add("temperature", &Calibration::temperature, {.range = above(0)})
          .add("lines", &Calibration::lines, {.range = at_least(0)});
  return table;
}

}  // namespace

void write_calibration(const ModelDirectory& files, const Calibration& calibration) {
  AtomicFile out(files.calibration_file());
  out.write(json_text(write_fields({{calibration_fields(), calibration}}), 2) + "\n");
  out.commit();
}

Calibration read_calibration(const ModelDirectory& files) {
  Calibration calibration;
  std::error_code none;
  if (!std::filesystem::exists(files.calibration_file(), none)) return calibration;
  const FieldPlace place{
      .where = fmt::format("cannot read '{}'", files.calibration_file().string()),
      .origin = FieldPlace::Origin::file};
  constexpr std::size_t most = 4096;
  read_fields({{calibration_fields(), calibration}},
              parse_json(read_file(files.calibration_file(), most), place), place,
              Reading::complete);
  return calibration;
}

}  // namespace sluice
