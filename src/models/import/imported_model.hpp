#pragma once
// What a kind of checkpoint means in our terms.

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "foreign_file.hpp"
#include "sluice/models/config.hpp"
#include "sluice/models/import.hpp"

namespace sluice {

/// A model's configuration, and what makes each of its tensors, by our names and in our files'
/// layout.
struct ImportedModel {
  ModelConfig config;
  std::map<std::string, std::function<Tensor()>> tensors;
};

/// The tensors of a file by name, each of which must be there, and which of them were asked for.
class ForeignTensors {
 public:
  explicit ForeignTensors(const ForeignFile& file) : file_(file) {}

  const ForeignFile& file() const { return file_; }
  /// Throws Error when there is none of that name.
  const ForeignTensor& need(const std::string& name);
  /// Null when there is none of that name.
  const ForeignTensor* find(const std::string& name);
  /// What reads a tensor, as `shape` when that is given. The file must outlive it.
  std::function<Tensor()> as_it_is(const std::string& name, Shape shape = {});
  /// Names that were neither needed nor found.
  std::vector<std::string> unused() const;

 private:
  const ForeignFile& file_;
  std::map<std::string, bool> asked_;
};

/// Throws Error: "cannot import 'FILE': FAULT".
[[noreturn]] void refuse_import(const ForeignFile& file, const std::string& fault);

/// A kind of checkpoint that another program writes. Architectures may share one, when only its
/// tensors say which of them it is.
struct ForeignKind {
  /// ImportReport::kind.
  std::string_view name;
  /// Whether a file is of this kind, and what it means.
  bool (*recognise)(const ForeignFile& file);
  ImportedModel (*read)(ForeignTensors& tensors, const ImportOptions& options);
};

/// Sets softmax and cutoffs of `model.config` and its tensors from an adaptive softmax: `head`,
/// whose last rows are the clusters, and tails named by `tail`(i, part), part 0 the projection, 1
/// the output.
void take_adaptive_softmax(ForeignTensors& tensors, ImportedModel& model, const std::string& head,
                           const std::function<std::string(std::size_t, int)>& tail);

}  // namespace sluice
