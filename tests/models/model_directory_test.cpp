#include "sluice/models/model_directory.hpp"
#include "sluice/models/gcnn.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <set>
#include <string>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/safetensors.hpp"

namespace sluice {
namespace {

class ModelDirectoryTest : public testing::Test {
 protected:
  ModelDirectoryTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("sluice_model_directory_" + std::to_string(getpid()))),
        weights_(directory_ / "model.safetensors") {
    std::filesystem::create_directories(directory_);
    write_file(directory_ / "text", "a b c d e f g a b c\nb a\n");
    const auto tokenizer = train_tokenizer({}, {directory_ / "text"});
    tokenizer->save(directory_);
    config_.shape<GcnnShape>().layers = parse_layers("[(8,3)] + [(4,1,0),(8,2,2)]");
    config_.vocabulary = tokenizer->size();
    config_.dim = 6;
    config_.cutoffs = {4};
    write_config(1);
    model_ = make_model(config_, 3);
    save_parameters(weights_, *model_);
  }
  ~ModelDirectoryTest() override { std::filesystem::remove_all(directory_); }

  void write_config(int version) const {
    const Value config =
        Value::Object{{"format_version", version}, {"model", write_model(config_)}};
    write_file(directory_ / "config.json", json_text(config));
  }
  std::string load_error() const {
    try {
      load_model(directory_);
    } catch (const UsageError& error) {
      ADD_FAILURE() << "a usage error: " << error.what();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  void expect_error(const std::string& part) const {
    const std::string message = load_error();
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }

  std::filesystem::path directory_;
  std::filesystem::path weights_;
  ModelConfig config_;
  std::unique_ptr<LanguageModel> model_;
};

TEST_F(ModelDirectoryTest, RoundTripIsExact) {
  const LoadedModel loaded = load_model(directory_);
  EXPECT_EQ(loaded.tokenizer->size(), config_.vocabulary);
  ASSERT_EQ(loaded.model->parameters().size(), model_->parameters().size());
  for (std::size_t i = 0; i < model_->parameters().size(); ++i) {
    const Tensor& expected = model_->parameters()[i].variable.value();
    const Tensor& actual = loaded.model->parameters()[i].variable.value();
    ASSERT_EQ(actual.shape(), expected.shape());
    EXPECT_EQ(std::memcmp(actual.raw(), expected.raw(), expected.bytes()), 0)
        << model_->parameters()[i].name;
  }
}

TEST_F(ModelDirectoryTest, OtherFloatTypesAreConverted) {
  NamedTensors tensors = read_safetensors(weights_);
  for (auto& [name, tensor] : tensors) tensor = tensor.to(DType::f64);
  write_safetensors(weights_, tensors);
  EXPECT_EQ(load_error(), "");
  tensors[0].second = Tensor::zeros(tensors[0].second.shape(), DType::i32);
  write_safetensors(weights_, tensors);
  expect_error("holds int32 elements, expected float32");
}

TEST_F(ModelDirectoryTest, WrongTensorsAreNamed) {
  const NamedTensors good = read_safetensors(weights_);
  NamedTensors tensors = good;
  const std::string name = tensors[0].first;
  tensors[0].first = "stranger";
  write_safetensors(weights_, tensors);
  expect_error("tensor '" + name + "' is missing");

  tensors = good;
  tensors[0].second = tensors[0].second.reshape({1, tensors[0].second.elements()});
  write_safetensors(weights_, tensors);
  expect_error("tensor '" + name + "' has shape [1, ");

  tensors = good;
  tensors.emplace_back("stranger", Tensor(Shape{0}));
  write_safetensors(weights_, tensors);
  expect_error("the model has no tensor 'stranger'");
  EXPECT_THROW(load_parameters(weights_, *model_), Error);

  tensors = good;
  tensors.pop_back();
  write_safetensors(weights_, tensors);
  expect_error("do not belong together: config.json describes");
}

TEST_F(ModelDirectoryTest, FailedLoadLeavesTheModelAlone) {
  NamedTensors tensors = read_safetensors(weights_);
  for (auto& [name, tensor] : tensors) tensor = Tensor::zeros(tensor.shape());
  tensors.back().first = "stranger";
  write_safetensors(weights_, tensors);
  const Tensor before = model_->parameters()[0].variable.value().clone();
  EXPECT_THROW(load_parameters(weights_, *model_), Error);
  const Tensor& after = model_->parameters()[0].variable.value();
  EXPECT_EQ(std::memcmp(after.raw(), before.raw(), before.bytes()), 0);
}

TEST_F(ModelDirectoryTest, DamagedDirectoriesAreRefused) {
  write_config(2);
  expect_error("format version is 2, this program reads up to 1");
  for (const char* version : {"0", "-1", "18446744073709551615"}) {
    write_file(directory_ / "config.json", std::string("{\"format_version\": ") + version + "}");
    expect_error(std::string("format version is ") + version + ", this program reads up to 1");
  }
  write_file(directory_ / "config.json", "{\"format_version\": 1.0, \"model\": {}}");
  expect_error("'format_version' is missing or not a whole number");
  write_file(directory_ / "config.json", "{\"format_version\": 1, \"model\": {\"arch\": \"gcnn\"");
  expect_error("line 1, column ");
  write_file(directory_ / "config.json", "[]");
  expect_error("expected a JSON object");
  write_file(directory_ / "config.json", "{}");
  expect_error("'format_version' is missing");
  write_file(directory_ / "config.json", "{\"format_version\": 1}");
  expect_error("'model' is missing");
  write_file(directory_ / "config.json", "{\"format_version\": 1, \"model\": {}}");
  expect_error("'arch'");
  std::filesystem::remove(directory_ / "config.json");
  expect_error("has no config.json");
  EXPECT_THROW(ModelDirectory(directory_ / "none").config(), Error);
  EXPECT_THROW(ModelDirectory(weights_).config(), Error);
}

TEST_F(ModelDirectoryTest, ConfigsThatDoNotFitTheFilesAreRefusedBeforeAllocation) {
  config_.vocabulary += 1;
  write_config(1);
  expect_error("the tokenizer has");
  config_.vocabulary -= 1;
  config_.dim = 2'000'000'000;
  write_config(1);
  expect_error("do not belong together");
  config_.dim = -1;
  write_config(1);
  expect_error("'dim' must be a whole number");
}

TEST_F(ModelDirectoryTest, SavingIsTheInverseOfLoading) {
  const ModelDirectory other(directory_ / "other");
  std::filesystem::create_directory(other.path());
  const LoadedModel loaded = load_model(directory_);
  other.save(*loaded.model, *loaded.tokenizer);
  const LoadedModel again = other.load();
  EXPECT_EQ(again.tokenizer->fingerprint(), loaded.tokenizer->fingerprint());
  EXPECT_EQ(SafetensorsFile(other.weights_file()).checksum(), SafetensorsFile(weights_).checksum());
  EXPECT_EQ(other.model_config(), config_);
}

TEST_F(ModelDirectoryTest, FingerprintsTellModelsApart) {
  const ModelDirectory files(directory_);
  const auto found = [&] {
    const Facts facts = files.fingerprints();
    return std::map<std::string, std::string>(facts.begin(), facts.end());
  };
  const auto first = found();
  EXPECT_EQ(first.size(), 3U);
  EXPECT_EQ(first.at("model"), SafetensorsFile(weights_).checksum());
  ModelConfig config = config_;
  config.dropout = 0.25;  // for training alone
  files.write_config(config);
  EXPECT_EQ(found(), first);
  config.vocabulary += 1;
  files.write_config(config);
  EXPECT_NE(found().at("model configuration"), first.at("model configuration"));
  EXPECT_EQ(found().at("model"), first.at("model"));
  model_->parameters()[0].variable.value().data<float>()[0] = 42;
  files.save_weights(*model_);
  EXPECT_NE(found().at("model"), first.at("model"));
  EXPECT_EQ(found().at("tokenizer"), first.at("tokenizer"));
}

TEST_F(ModelDirectoryTest, OneTextSaysWhatAModelIs) {
  const ModelDirectory files(directory_), other(directory_ / "other");
  std::filesystem::create_directory(other.path());
  files.write_config(config_);
  const std::string text = read_file(files.config_file());
  EXPECT_TRUE(text.starts_with("{\n  \"format_version\": 1,\n  \"model\": {\n    \"arch\": \""))
      << text;
  EXPECT_TRUE(text.ends_with("\n  }\n}\n")) << text;
  other.copy_config(files);
  EXPECT_EQ(read_file(other.config_file()), text);
  // Sections of others are copied as they stand.
  files.write_config(R"({"threads": 3, "model": {"arch": "gcnn"}, "format_version": 1})");
  other.copy_config(files);
  EXPECT_EQ(read_file(other.config_file()),
            "{\n  \"format_version\": 1,\n  \"model\": {\n    \"arch\": \"gcnn\"\n  },\n"
            "  \"threads\": 3\n}\n");
}

TEST_F(ModelDirectoryTest, LastWeightsAreTheBestWhereNoOthersAreKept) {
  const ModelDirectory files(directory_);
  const auto first = [&](Weights weights) {
    return files.load(weights).model->parameters()[0].variable.value().data<float>()[0];
  };
  const float best = first(Weights::best);
  EXPECT_EQ(first(Weights::last), best);
  model_->parameters()[0].variable.value().data<float>()[0] = 42;
  files.save_weights(*model_, Weights::last);
  EXPECT_EQ(first(Weights::best), best);
  EXPECT_EQ(first(Weights::last), 42);
}

TEST_F(ModelDirectoryTest, RemovingARunLeavesWhatIsNotOfIt) {
  const ModelDirectory files(directory_);
  for (const auto& file : {files.checkpoint_file(), files.metrics_file(), files.trace_file(),
                           files.weights_file(Weights::last), directory_ / "notes.txt"}) {
    write_file(file, "x");
  }
  std::filesystem::create_directory(files.cache());
  EXPECT_TRUE(files.has_checkpoint());
  files.remove_run();
  EXPECT_FALSE(files.has_checkpoint());
  std::set<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    left.insert(entry.path().filename().string());
  }
  EXPECT_EQ(left, (std::set<std::string>{"cache", "notes.txt", "text"}));
}

// Another tokenizer's file must not stay beside the new one: loading would take it.
TEST_F(ModelDirectoryTest, ATokenizerReplacesOneOfAnotherKind) {
  const auto tokenizer = ModelDirectory(directory_).tokenizer();
  write_file(directory_ / "tokenizer.model", "of an earlier run");
  tokenizer->save(directory_);
  EXPECT_EQ(ModelDirectory(directory_).tokenizer()->fingerprint(), tokenizer->fingerprint());
}

TEST_F(ModelDirectoryTest, ADamagedTensorLeavesTheModelAlone) {
  std::string bytes = read_file(weights_);
  bytes[bytes.size() - 2] = static_cast<char>(bytes[bytes.size() - 2] ^ 1);
  write_file(weights_, bytes);
  const Tensor before = model_->parameters()[0].variable.value();
  EXPECT_THROW(load_parameters(weights_, *model_), Error);
  EXPECT_EQ(model_->parameters()[0].variable.value().raw(), before.raw());
  EXPECT_THROW(check_parameters(SafetensorsFile(weights_), *model_), Error);
}

// What depends on a file's name is asked of ModelDirectory (of the tokenizer, of the lock): no
// other source has one in a literal, prose in help and messages excepted.
TEST(ModelDirectoryNames, StandNowhereElse) {
  const std::string names[] = {
      "config.json",   "model.safetensors", "last.safetensors", "checkpoint.safetensors",
      "metrics.jsonl", "trace.json",        "tokenizer.json",   "tokenizer.model",
      ".lock"};
  const std::set<std::string> homes = {"model_directory.hpp", "kinds.hpp", "file.hpp",
                                       "tokenizer.hpp"};
  const std::filesystem::path source = SLUICE_SOURCE_DIR;
  int files = 0;
  for (const char* part : {"src", "cli", "include"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(source / part)) {
      const std::string kind = entry.path().extension().string();
      if ((kind != ".cpp" && kind != ".hpp") || homes.contains(entry.path().filename())) continue;
      ++files;
      const std::string text = read_file(entry.path());
      for (const std::string& name : names) {
        for (const char* before : {"\"", "/"}) {
          EXPECT_EQ(text.find(before + name + '"'), std::string::npos)
              << entry.path() << " names " << name;
        }
      }
    }
  }
  EXPECT_GT(files, 100);
}

// A link to itself is refused to everybody, root too.
TEST_F(ModelDirectoryTest, WhatCannotBeLookedAtIsNotAbsent) {
  const ModelDirectory files(directory_);
  EXPECT_FALSE(files.has_checkpoint());
  EXPECT_FALSE(files.has_runtime());
  for (const auto& file : {files.checkpoint_file(), files.runtime_file()}) {
    std::filesystem::create_symlink(file, file);
  }
  EXPECT_THROW((void)files.has_checkpoint(), SystemError);
  EXPECT_THROW((void)files.has_runtime(), SystemError);
}

TEST_F(ModelDirectoryTest, MissingPartsAreErrors) {
  std::filesystem::remove(weights_);
  expect_error("model.safetensors");
  std::filesystem::remove(directory_ / "tokenizer.json");
  expect_error("tokenizer.json");
}

}  // namespace
}  // namespace sluice
