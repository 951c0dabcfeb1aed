#pragma once
// The tensors of files that other programs wrote.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "sluice/base/detail/readable_file.hpp"
#include "sluice/tensor/tensor.hpp"

namespace sluice {

enum class ForeignType : std::uint8_t { f16, bf16, f32, f64, other };

/// A tensor that is somewhere in a file. All has been checked against the file's size.
struct ForeignTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  /// In elements; of sizes of 1, anything.
  std::vector<std::int64_t> strides;
  ForeignType type = ForeignType::other;
  /// Of its first element in the file, in bytes.
  std::uint64_t offset = 0;
};

/// Bytes of an element; 1 for other types.
std::size_t type_size(ForeignType type);
/// Strides of elements that lie one after another.
std::vector<std::int64_t> dense_strides(const std::vector<std::int64_t>& shape);

/// A file of tensors: safetensors, or what torch.save() wrote, as a zip file or in the form before
/// it. Nothing that it contains is run. Reading is safe from any number of threads.
class ForeignFile {
 public:
  /// Reads what there is, not the tensors' elements. Throws Error naming the file and the fault: of
  /// another kind, cut short, packed, with places outside the file, or with opcodes that no state
  /// dict needs.
  explicit ForeignFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const std::vector<ForeignTensor>& tensors() const { return tensors_; }
  /// Null when there is none of that name.
  const ForeignTensor* find(const std::string& name) const;
  /// Settings that lie beside the weights: the texts and numbers of a checkpoint's "args" and
  /// "cfg".
  const std::map<std::string, std::string>& settings() const { return settings_; }
  /// Classes and functions that the file names and that were not made or called.
  const std::vector<std::string>& inert() const { return inert_; }

  /// As float32, in its shape, which has at most four dimensions. Throws Error for another type of
  /// elements, naming the tensor.
  Tensor read(const ForeignTensor& tensor) const;

 private:
  friend class ForeignReader;
  ReadableFile file_;
  std::vector<ForeignTensor> tensors_;
  std::map<std::string, std::size_t> places_;
  std::map<std::string, std::string> settings_;
  std::vector<std::string> inert_;
};

}  // namespace sluice
