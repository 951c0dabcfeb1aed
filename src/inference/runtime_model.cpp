#include "sluice/inference/runtime_model.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

/// Changes when what is laid out in the file does.
constexpr const char* version = "1";
constexpr const char* version_key = "sluice_runtime";
constexpr const char* precision_key = "precision";
constexpr const char* config_key = "config_xxh3_64";
constexpr const char* tokenizer_key = "tokenizer_xxh3_64";
/// Where each tensor that is a multiple of this begins.
constexpr std::size_t cache_line = 64;

std::string part_name(std::size_t index) { return fmt::format("{:05}", index); }

/// What divides the place of a part of this size: processors read whole vectors from there.
std::size_t alignment_of(std::size_t bytes) {
  return std::size_t{1} << std::countr_zero(bytes | cache_line);
}

/// Keeps what freezing prepares.
class RecordedParts final : public FrozenParts {
 public:
  bool kept() const override { return false; }
  Tensor next(const Shape&, DType, const std::function<Tensor()>& make) override {
    parts_.push_back(make());
    return parts_.back();
  }

  /// Those that begin at cache lines first, so that each begins at a multiple of what divides its
  /// size.
  TensorSources sources() const {
    std::vector<std::size_t> order(parts_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    const auto divisor = [&](std::size_t i) { return alignment_of(parts_[i].bytes()); };
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return divisor(a) > divisor(b); });
    TensorSources sources;
    for (const std::size_t i : order) sources.push_back(source_of(part_name(i), parts_[i]));
    return sources;
  }

 private:
  std::vector<Tensor> parts_;
};

/// Hands out what a file keeps.
class MappedParts final : public FrozenParts {
 public:
  explicit MappedParts(SafetensorsFile file) : file_(std::move(file)) {}

  bool kept() const override { return true; }
  Tensor next(const Shape& shape, DType dtype, const std::function<Tensor()>&) override {
    const std::string name = part_name(used_++);
    const TensorInfo* const found = file_.find(name);
    if (found == nullptr || !(found->shape == shape) || found->dtype != dtype) {
      fail(fmt::format("its part {} is {}, expected {} {}", name,
                       found == nullptr
                           ? "missing"
                           : fmt::format("{} {}", dtype_name(found->dtype), found->shape.str()),
                       dtype_name(dtype), shape.str()));
    }
    Tensor part = file_.mapped(name);
    if (reinterpret_cast<std::uintptr_t>(part.raw()) % alignment_of(part.bytes()) != 0) {
      fail(fmt::format("its part {} does not begin at a multiple of {} bytes", name,
                       alignment_of(part.bytes())));
    }
    return part;
  }
  void check_all_used() const {
    if (used_ != file_.tensors().size()) {
      fail(fmt::format("it has {} parts and the model {}", file_.tensors().size(), used_));
    }
  }

 private:
  [[noreturn]] void fail(const std::string& fault) const {
    throw Error(
        fmt::format("cannot use '{}': {}; quantize the model again", file_.path().string(), fault));
  }

  SafetensorsFile file_;
  std::size_t used_ = 0;
};

/// What tells a file's states apart without reading it.
std::string stamp_of(const fs::path& file, const std::string& checksum) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return {};
  return fmt::format("{} {} {}.{:09} {}.{:09} {}\n", status.st_size, status.st_ino,
                     status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec,
                     status.st_ctim.tv_nsec, checksum);
}

std::string kept_stamp(const fs::path& file) {
  return is_there(file) ? read_file(file, 4096) : std::string();
}

void check_data(const ModelDirectory& files, const SafetensorsFile& file, Verify verify) {
  const std::string stamp = stamp_of(file.path(), file.checksum());
  if (verify == Verify::when_changed && !stamp.empty() &&
      kept_stamp(files.runtime_stamp_file()) == stamp) {
    return;
  }
  file.check_data();
  for (const TensorInfo& tensor : file.tensors()) {
    if (all_finite(file.mapped(tensor.name))) continue;
    throw Error(fmt::format("cannot use '{}': tensor '{}' holds a number that is not finite",
                            file.path().string(), tensor.name));
  }
  try {
    write_file(files.runtime_stamp_file(), stamp);
  } catch (const Error&) {
    // Where nothing can be written, the next start checks again.
  }
}

std::string value_of(const SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? std::string() : found->second;
}

SafetensorsFile open_runtime(const ModelDirectory& files) {
  SafetensorsFile file(files.runtime_file());
  if (const std::string found = value_of(file, version_key); found != version) {
    throw Error(
        fmt::format("cannot use '{}': its version is '{}', this program reads {}; "
                    "quantize the model again",
                    file.path().string(), found, version));
  }
  return file;
}

WeightPrecision precision_of(const SafetensorsFile& file) {
  try {
    return parse_enum<WeightPrecision>(value_of(file, precision_key));
  } catch (const Error& error) {
    throw Error(fmt::format("cannot use '{}': {}", file.path().string(), error.what()));
  }
}

std::string tokenizer_checksum(const ModelDirectory& files, const Tokenizer& tokenizer) {
  return file_checksum(files.path() / tokenizer.file_name());
}

}  // namespace

void write_runtime_model(const fs::path& directory, const ModelDirectory& source,
                         WeightPrecision precision) {
  if (precision == WeightPrecision::f32) {
    throw UsageError("quantize: a model directory serves float32 as it is; name int8 or bf16");
  }
  const ModelDirectory files(directory);
  std::error_code none;
  if (is_there(files.weights_file()) || files.has_checkpoint()) {
    throw Error(fmt::format("'{}' holds a trained model; write the runtime model elsewhere",
                            directory.string()));
  }
  // A runtime model, or what is left of one that was not finished, is replaced; nothing else is.
  if (is_there(directory) && fs::is_directory(directory) && !fs::is_empty(directory) &&
      !files.has_runtime() && !files.holds_only_preparations()) {
    throw Error(fmt::format(
        "'{}' is not empty and holds no runtime model; write into an empty directory or a new one",
        directory.string()));
  }
  LoadedModel loaded = source.load();
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) {
    throw SystemError(
        fmt::format("cannot make the directory '{}': {}", directory.string(), error.message()),
        error.value());
  }
  const DirectoryLock lock = files.lock();
  RecordedParts parts;
  FrozenModel::freeze(std::move(loaded.model), {.precision = precision, .parts = &parts});
  loaded.tokenizer->save(directory);
  files.copy_config(source);
  PendingSafetensors pending =
      prepare_safetensors(files.runtime_file(), parts.sources(),
                          {{version_key, version},
                           {precision_key, name_of(precision)},
                           {config_key, file_checksum(files.config_file())},
                           {tokenizer_key, tokenizer_checksum(files, *loaded.tokenizer)}});
  pending.commit();
  write_file(files.runtime_stamp_file(), stamp_of(files.runtime_file(), pending.checksum()));
}

RuntimeInfo runtime_info(const ModelDirectory& files) {
  const SafetensorsFile file = open_runtime(files);
  RuntimeInfo info{precision_of(file), 0};
  for (const TensorInfo& tensor : file.tensors()) info.bytes += tensor.bytes();
  return info;
}

LoadedFrozenModel load_runtime_model(const ModelDirectory& files, Verify verify) {
  const ModelConfig config = files.model_config();
  SafetensorsFile file = open_runtime(files);
  const WeightPrecision precision = precision_of(file);
  LoadedFrozenModel loaded;
  loaded.tokenizer = files.tokenizer();
  if (value_of(file, config_key) != file_checksum(files.config_file()) ||
      value_of(file, tokenizer_key) != tokenizer_checksum(files, *loaded.tokenizer)) {
    throw Error(
        fmt::format("the files in '{}' do not belong together: {} was made with another "
                    "configuration or tokenizer; quantize the model again",
                    files.path().string(), file.path().filename().string()));
  }
  check_data(files, file, verify);
  MappedParts parts(std::move(file));
  loaded.model = FrozenModel::freeze(make_model(config, std::nullopt),
                                     {.precision = precision, .parts = &parts});
  parts.check_all_used();
  return loaded;
}

}  // namespace sluice
