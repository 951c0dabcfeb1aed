#include "run_states.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/kernels/arithmetic.hpp"

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

SavedState OptimizerState::save() const {
  if (optimizer_.shard().count == 1) return {optimizer_.state(), {}};
  return {optimizer_.state([this](std::size_t p, const Tensor& part) { return whole(p, part); }),
          {}};
}

Tensor OptimizerState::whole(std::size_t p, const Tensor& part) const {
  Tensor all(optimizer_.parameters()[p].variable.shape());
  for (int rank = 0; rank < ranks_.size(); ++rank) {
    const ScalarRange range = optimizer_.range(p, rank);
    if (range.size() == 0) continue;
    const Tensor from =
        rank == ranks_.rank() ? part : ranks_.receive(rank, Shape{range.size()}, DType::f32);
    std::copy_n(from.data<float>(), range.size(), all.data<float>() + range.begin);
  }
  return all;
}

void OptimizerState::send() const {
  if (optimizer_.shard().count == 1) return;
  for (const auto& [p, part] : optimizer_.moments()) {
    if (part.elements() > 0) ranks_.send(part);
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
          saved.tensors.push_back(
              {{name, like[t].shape(), like[t].dtype()}, [this, rank, &like, t] {
                 return ranks_.receive(rank, like[t].shape(), like[t].dtype());
               }});
        }
      }
    }
  }
  saved.fields = *write_fields({{carried_fields(), carried}}).as<Value::Object>();
  return saved;
}

void CarriedState::send() const {
  const MicroBatches own = share();
  for (std::int64_t micro = own.begin; micro < own.end; ++micro) {
    for (const Tensor& tensor : states_[static_cast<std::size_t>(micro)].tensors) {
      if (tensor.defined()) ranks_.send(tensor);
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

namespace {

/// Steps of workers since their synchronisation.
struct LocalSteps {
  std::int64_t steps = 0;
};

const FieldTable& local_steps_fields() {
  static const FieldTable table =
      FieldsOf<LocalSteps>().add("local_steps", &LocalSteps::steps, {.range = at_least(0)});
  return table;
}

constexpr std::string_view weight_prefix = "weight.";

}  // namespace

std::string WorkersState::prefix_of(std::int64_t micro) { return std::to_string(micro) + "."; }

TensorSources WorkersState::sources_of(std::int64_t micro) const {
  LocalWorkers& workers = *loop_.workers();
  TensorSources all = workers.optimizer(micro).state();
  const std::vector<Tensor>& weights = workers.weights(micro);
  for (std::size_t p = 0; !loop_.settled() && p < weights.size(); ++p) {
    const Parameter& parameter = parameters_[p];
    all.push_back(
        {{std::string(weight_prefix) + parameter.name, parameter.file_shape(), weights[p].dtype()},
         [&parameter, &weights, p] { return parameter.in_file(weights[p]); }});
  }
  return all;
}

SavedState WorkersState::save() const {
  SavedState saved;
  const LocalSteps steps{loop_.local_steps()};
  saved.fields = *write_fields({{local_steps_fields(), steps}}).as<Value::Object>();
  // Those of all workers are alike.
  const TensorSources like = sources_of(0);
  for (int rank = 0; rank < ranks_.size(); ++rank) {
    const MicroBatches share = share_of(workers_in_all_, rank, ranks_.size());
    for (std::int64_t micro = share.begin; micro < share.end; ++micro) {
      TensorSources sources = rank == ranks_.rank() ? sources_of(micro) : like;
      for (TensorSource& source : sources) {
        if (rank != ranks_.rank()) {
          source.make = [this, rank, info = source.info] {
            return ranks_.receive(rank, info.shape, info.dtype);
          };
        }
        source.info.name.insert(0, prefix_of(micro));
        saved.tensors.push_back(std::move(source));
      }
    }
  }
  return saved;
}

void WorkersState::send() const {
  const MicroBatches own = ranks_.share(workers_in_all_);
  for (std::int64_t micro = own.begin; micro < own.end; ++micro) {
    for (const TensorSource& source : sources_of(micro)) ranks_.send(source.make());
  }
}

WorkersState::Stored WorkersState::stored_of(const StoredState& stored, std::int64_t micro) {
  Stored found;
  const std::string prefix = prefix_of(micro);
  for (TensorSource source : stored.tensors) {
    if (!source.info.name.starts_with(prefix)) continue;
    source.info.name.erase(0, prefix.size());
    const bool weight = source.info.name.starts_with(weight_prefix);
    if (weight) source.info.name.erase(0, weight_prefix.size());
    (weight ? found.weights : found.optimizer).push_back(std::move(source));
  }
  return found;
}

void WorkersState::check(const StoredState& stored) const {
  const auto steps = read_part<LocalSteps>(local_steps_fields(), stored);
  const MicroBatches own = ranks_.share(workers_in_all_);
  for (std::int64_t micro = own.begin; micro < own.end; ++micro) {
    Stored found = stored_of(stored, micro);
    loop_.workers()->optimizer(micro).check_state(found.optimizer);
    if (steps.steps == 0) continue;
    ParametersState(parameters_)
        .check({.file = stored.file,
                .tensors = std::move(found.weights),
                .fields = stored.fields,
                .prefix = stored.prefix + prefix_of(micro)});
  }
}

void WorkersState::restore(const StoredState& stored) {
  LocalWorkers& workers = *loop_.workers();
  loop_.local_steps() = read_part<LocalSteps>(local_steps_fields(), stored).steps;
  workers.adopt();  // the common weights are there already
  for (std::int64_t micro = workers.own().begin; micro < workers.own().end; ++micro) {
    Stored found = stored_of(stored, micro);
    workers.optimizer(micro).load_state(found.optimizer);
    if (loop_.settled()) continue;
    const LocalWorkers::Turn turn(workers, micro);
    ParametersState(parameters_)
        .restore({.file = stored.file,
                  .tensors = std::move(found.weights),
                  .fields = stored.fields,
                  .prefix = stored.prefix + prefix_of(micro)});
  }
}

SavedState RoundingState::save() const {
  SavedState saved;
  for (int rank = 0; rank < ranks_.size(); ++rank) {
    for (auto& [leaf, errors] : exchange_.wire().errors()) {
      const auto slots = static_cast<std::int64_t>(exchange_.slots(rank));
      const auto own_slots = static_cast<std::int64_t>(exchange_.wire().slots());
      const Shape shape{slots, static_cast<std::int64_t>(errors.size()) / own_slots};
      saved.tensors.push_back({{fmt::format("{}.{}", rank, leaf), shape, DType::f32},
                               [this, rank, shape, &errors = errors] {
                                 if (rank != ranks_.rank())
                                   return ranks_.receive(rank, shape, DType::f32);
                                 return Tensor::of(shape, std::span<const float>(errors));
                               }});
    }
  }
  return saved;
}

void RoundingState::send() const {
  for (const auto& [leaf, errors] : exchange_.wire().errors()) {
    const Shape shape{static_cast<std::int64_t>(errors.size())};
    ranks_.send(Tensor::of(shape, std::span<const float>(errors)));
  }
}

void RoundingState::check(const StoredState& stored) const {
  for (const TensorSource& source : stored.tensors) {
    const std::string& name = source.info.name;
    const std::size_t dot = name.find('.');
    const auto rank = whole_number(name.substr(0, dot));
    const auto leaf = dot == std::string::npos ? std::nullopt : whole_number(name.substr(dot + 1));
    const bool known = rank && leaf && *rank >= 0 && std::in_range<int>(*rank) && *leaf >= 0 &&
                       source.info.dtype == DType::f32 && source.info.shape.rank() == 2;
    if (known) continue;
    throw Error(fmt::format("cannot resume from '{}': tensor '{}{}' is unknown", stored.file,
                            stored.prefix, name));
  }
}

void RoundingState::restore(const StoredState& stored) {
  struct Part {
    int rank;
    std::size_t leaf;
  };
  const auto part_of = [](const TensorSource& source) {
    const std::string& name = source.info.name;
    return Part{std::stoi(name), std::stoul(name.substr(name.find('.') + 1))};
  };
  int processes = 0;
  for (const TensorSource& source : stored.tensors) {
    processes = std::max(processes, part_of(source).rank + 1);
  }
  SumWire& wire = exchange_.wire();
  for (const TensorSource& source : stored.tensors) {
    const Part part = part_of(source);
    const std::int64_t elements = source.info.shape[1];
    std::vector<float>& errors = wire.errors()[part.leaf];
    errors.resize(wire.slots() * static_cast<std::size_t>(elements));
    const bool as_it_was = processes == ranks_.size();
    if (as_it_was ? part.rank != ranks_.rank() : !ranks_.leads()) continue;
    const Tensor values = source.make();
    const std::int64_t slots = source.info.shape[0];
    for (std::int64_t slot = 0; slot < slots; ++slot) {
      // The last place is the sum's, from which nothing goes where sums are divided.
      const bool stays =
          as_it_was && slot < static_cast<std::int64_t>(wire.slots()) &&
          !(exchange_.divided(part.leaf) && slot + 1 == static_cast<std::int64_t>(wire.slots()));
      const float* const from = values.data<float>() + slot * elements;
      if (stays) {
        std::copy_n(from, elements, errors.data() + slot * elements);
      } else {
        kernels::add_scaled(errors.data(), from, 1.0F, static_cast<std::size_t>(elements));
      }
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
