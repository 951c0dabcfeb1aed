// Parts that are saved and restored together, and how much memory that takes.
#include "checkpointer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "loop.hpp"
#include "run_states.hpp"
#include "sluice/base/error.hpp"
#include "training/support.hpp"

namespace sluice::training_test {
namespace {

/// A part that holds one tensor and one number.
class Part : public Stateful {
 public:
  Part(std::string name, float value) : name_(std::move(name)) { set(value); }
  void set(float value) {
    value_ = Tensor(Shape{2});
    for (float& x : value_.span<float>()) x = value;
    number_ = static_cast<std::int64_t>(value);
  }
  float value() const { return value_.data<float>()[1]; }
  std::int64_t number() const { return number_; }

  std::string_view name() const override { return name_; }
  SavedState save() const override {
    return {{source_of("value", value_)}, {{name_ + "_number", number_}}};
  }
  void check(const StoredState& stored) const override {
    static_cast<void>(stored.tensor("value"));
    if (refuses) throw Error("no");
  }
  void restore(const StoredState& stored) override {
    value_ = stored.tensor("value").make();
    number_ = *stored.fields.find(name_ + "_number")->as<std::int64_t>();
  }
  bool refuses = false;

 private:
  std::string name_;
  Tensor value_;
  std::int64_t number_ = 0;
};

class CheckpointerTest : public testing::Test {
 protected:
  std::string message(const Checkpointer& checkpointer) const {
    try {
      checkpointer.load();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  const Directory directory_;
  const std::filesystem::path file_ = directory_ / "x.safetensors";
  Part a_{"a", 1}, b_{"b", 2};
  const Checkpointer both_{file_, {{"text", "mine"}}, {&a_, &b_}};
};

TEST_F(CheckpointerTest, RestoresAllPartsOrNone) {
  both_.save();
  a_.set(5);
  b_.set(6);
  b_.refuses = true;
  EXPECT_EQ(message(both_), "no");
  EXPECT_EQ(a_.value(), 5) << "changed before all parts had agreed";
  b_.refuses = false;
  both_.load();
  EXPECT_EQ(a_.value(), 1);
  EXPECT_EQ(a_.number(), 1);
  EXPECT_EQ(b_.value(), 2);
  EXPECT_EQ(b_.number(), 2);
}

TEST_F(CheckpointerTest, NamesWhatDiffersBeforeTheParts) {
  both_.save();
  b_.refuses = true;
  EXPECT_EQ(message({file_, {{"text", "yours"}}, {&a_, &b_}}),
            "cannot resume from '" + file_.string() +
                "': its text is mine, that of this run is yours; use the same text or train into "
                "another directory");
  EXPECT_NE(message({file_, {{"text", "mine"}, {"more", "x"}}, {&a_}}).find("its more is not"),
            std::string::npos);
  EXPECT_NE(message({file_, {}, {&a_}}).find("its text is mine"), std::string::npos);
  Part c("c", 3);
  EXPECT_NE(message({file_, {{"text", "mine"}}, {&a_, &c}}).find("tensor 'c.value' is missing"),
            std::string::npos);
}

TEST_F(CheckpointerTest, AFailedSaveLeavesTheFile) {
  both_.save();
  const std::string before = read_file(file_);
  class Failing : public Part {
   public:
    using Part::Part;
    SavedState save() const override {
      SavedState saved = Part::save();
      saved.tensors[0].make = []() -> Tensor { throw Error("gone"); };
      return saved;
    }
  } failing("f", 1);
  const Checkpointer other(file_, {}, {&a_, &failing});
  EXPECT_THROW(other.save(), Error);
  EXPECT_EQ(read_file(file_), before);
}

TEST_F(CheckpointerTest, RefusesANewerFormatAndFieldsThatAreWrong) {
  TrainState state;
  state.step = 7;
  state.best_loss = 2.5;
  state.weights = "0123456789abcdef";
  PositionState position(state);
  const Checkpointer checkpointer(file_, {}, {&position});
  checkpointer.save();
  const TrainState read = read_checkpoint_state(file_);
  EXPECT_EQ(read.step, 7);
  EXPECT_EQ(read.best_loss, 2.5);
  EXPECT_TRUE(std::isinf(read.last_validation_loss));
  EXPECT_EQ(read.weights, state.weights);

  Metadata metadata;
  const NamedTensors tensors = read_safetensors(file_, &metadata);
  const auto good = nlohmann::json::parse(metadata.at("training"));
  const auto refused = [&](const char* field, const nlohmann::json& value) {
    nlohmann::json changed = good;
    changed[field] = value;
    if (value.is_null()) changed.erase(field);
    write_safetensors(file_, tensors, {{"training", changed.dump()}});
    const std::string said = message(checkpointer);
    EXPECT_NE(said.find(file_.string()), std::string::npos) << said;
    EXPECT_NE(said.find(field), std::string::npos) << said;
    EXPECT_THROW(read_checkpoint_state(file_), Error);
  };
  refused("version", 2);
  refused("version", nullptr);
  refused("step", nullptr);
  refused("step", -1);
  refused("step", "7");
  refused("best_loss", "low");
  refused("elapsed", nullptr);
}

/// Sees how much memory is in use whenever a tensor of another part is there.
class Watched : public Stateful {
 public:
  explicit Watched(Stateful& part) : part_(part) {}
  std::string_view name() const override { return part_.name(); }
  SavedState save() const override {
    SavedState saved = part_.save();
    for (TensorSource& source : saved.tensors) {
      largest = std::max(largest, source.info.bytes());
      source.make = [this, make = source.make] {
        Tensor tensor = make();
        most = std::max(most, allocator_stats().bytes_in_use);
        return tensor;
      };
    }
    return saved;
  }
  void check(const StoredState& stored) const override { part_.check(stored); }
  void restore(const StoredState& stored) override { part_.restore(stored); }
  mutable std::size_t most = 0, largest = 0;

 private:
  Stateful& part_;
};

TEST(Checkpoint, IsSavedAndReadWithTheMemoryOfOneTensor) {
  ModelConfig shape = tiny_config();
  shape.shape<GcnnShape>().layers =
      parse_layers("[(64,3)]*6");  // convolutions have another layout in files
  shape.dim = 64;
  const auto model = tiny_model(shape);
  const TrainConfig config = tiny_training(OptimizerKind::adamw);
  const TokenShards text = tiny_tokens(330, 1);
  Loop loop(*model, text, config);
  loop.step(0, 0.01);
  ParametersState parameters(model->parameters());
  OptimizerState optimizer(loop.optimizer(), RankGroup(nullptr));
  Watched watched_parameters(parameters), watched_optimizer(optimizer);
  const Directory directory;
  const Checkpointer checkpointer(directory / "x.safetensors", {},
                                  {&watched_parameters, &watched_optimizer});
  const std::size_t before = allocator_stats().bytes_in_use;
  checkpointer.save();
  const std::size_t most = std::max(watched_parameters.most, watched_optimizer.most);
  const std::size_t largest = std::max(watched_parameters.largest, watched_optimizer.largest);
  EXPECT_GT(most, before) << "the test is about something";
  // Buffers come in sizes of their own: twice the tensor is ample, and far from all of them.
  EXPECT_LE(most, before + 2 * largest);
  EXPECT_GT(std::filesystem::file_size(directory / "x.safetensors"), 15 * largest);
  EXPECT_EQ(allocator_stats().bytes_in_use, before);
}

}  // namespace
}  // namespace sluice::training_test
