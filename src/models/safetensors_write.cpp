#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "safetensors_format.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/safetensors.hpp"

namespace sluice {
namespace {

using namespace safetensors;

/// The header with zeros for the data's checksum and its own.
nlohmann::ordered_json header_of(const std::filesystem::path& path, const TensorSources& tensors,
                                 const Metadata& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  header[metadata_key] = metadata;
  std::size_t size = 0;
  for (const auto& [info, make] : tensors) {
    if (info.name.empty() || header.contains(info.name)) {
      throw Error(
          fmt::format("cannot write '{}': the tensor name '{}' is empty, reserved or used "
                      "twice",
                      path.string(), info.name));
    }
    std::vector<std::int64_t> dims;
    dims.reserve(static_cast<std::size_t>(info.shape.rank()));
    for (int i = 0; i < info.shape.rank(); ++i) dims.push_back(info.shape[i]);
    header[info.name] = {{"dtype", dtype_code(info.dtype)},
                         {"shape", dims},
                         {"data_offsets", {size, size + info.bytes()}}};
    size += info.bytes();
  }
  header[metadata_key][data_checksum] = no_checksum;
  header[metadata_key][header_checksum] = no_checksum;
  return header;
}

/// As it stands in the file, padded.
std::string text_of(const std::filesystem::path& path, const nlohmann::ordered_json& header) {
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    throw Error(
        fmt::format("cannot write '{}': a name or the metadata is not UTF-8", path.string()));
  }
  const std::size_t unpadded = length_size + text.size();
  text.append((alignment - unpadded % alignment) % alignment, ' ');
  return text;
}

void check_made(const std::filesystem::path& path, const TensorInfo& info, const Tensor& tensor) {
  if (tensor.shape() == info.shape && tensor.dtype() == info.dtype) return;
  throw Error(fmt::format("cannot write '{}': tensor '{}' must be {} {}, got {} {}", path.string(),
                          info.name, dtype_name(info.dtype), info.shape.str(),
                          dtype_name(tensor.dtype()), tensor.shape().str()));
}

}  // namespace

TensorSource source_of(std::string name, Tensor tensor) {
  TensorInfo info{std::move(name), tensor.shape(), tensor.dtype()};
  return {std::move(info), [tensor = std::move(tensor)] { return tensor; }};
}

PendingSafetensors prepare_safetensors(const std::filesystem::path& path,
                                       const TensorSources& tensors, const Metadata& metadata) {
  nlohmann::ordered_json header = header_of(path, tensors, metadata);
  std::string text = text_of(path, header);
  const std::uint64_t length = text.size();
  auto file = std::make_unique<AtomicFile>(path);
  file->write(&length, sizeof length);
  file->write(text);
  RunningChecksum checksum;
  for (const TensorSource& source : tensors) {
    const Tensor tensor = source.make();
    check_made(path, source.info, tensor);
    checksum.add(tensor.raw(), tensor.bytes());
    file->write(tensor.raw(), tensor.bytes());
  }
  // The checksums have as many digits as the zeros that stood for them.
  header[metadata_key][data_checksum] = checksum.hex();
  text = text_of(path, header);
  text.replace(header_checksum_position(text), no_checksum.size(),
               checksum_hex(text.data(), text.size()));
  file->overwrite(length_size, text);
  return {std::move(file), checksum.hex()};
}

void write_safetensors(const std::filesystem::path& path, const TensorSources& tensors,
                       const Metadata& metadata) {
  prepare_safetensors(path, tensors, metadata).commit();
}

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const Metadata& metadata) {
  TensorSources sources;
  sources.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) sources.push_back(source_of(name, tensor));
  write_safetensors(path, sources, metadata);
}

}  // namespace sluice
