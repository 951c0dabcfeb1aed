#include "imported_model.hpp"

#include <fmt/format.h>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"

namespace sluice {

void refuse_import(const ForeignFile& file, const std::string& fault) {
  throw Error(fmt::format("cannot import '{}': {}", file.path().string(), fault));
}

const ForeignTensor* ForeignTensors::find(const std::string& name) {
  const ForeignTensor* const found = file_.find(name);
  if (found != nullptr) asked_[name] = true;
  return found;
}

const ForeignTensor& ForeignTensors::need(const std::string& name) {
  const ForeignTensor* const found = find(name);
  if (found == nullptr) {
    throw Error(fmt::format("cannot import '{}': it has no tensor {}", file_.path().string(),
                            in_quotes(name)));
  }
  return *found;
}

std::function<Tensor()> ForeignTensors::as_it_is(const std::string& name, Shape shape) {
  const ForeignTensor& tensor = need(name);
  return [&file = file_, &tensor, shape] {
    const Tensor read = file.read(tensor);
    return shape.rank() == 0 ? read : read.reshape(shape);
  };
}

std::vector<std::string> ForeignTensors::unused() const {
  std::vector<std::string> names;
  for (const ForeignTensor& tensor : file_.tensors()) {
    if (!asked_.contains(tensor.name)) names.push_back(tensor.name);
  }
  return names;
}

void take_adaptive_softmax(ForeignTensors& tensors, ImportedModel& model, const std::string& head,
                           const std::function<std::string(std::size_t, int)>& tail) {
  const ForeignTensor& rows = tensors.need(head + "weight");
  std::size_t tails = 0;
  while (tensors.find(tail(tails, 1)) != nullptr) ++tails;
  const std::int64_t clusters = static_cast<std::int64_t>(tails);
  if (rows.shape.size() != 2 || rows.shape[0] <= clusters || tails == 0) {
    throw Error(fmt::format("cannot import '{}': {} is no head of an adaptive softmax of {} tails",
                            tensors.file().path().string(), in_quotes(rows.name), tails));
  }
  model.config.softmax = "adaptive";
  model.config.cutoffs = {rows.shape[0] - clusters};
  model.tensors["softmax.head.weight"] = tensors.as_it_is(head + "weight");
  model.tensors["softmax.head.bias"] =
      tensors.find(head + "bias") != nullptr
          ? tensors.as_it_is(head + "bias")
          : [size = rows.shape[0]] { return Tensor::zeros(Shape{size}); };
  for (std::size_t i = 0; i < tails; ++i) {
    const std::string ours = fmt::format("softmax.tails.{}.", i);
    model.tensors[ours + "projection.weight"] = tensors.as_it_is(tail(i, 0));
    model.tensors[ours + "output.weight"] = tensors.as_it_is(tail(i, 1));
    const ForeignTensor& output = tensors.need(tail(i, 1));
    if (output.shape.empty()) continue;  // its shape is refused later
    model.config.cutoffs.push_back(model.config.cutoffs.back() + output.shape[0]);
  }
  // The last end is the vocabulary's.
  model.config.cutoffs.pop_back();
}

}  // namespace sluice
