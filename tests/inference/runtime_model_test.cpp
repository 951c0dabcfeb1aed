// Models of int8, and runtime models on disk: what they give, and which files they refuse.

#include "sluice/inference/runtime_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/inference/score.hpp"
#include "sluice/inference/session.hpp"
#include "sluice/kernels/int8_panels.hpp"
#include "sluice/models/recurrent.hpp"
#include "sluice/models/transformer.hpp"
#include "sluice/tensor/gemm.hpp"
#include "support.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using testing_support::random_ids;

constexpr std::int64_t kVocabulary = 60;

/// One of each architecture, softmax and way of tying.
const std::map<std::string, ModelConfig>& configs() {
  static const std::map<std::string, ModelConfig> all = [] {
    std::map<std::string, ModelConfig> made;
    for (const std::string arch : {"gcnn", "rnn", "lstm", "gru", "indrnn", "mut1", "transformer"}) {
      ModelConfig config(arch);
      config.dim = 40;
      config.vocabulary = kVocabulary;
      config.softmax = "adaptive";
      config.cutoffs = {20, 40};
      if (arch == "gcnn") {
        config.shape<GcnnShape>().layers = parse_layers("[(40,4)] + [(24,1,0),(40,3,2)]*2");
      } else if (arch == "transformer") {
        config.norm = "layer";
        config.shape<TransformerShape>() = {.depth = 2, .heads = 2, .window = 9, .ffn_width = 50};
      } else {
        config.norm = "none";
        config.shape<RecurrentShape>().depth = 2;
        config.shape<RecurrentShape>().hidden = 40;
      }
      made[arch] = config;
    }
    made["gru reset before"] = made["gru"];
    made["gru reset before"].shape<RecurrentShape>().reset = "before";
    made["gcnn norm batch"] = made["gcnn"];
    made["gcnn norm batch"].norm = "batch";
    made["transformer tied"] = made["transformer"];
    made["transformer tied"].tie = true;
    made["lstm tied full"] = made["lstm"];
    made["lstm tied full"].tie = true;
    made["lstm tied full"].softmax = "full";
    made["lstm tied full"].cutoffs = {};
    made["transformer learned"] = made["transformer"];
    made["transformer learned"].shape<TransformerShape>().positions = "learned";
    return made;
  }();
  return all;
}

std::vector<float> values(const Tensor& x) {
  return {x.span<float>().begin(), x.span<float>().end()};
}

/// Reads texts side by side: the last hidden layer of all rows, and the distribution behind them.
std::pair<std::vector<float>, std::vector<float>> read(
    const FrozenModel& model, const std::vector<std::vector<std::int32_t>>& texts) {
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> lengths;
  std::vector<StackState> states(texts.size());
  std::vector<StackState*> pointers;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    ids.insert(ids.end(), texts[i].begin(), texts[i].end());
    lengths.push_back(static_cast<std::int64_t>(texts[i].size()));
    pointers.push_back(&states[i]);
  }
  const Tensor hidden = model.hidden(ids, PackedRows(lengths), pointers);
  return {values(hidden), values(model.log_probabilities(hidden))};
}

/// Weights of some size in all parts, so that each matters.
std::unique_ptr<LanguageModel> make(const ModelConfig& config) {
  auto model = make_model(config, 5);
  for (const Parameter& parameter : model->parameters()) {
    if (parameter.name.find("running_") != std::string::npos) continue;
    const Tensor& value = parameter.variable.value();
    const RandomKey key{9, static_cast<std::uint32_t>(value.elements()), 0};
    for (std::int64_t i = 0; i < value.elements(); ++i) {
      value.data<float>()[i] += 0.2F * (key.uniform(static_cast<std::uint64_t>(i)) - 0.5F);
    }
  }
  return model;
}

class Int8Model : public testing::TestWithParam<std::string> {
 protected:
  Int8Model() : model_(make(configs().at(GetParam()))) {}

  std::unique_ptr<LanguageModel> model_;
};

// Weights are off by 0.2% of a row's largest: log-probabilities of some nats by a few hundredths.
TEST_P(Int8Model, PredictsNearlyAsItsModelDoes) {
  const auto exact = FrozenModel::freeze(*model_);
  const auto rounded = FrozenModel::freeze(*model_, {.precision = WeightPrecision::int8});
  const auto text = random_ids(40, kVocabulary);
  const auto want = read(*exact, {text}).second, got = read(*rounded, {text}).second;
  ASSERT_EQ(want.size(), got.size());
  EXPECT_NE(want, got);
  double square = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double off = static_cast<double>(got[i]) - static_cast<double>(want[i]);
    ASSERT_NEAR(off, 0, 0.2) << i;
    square += off * off;
  }
  EXPECT_LT(std::sqrt(square / static_cast<double>(want.size())), 0.05);
}

// Integers are summed without error: who else is there, and in what portions texts come, does not
// matter to a bit; but attention sums a chunk's keys in other portions than a step's.
TEST_P(Int8Model, GivesTheSameBitsInAnyCompany) {
  if (kernels::int8_path() == kernels::Int8Path::portable) {
    GTEST_SKIP() << "this CPU adds int8 products in float32";
  }
  const auto frozen = FrozenModel::freeze(*model_, {.precision = WeightPrecision::int8});
  std::vector<std::vector<std::int32_t>> texts;
  for (std::size_t i = 0; i < 5; ++i) texts.push_back(random_ids(1 + 9 * i, kVocabulary, i + 3));
  const auto together = read(*frozen, texts);
  std::vector<float> hidden, logs;
  for (const auto& text : texts) {
    Session session = frozen->session();
    for (const std::int32_t id : text) {
      session.feed(id);
      const auto of_hidden = values(session.hidden()),
                 of_logs = values(session.log_probabilities());
      hidden.insert(hidden.end(), of_hidden.begin(), of_hidden.end());
      logs.insert(logs.end(), of_logs.begin(), of_logs.end());
    }
  }
  if (model_->config().arch() != "transformer") {
    EXPECT_EQ(together.first, hidden);
    EXPECT_EQ(together.second, logs);
    return;
  }
  ASSERT_EQ(together.second.size(), logs.size());
  for (std::size_t i = 0; i < logs.size(); ++i) ASSERT_NEAR(together.second[i], logs[i], 2e-3);
}

INSTANTIATE_TEST_SUITE_P(All, Int8Model, testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const auto& [name, config] : configs()) names.push_back(name);
                           return names;
                         }()),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name;
                         });

class RuntimeModel : public testing::Test {
 protected:
  RuntimeModel()
      : directory_(fs::temp_directory_path() / ("sluice_runtime_" + std::to_string(getpid()))),
        tokenizer_(testing_support::tokenizer("word", text())) {
    fs::remove_all(directory_);
    fs::create_directories(trained());
  }
  ~RuntimeModel() override { fs::remove_all(directory_); }
  RuntimeModel(const RuntimeModel&) = delete;
  RuntimeModel& operator=(const RuntimeModel&) = delete;

  fs::path trained() const { return directory_ / "trained"; }
  fs::path runtime() const { return directory_ / "runtime"; }
  ModelDirectory files() const { return ModelDirectory(runtime()); }

  /// As many words as the models know.
  static std::string text() {
    std::string words;
    for (std::int64_t i = 2; i < kVocabulary; ++i) words += "w" + std::to_string(i) + " ";
    return words + "\n";
  }

  std::unique_ptr<LanguageModel> save(const std::string& name) const {
    ModelConfig config = configs().at(name);
    config.vocabulary = tokenizer_->size();
    auto model = make(config);
    ModelDirectory(trained()).save(*model, *tokenizer_);
    return model;
  }
  void write(WeightPrecision precision = WeightPrecision::int8) const {
    write_runtime_model(runtime(), ModelDirectory(trained()), precision);
  }

  /// Changes one byte, `from_end` from the end.
  void damage(std::int64_t from_end) const {
    std::fstream file(files().runtime_file(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(-from_end, std::ios::end);
    const auto byte = static_cast<char>(file.get());
    file.seekp(-from_end, std::ios::end);
    file.put(static_cast<char>(byte + 1));
  }
  /// What loading says is wrong.
  std::string fault(Verify verify = Verify::when_changed) const {
    try {
      load_runtime_model(files(), verify);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  void expect_fault(const std::string& part) const {
    EXPECT_NE(fault().find(part), std::string::npos) << fault();
  }

  fs::path directory_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(RuntimeModel, GivesWhatFreezingTheModelGives) {
  const auto ids = random_ids(50, kVocabulary);
  for (const auto& [name, config] : configs()) {
    SCOPED_TRACE(name);
    const auto model = save(name);
    for (const WeightPrecision precision : {WeightPrecision::int8, WeightPrecision::bf16}) {
      if (precision == WeightPrecision::bf16 && !has_bfloat16_gemm()) continue;
      write(precision);
      EXPECT_EQ(runtime_info(files()).precision, precision);
      const LoadedFrozenModel loaded = load_frozen_model(runtime());
      EXPECT_EQ(loaded.tokenizer->fingerprint(), tokenizer_->fingerprint());
      const auto got = read(*loaded.model, {ids});
      const auto frozen = FrozenModel::freeze(*model, {.precision = precision});
      const auto want = read(*frozen, {ids});
      if (precision == WeightPrecision::int8) {
        EXPECT_EQ(got, want);
        continue;
      }
      // Token vectors of bfloat16, off by 2^-9 of themselves, and convolutions without transforms.
      ASSERT_EQ(got.second.size(), want.second.size());
      for (std::size_t i = 0; i < want.second.size(); ++i) {
        ASSERT_NEAR(got.second[i], want.second[i], 0.2);
      }
    }
  }
}

// Widths of 40 are filled up to 48 columns and 64 rows.
TEST_F(RuntimeModel, TakesAboutAByteAWeight) {
  save("transformer tied");
  write();
  const ModelConfig config = files().model_config();
  EXPECT_LT(runtime_info(files()).bytes, 3 * static_cast<std::size_t>(config.parameter_count()));
}

TEST_F(RuntimeModel, IsForUseAlone) {
  save("gcnn");
  EXPECT_THROW(write(WeightPrecision::f32), UsageError);
  EXPECT_FALSE(fs::exists(runtime()));
  EXPECT_THROW(write_runtime_model(trained(), ModelDirectory(trained()), WeightPrecision::int8),
               Error);
  EXPECT_FALSE(ModelDirectory(trained()).has_runtime());
  // Nor is anything that it did not write taken for its own.
  const fs::path others = trained() / "others";
  fs::create_directory(others);
  write_file(others / "notes.txt", "mine");
  EXPECT_THROW(write_runtime_model(others, ModelDirectory(trained()), WeightPrecision::int8),
               Error);
  EXPECT_EQ(std::distance(fs::directory_iterator(others), fs::directory_iterator()), 1);
  write();
  EXPECT_TRUE(files().has_runtime());
  EXPECT_THROW(files().load(), Error);
  EXPECT_THROW(files().check_trained(), Error);
  EXPECT_NO_THROW(ModelDirectory(trained()).check_trained());
  // It can be made anew where it stands, and a training run that replaces it leaves nothing of it.
  EXPECT_NO_THROW(write());
  files().remove_run();
  EXPECT_FALSE(files().has_runtime());
}

TEST_F(RuntimeModel, ADamagedFileIsRefused) {
  save("lstm");
  write();
  ASSERT_EQ(fault(), "");
  // The file that is made is known to be whole: its stamp says so, and one that lies is believed
  // until someone asks for the checksum.
  damage(1000);
  expect_fault("checksum does not match");
  damage(1000);
  for (int i = 0; i < 254; ++i) damage(1000);
  ASSERT_EQ(fault(Verify::always), "");
  fs::resize_file(files().runtime_file(), fs::file_size(files().runtime_file()) - 5000);
  expect_fault("truncated");
  fs::resize_file(files().runtime_file(), 20);
  expect_fault("truncated");
  fs::resize_file(files().runtime_file(), 0);
  expect_fault("too few");
}

TEST_F(RuntimeModel, FilesThatDoNotBelongTogetherAreRefused) {
  save("lstm");
  write();
  const std::string config = read_file(files().config_file());
  files().write_config(config + " ");
  expect_fault("do not belong together");
  files().write_config(config);
  ASSERT_EQ(fault(), "");
  testing_support::tokenizer("word", "another text\n")->save(runtime());
  expect_fault("do not belong together");
}

TEST_F(RuntimeModel, AnotherVersionOrShapeIsRefused) {
  save("lstm");
  write();
  Metadata metadata;
  NamedTensors tensors = read_safetensors(files().runtime_file(), &metadata);
  const auto rewrite = [&](const char* key, const std::string& value) {
    Metadata other = metadata;
    other.at(key) = value;
    write_safetensors(files().runtime_file(), tensors, other);
  };
  rewrite("sluice_runtime", "2");
  expect_fault("its version is '2'");
  rewrite("precision", "int4");
  expect_fault("precision");
  rewrite("precision", "bf16");
  expect_fault("expected bfloat16");
  tensors.emplace_back("99999", Tensor(Shape{2}));
  rewrite("precision", "int8");
  expect_fault("parts");
  tensors.resize(3);
  rewrite("precision", "int8");
  expect_fault("is missing");
}

TEST_F(RuntimeModel, NumbersThatAreNotFiniteAreRefused) {
  save("gcnn");
  for (const WeightPrecision precision : {WeightPrecision::int8, WeightPrecision::bf16}) {
    if (precision == WeightPrecision::bf16 && !has_bfloat16_gemm()) continue;
    write(precision);
    Metadata metadata;
    const NamedTensors tensors = read_safetensors(files().runtime_file(), &metadata);
    std::size_t changed = 0;
    for (const auto& [name, tensor] : tensors) {
      if (tensor.dtype() != DType::f32 && tensor.dtype() != DType::bf16) continue;
      NamedTensors others = tensors;
      for (auto& [other, value] : others) {
        if (other != name) continue;
        value = value.clone();
        auto* const last = static_cast<std::uint8_t*>(value.raw()) + value.bytes();
        last[-1] = 0x7f;  // the sign and the exponent's first bits, an infinity or NaN
        last[-2] = 0x80;
      }
      write_safetensors(files().runtime_file(), others, metadata);
      expect_fault("tensor '" + name + "' holds a number that is not finite");
      ++changed;
    }
    EXPECT_GT(changed, 2U);
  }
}

// Kernels load whole vectors from where parts begin.
TEST_F(RuntimeModel, PartsThatBeginAnywhereAreRefused) {
  save("gcnn");
  write();
  const std::string bytes = read_file(files().runtime_file());
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  std::string header = bytes.substr(sizeof length, length);
  // Spaces behind the header move the data; without its own checksum it may be anything.
  const std::size_t own = header.find(",\"header_xxh3_64\"");
  ASSERT_NE(own, std::string::npos);
  header.erase(own, std::string(",\"header_xxh3_64\":\"0123456789abcdef\"").size());
  for (const std::size_t more : {1UL, 2UL, 4UL, 8UL, 16UL, 32UL, 64UL}) {
    std::string moved = header;
    moved.append((length - moved.size()) % 64 + more, ' ');
    const std::uint64_t size = moved.size();
    std::string file(reinterpret_cast<const char*>(&size), sizeof size);
    file.append(moved).append(bytes.substr(sizeof length + length));
    write_file(files().runtime_file(), file);
    if (more == 64) {
      EXPECT_EQ(fault(), "");
    } else {
      expect_fault("does not begin at a multiple of");
    }
  }
}

// A session outlives the directory: the file stays mapped.
TEST_F(RuntimeModel, StaysMappedAsLongAsItIsUsed) {
  save("gru");
  write();
  auto session = load_frozen_model(runtime()).model->session();
  session.feed(3);
  const auto before = values(session.log_probabilities());
  fs::remove_all(runtime());
  Session copy = session;
  EXPECT_EQ(values(copy.log_probabilities()), before);
}

}  // namespace
}  // namespace sluice
