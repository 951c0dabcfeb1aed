#pragma once
// Safetensors files (https://github.com/huggingface/safetensors), checked before allocation,
// written and read tensor by tensor.

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/file.hpp"
#include "sluice/tensor/tensor.hpp"

SLUICE_API_BEGIN
namespace sluice {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
using Metadata = std::map<std::string, std::string>;

/// What a file's header says of a tensor.
struct TensorInfo {
  std::string name;
  Shape shape;
  DType dtype = DType::f32;

  std::size_t bytes() const {
    return static_cast<std::size_t>(shape.elements()) * dtype_size(dtype);
  }
};

/// A tensor to be written: what it will be, and what makes it when its turn comes.
struct TensorSource {
  TensorInfo info;
  std::function<Tensor()> make;
};
using TensorSources = std::vector<TensorSource>;

/// A source of a tensor that is there already.
TensorSource source_of(std::string name, Tensor tensor);

/// A file that is written but not in its place yet: what was there before stays until commit(), and
/// for good without it. One thread at a time.
class PendingSafetensors {
 public:
  PendingSafetensors(std::unique_ptr<AtomicFile> file, std::string checksum)
      : file_(std::move(file)), checksum_(std::move(checksum)) {}
  /// Of its data, SafetensorsFile::checksum().
  const std::string& checksum() const { return checksum_; }
  /// Moves it into place. Throws Error when that cannot be done.
  void commit() { file_->commit(); }

 private:
  std::unique_ptr<AtomicFile> file_;
  std::string checksum_;
};

/// Writes `path` atomically: the tensors in the given order (dtypes F32, F64, BF16, I32, I8) and
/// `metadata` under "__metadata__", with two checksums (XXH3, 64 bits, hexadecimal) added to it:
/// "xxh3_64" of the data, and "header_xxh3_64" of the header with sixteen zeros in its own place.
/// The data begins at a multiple of 64 bytes, the header padded with blanks. Each tensor is made,
/// written and dropped before the next is made. Throws Error for a name that is empty, used twice
/// or "__metadata__", for a tensor that is not what its info says, and when the file cannot be
/// written.
void write_safetensors(const std::filesystem::path& path, const TensorSources& tensors,
                       const Metadata& metadata = {});
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const Metadata& metadata = {});
/// The same up to the moment when it replaces what was there.
PendingSafetensors prepare_safetensors(const std::filesystem::path& path,
                                       const TensorSources& tensors, const Metadata& metadata = {});

/// A file to be read tensor by tensor. Not to be shared by threads while it is made; reading is
/// safe from any number of them.
class SafetensorsFile {
 public:
  /// Reads the header alone. Validates its length, JSON, dtypes, shapes and offsets against the
  /// file's size, and its checksum when there is one. Throws Error naming the file and the fault
  /// (truncated, not safetensors, damaged header).
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;

  const std::filesystem::path& path() const;
  /// Without the checksums.
  const Metadata& metadata() const;
  /// Of the data, as the header says; empty when it does not.
  const std::string& checksum() const;
  /// In the order of their data.
  const std::vector<TensorInfo>& tensors() const;
  /// The tensor of that name; null when there is none.
  const TensorInfo* find(const std::string& name) const;
  /// Reads all data once, allocating nothing. Throws Error when its checksum, if there is one, does
  /// not match.
  void check_data() const;
  /// A copy of one tensor's elements. Throws Error when the file has no tensor of that name.
  Tensor read(const std::string& name) const;
  /// One tensor's elements where the file is mapped, which stays mapped as long as they are used.
  /// Throws as read() does.
  Tensor mapped(const std::string& name) const;
  /// The tensors whose names begin with `prefix`, under the rest of their names, to be read when
  /// they are made. The file must outlive them.
  TensorSources sources(std::string_view prefix) const;

 private:
  struct Contents;
  std::shared_ptr<const Contents> contents_;
};

/// Reads every tensor, in the order of their data, and the metadata without the checksums, checking
/// header and data as SafetensorsFile does before anything is allocated.
NamedTensors read_safetensors(const std::filesystem::path& path, Metadata* metadata = nullptr);

}  // namespace sluice
SLUICE_API_END
