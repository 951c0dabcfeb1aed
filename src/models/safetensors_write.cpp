#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>

#include "safetensors_format.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/text/detail/utf8.hpp"

namespace sluice {
namespace {

using namespace safetensors;

/// What stands in a header, which has nothing but UTF-8.
const std::string& checked(const std::filesystem::path& path, const std::string& text) {
  if (valid_text_length(text) == text.size()) return text;
  throw Error(fmt::format("cannot write '{}': a name or the metadata is not UTF-8", path.string()));
}

/// The header as it stands in the file, padded, with the data's checksum and zeros for its own.
std::string header_of(const std::filesystem::path& path, const TensorSources& tensors,
                      const Metadata& metadata, const std::string& sum) {
  Value::Object notes;
  for (const auto& [key, text] : metadata) {
    if (key == data_checksum || key == header_checksum) continue;
    notes.emplace_back(checked(path, key), checked(path, text));
  }
  notes.emplace_back(data_checksum, sum);
  notes.emplace_back(header_checksum, std::string(no_checksum));
  Value::Object header;
  header.emplace_back(metadata_key, std::move(notes));
  std::unordered_set<std::string_view> names = {metadata_key};
  std::size_t size = 0;
  for (const auto& [info, make] : tensors) {
    if (info.name.empty() || !names.insert(info.name).second) {
      throw Error(
          fmt::format("cannot write '{}': the tensor name '{}' is empty, reserved or used "
                      "twice",
                      path.string(), info.name));
    }
    Value::List dims;
    dims.reserve(static_cast<std::size_t>(info.shape.rank()));
    for (int i = 0; i < info.shape.rank(); ++i) dims.emplace_back(info.shape[i]);
    header.emplace_back(checked(path, info.name),
                        Value::Object{{"dtype", std::string(dtype_code(info.dtype))},
                                      {"shape", std::move(dims)},
                                      {"data_offsets", Value::List{size, size + info.bytes()}}});
    size += info.bytes();
  }
  std::string text = json_text(std::move(header), -1, JsonNames::as_given);
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
  std::string text = header_of(path, tensors, metadata, std::string(no_checksum));
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
  text = header_of(path, tensors, metadata, checksum.hex());
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
