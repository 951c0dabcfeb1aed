#include "run_states.hpp"

#include <fmt/format.h>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

FieldPlace place_of(const std::string& file) {
  return {fmt::format("'{}' is no checkpoint that can be continued", file),
          FieldPlace::Origin::file};
}

/// Which layers' tensors are carried, in order.
struct Carried {
  std::vector<std::int64_t> defined;
};

const FieldTable& carried_fields() {
  static const FieldTable table =
      FieldsOf<Carried>().add("carried", &Carried::defined, {.range = between(0, 1)});
  return table;
}

/// Of `fields`, those of `table` alone.
Value part_of(const FieldTable& table, const Value& fields) {
  Value object = Value::Object{};
  for (const Field& field : table.fields()) {
    if (const Value* value = fields.find(field.name)) object.set(field.name, *value);
  }
  return object;
}

template <class S>
S read_part(const FieldTable& table, const StoredState& stored) {
  S part;
  read_fields({{table, part}}, part_of(table, stored.fields), place_of(stored.file),
              Reading::complete);
  return part;
}

}  // namespace

SavedState ParametersState::save() const {
  SavedState saved;
  for (const Parameter& parameter : parameters_) {
    saved.tensors.push_back(
        {{parameter.name, parameter.file_shape(), parameter.variable.dtype()},
         [&parameter] { return parameter.in_file(parameter.variable.value()); }});
  }
  return saved;
}

void ParametersState::check(const StoredState& stored) const {
  for (const Parameter& parameter : parameters_) {
    const TensorInfo& found = stored.tensor(parameter.name).info;
    const DType dtype = parameter.variable.dtype();
    if (found.shape == parameter.file_shape() && found.dtype == dtype) continue;
    throw Error(fmt::format("cannot resume from '{}': parameter '{}' must be {} {}, got {} {}",
                            stored.file, parameter.name, dtype_name(dtype),
                            parameter.file_shape().str(), dtype_name(found.dtype),
                            found.shape.str()));
  }
}

void ParametersState::restore(const StoredState& stored) {
  for (const Parameter& parameter : parameters_) {
    parameter.variable.value().copy_from(parameter.in_memory(stored.tensor(parameter.name).make()));
  }
}

SavedState CarriedState::save() const {
  SavedState saved;
  Carried carried;
  // All micro-batches carry the same: they have read on by as much.
  const std::vector<Tensor>& like = states_.front().tensors;
  for (int rank = 0; rank < ranks_.size(); ++rank) {
    const MicroBatches share =
        share_of(static_cast<std::int64_t>(states_.size()), rank, ranks_.size());
    for (std::int64_t micro = share.begin; micro < share.end; ++micro) {
      for (std::size_t t = 0; t < like.size(); ++t) {
        const std::string name = std::to_string(carried.defined.size());
        carried.defined.push_back(like[t].defined() ? 1 : 0);
        if (!like[t].defined()) continue;
        if (rank == ranks_.rank()) {
          saved.tensors.push_back(
              source_of(name, states_[static_cast<std::size_t>(micro)].tensors[t]));
        } else {
          saved.tensors.push_back({{name, like[t].shape(), like[t].dtype()},
                                   [this, rank, &like, t] { return received(rank, like[t]); }});
        }
      }
    }
  }
  saved.fields = *write_fields({{carried_fields(), carried}}).as<Value::Object>();
  return saved;
}

Tensor CarriedState::received(int from, const Tensor& like) const {
  const Tensor tensor = Tensor::zeros(like.shape(), like.dtype());
  std::future<void> done = ranks_.ranks().post([&](Collectives& with) {
    with.receive(
        std::as_writable_bytes(std::span(static_cast<std::byte*>(tensor.raw()), tensor.bytes())),
        from);
  });
  ranks_.ranks().wait(done);
  return tensor;
}

void CarriedState::send() const {
  const MicroBatches own = share();
  for (std::int64_t micro = own.begin; micro < own.end; ++micro) {
    for (const Tensor& tensor : states_[static_cast<std::size_t>(micro)].tensors) {
      if (!tensor.defined()) continue;
      std::future<void> done = ranks_.ranks().post([&](Collectives& with) {
        with.send({static_cast<const std::byte*>(tensor.raw()), tensor.bytes()}, 0);
      });
      ranks_.ranks().wait(done);
    }
  }
}

void CarriedState::check(const StoredState& stored) const {
  const auto carried = read_part<Carried>(carried_fields(), stored);
  if (carried.defined.size() % states_.size() != 0) {
    throw Error(fmt::format("cannot resume from '{}': it carries {} tensors for {} micro-batches",
                            stored.file, carried.defined.size(), states_.size()));
  }
  for (std::size_t i = 0; i < carried.defined.size(); ++i) {
    if (carried.defined[i] != 0) static_cast<void>(stored.tensor(std::to_string(i)));
  }
}

void CarriedState::restore(const StoredState& stored) {
  const auto carried = read_part<Carried>(carried_fields(), stored);
  const std::size_t each = carried.defined.size() / states_.size();
  const MicroBatches own = share();
  for (std::int64_t micro = own.begin; micro < own.end; ++micro) {
    ModelState& state = states_[static_cast<std::size_t>(micro)];
    state.tensors.clear();
    const std::size_t first = static_cast<std::size_t>(micro) * each;
    for (std::size_t i = first; i < first + each; ++i) {
      state.tensors.push_back(carried.defined[i] != 0 ? stored.tensor(std::to_string(i)).make()
                                                      : Tensor{});
    }
  }
}

SavedState PositionState::save() const {
  return {{}, *write_fields({{train_state_fields(), state_}}).as<Value::Object>()};
}

void PositionState::check(const StoredState& stored) const {
  static_cast<void>(train_state_of(stored.file, stored.fields));
}

void PositionState::restore(const StoredState& stored) {
  state_ = train_state_of(stored.file, stored.fields);
}

TrainState train_state_of(const std::string& file, const Value& fields) {
  return read_part<TrainState>(train_state_fields(),
                               {.file = file, .tensors = {}, .fields = fields, .prefix = ""});
}

}  // namespace sluice
