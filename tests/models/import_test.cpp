// Checkpoints of PyTorch and fairseq (tests/golden/README.md), and files that mean harm.

#include "sluice/models/import.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <map>

#include "../../src/models/import/foreign_file.hpp"
#include "../../src/models/import/pickle.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/models/recurrent.hpp"
#include "sluice/models/safetensors.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

const std::string golden = SLUICE_SOURCE_DIR "/tests/golden/import/";

class Import : public testing::Test {
 protected:
  Import() : directory_(fs::temp_directory_path() / ("sluice_import_" + std::to_string(getpid()))) {
    fs::create_directories(directory_);
  }
  ~Import() override { fs::remove_all(directory_); }
  fs::path write(const std::string& name, const std::string& bytes) const {
    write_file(directory_ / name, bytes);
    return directory_ / name;
  }
  /// What stops the import of a file, or "imported".
  std::string fault(const fs::path& file) const {
    try {
      const ForeignFile foreign(file);
      for (const ForeignTensor& tensor : foreign.tensors()) {
        if (tensor.type != ForeignType::other) (void)foreign.read(tensor);
      }
    } catch (const Error& error) {
      return error.what();
    }
    return "imported";
  }
  std::string fault_of(const std::string& bytes) const { return fault(write("x.pt", bytes)); }
  fs::path directory_;
};

/// -ln p of every token of a stream that begins behind <eos>.
std::vector<double> nll_of(const LoadedModel& loaded, const std::vector<std::int32_t>& tokens) {
  std::vector<std::int32_t> ids(tokens.size(), loaded.tokenizer->eos());
  std::copy(tokens.begin(), tokens.end() - 1, ids.begin() + 1);
  ModelState state;
  const auto time = static_cast<std::int64_t>(ids.size());
  const Variable hidden = loaded.model->hidden(ids, 1, time, state, {});
  Tensor nll;
  (void)loaded.model->loss(hidden, tokens, {}, &nll);
  return {nll.span<float>().begin(), nll.span<float>().end()};
}

TEST_F(Import, GivesTheLogProbabilitiesOfTheOriginals) {
  std::map<std::string, Tensor> expected;
  for (const auto& [name, tensor] : read_safetensors(golden + "expected.safetensors")) {
    expected[name] = tensor;
  }
  struct Case {
    std::string file, name, dictionary, arch, softmax;
  };
  for (const Case& each : {Case{"fconv", "fconv", "dict.txt", "gcnn", "adaptive"},
                           Case{"fconv_legacy", "fconv_legacy", "dict.txt", "gcnn", "full"},
                           Case{"lstm_half", "lstm_half", "words.txt", "lstm", "full"},
                           Case{"gru_whole", "gru", "words.txt", "gru", "adaptive"},
                           Case{"rnn_views", "rnn", "words.txt", "rnn", "full"}}) {
    SCOPED_TRACE(each.file);
    const fs::path out = directory_ / each.file;
    const ImportReport report =
        import_model(golden + each.file + ".pt", {.dictionary = golden + each.dictionary}, out);
    EXPECT_EQ(report.config.arch(), each.arch);
    EXPECT_EQ(report.config.softmax, each.softmax);
    EXPECT_TRUE(report.unused.empty()) << report.unused.front();
    const LoadedModel loaded = load_model(out);
    const auto tokens = expected.at(each.name + ".tokens").span<std::int32_t>();
    const auto nll = expected.at(each.name + ".nll").span<double>();
    const std::vector<double> got = nll_of(loaded, {tokens.begin(), tokens.end()});
    ASSERT_EQ(got.size(), nll.size());
    for (std::size_t i = 0; i < nll.size(); ++i) EXPECT_NEAR(got[i], nll[i], 1e-5) << i;
  }
}

TEST_F(Import, TakesWhatACheckpointSaysOfItself) {
  const fs::path out = directory_ / "model";
  const ImportReport report =
      import_model(golden + "fconv.pt", {.dictionary = golden + "dict.txt"}, out);
  const auto& shape = report.config.shape<GcnnShape>();
  EXPECT_EQ(shape.layers, parse_layers("[(12,3)] + [(8,1,0),(8,3,0),(12,1,3)]*2 + [(16,2)]"));
  EXPECT_TRUE(shape.input_projection);
  EXPECT_EQ(report.config.cutoffs, (std::vector<std::int64_t>{10, 20}));
  EXPECT_FLOAT_EQ(report.config.dropout, 0.25F);
  EXPECT_EQ(report.inert, std::vector<std::string>{"argparse.Namespace"});
  const LoadedModel loaded = load_model(out);
  EXPECT_EQ(loaded.tokenizer->token(0), "<s>");
  EXPECT_EQ(loaded.tokenizer->token(4), "word0");
  EXPECT_EQ(loaded.tokenizer->eos(), 2);
}

TEST_F(Import, OtherNamesAreTakenByAMap) {
  const std::string fixture = SLUICE_SOURCE_DIR "/tests/golden/gcnn_glu_adaptive.safetensors";
  NamedTensors tensors = read_safetensors(fixture);
  for (auto& [name, tensor] : tensors) {
    if (name == "embedding.weight") name = "emb.w";
  }
  write_safetensors(directory_ / "theirs.safetensors", tensors);
  const fs::path config = write("config.json", R"({"model": {"arch": "gcnn", "layers": "[(24,4)]*3",
    "dim": 24, "vocabulary": 60, "unit": "glu", "norm": "weight", "dropout": 0,
    "softmax": "adaptive", "cutoffs": [10, 30], "tie": false}})");
  std::string words = "<eos>\n<unk>\n";
  for (int i = 2; i < 60; ++i) words += "w" + std::to_string(i) + "\n";
  ImportOptions options{.dictionary = write("words.txt", words), .config = config};
  const auto message = [&] {
    try {
      import_model(directory_ / "theirs.safetensors", options, directory_ / "model");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return "imported"s;
  };
  EXPECT_NE(message().find("it has no tensor 'embedding.weight'"), std::string::npos);
  options.map = write("map.txt", "# ours theirs\nembedding.weight  emb.w\n\n");
  EXPECT_EQ(message(), "imported");
  const auto model = load_model(directory_ / "model").model;
  for (const auto& [name, tensor] : read_safetensors(fixture)) {
    for (const Parameter& parameter : model->parameters()) {
      if (parameter.name != name) continue;
      const Tensor got = parameter.in_file(parameter.variable.value());
      EXPECT_EQ(std::memcmp(got.raw(), tensor.raw(), got.bytes()), 0) << name;
    }
  }
  // The parts of tails may be called as torch calls them, the twin's only other names.
  for (auto& [name, tensor] : tensors) {
    for (const auto& [ours, torchs] : {std::pair<std::string, std::string>{"0.projection", "0.0"},
                                       {"0.output", "0.1"},
                                       {"1.projection", "1.0"},
                                       {"1.output", "1.1"}}) {
      if (name == "softmax.tails." + ours + ".weight") name = "softmax.tail." + torchs + ".weight";
    }
  }
  write_safetensors(directory_ / "theirs.safetensors", tensors);
  fs::rename(directory_ / "model", directory_ / "before");
  EXPECT_EQ(message(), "imported");
  EXPECT_EQ(read_file(directory_ / "model/model.safetensors"),
            read_file(directory_ / "before/model.safetensors"));
  options.map = write("map.txt", "nothing.weight emb.w\n");
  EXPECT_NE(message().find("the model has no tensor 'nothing.weight'"), std::string::npos);
  options.map = write("map.txt", "a b c\n");
  EXPECT_NE(message().find("line 1: expected two names"), std::string::npos);
}

TEST_F(Import, SaysWhatIsMissing) {
  const auto message = [&](const fs::path& file, const ImportOptions& options) {
    try {
      import_model(file, options, directory_ / "model");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return "imported"s;
  };
  EXPECT_THROW(import_model(golden + "fconv.pt", {}, directory_ / "model"), UsageError);
  EXPECT_NE(message(golden + "fconv.pt", {.dictionary = write("few.txt", "a\nb\n")})
                .find("do not belong together"),
            std::string::npos);
  EXPECT_NE(
      message(golden + "fconv.pt", {.dictionary = golden + "dict.txt", .layers = "[(12,3)]*9"})
          .find("tensor 'decoder.convolutions.1.weight_v' is of another shape"),
      std::string::npos);
  EXPECT_NE(message(golden + "expected.safetensors", {}).find("of no model that is known"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(directory_ / "model/config.json")) << "nothing half-written";
}

// Pickles by hand.
std::string text(const std::string& s) {
  std::string out = "X";
  const auto size = static_cast<std::uint32_t>(s.size());
  out.append(reinterpret_cast<const char*>(&size), 4);
  return out + s;
}
std::string whole(std::int64_t n) {
  std::string out = "\x8a\x08";
  out.append(reinterpret_cast<const char*>(&n), 8);
  return out;
}
std::string tuple(const std::vector<std::string>& parts) {
  std::string out = "(";
  for (const std::string& part : parts) out += part;
  return out + "t";
}
std::string numbers(const std::vector<std::int64_t>& values) {
  std::vector<std::string> parts;
  for (const std::int64_t value : values) parts.push_back(whole(value));
  return tuple(parts);
}

/// A file of torch.save()'s old form with one object and one storage "0" of floats.
std::string legacy(const std::string& object, std::int64_t floats, std::int64_t said) {
  std::string file =
      "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}"s;
  file += text("little_endian") + "\x88s.\x80\x02" + object + ".\x80\x02]" + text("0") + "a.";
  file.append(reinterpret_cast<const char*>(&said), 8);
  return file + std::string(static_cast<std::size_t>(floats) * 4, '\0');
}
struct Placed {
  std::int64_t offset;
  std::vector<std::int64_t> sizes, strides;
  std::string type = "torch\nFloatStorage\n";
};
std::string tensor(const Placed& placed) {
  const std::string storage =
      tuple({text("storage"), "c" + placed.type, text("0"), text("cpu"), whole(1)}) + "Q";
  return "}" + text("w") + "ctorch._utils\n_rebuild_tensor_v2\n" +
         tuple({storage, whole(placed.offset), numbers(placed.sizes), numbers(placed.strides),
                "\x89", "}"}) +
         "Rs";
}

TEST_F(Import, PlacesAreWithinTheStorage) {
  EXPECT_EQ(fault_of(legacy(tensor({0, {3, 4}, {4, 1}}), 12, 12)), "imported");
  EXPECT_EQ(fault_of(legacy(tensor({1, {3}, {4}}), 12, 12)), "imported");
  constexpr std::int64_t huge = std::int64_t{1} << 62;
  for (const Placed& placed :
       std::vector<Placed>{{0, {3, 5}, {5, 1}},
                           {1, {3, 4}, {4, 1}},
                           {0, {3}, {6}},
                           {12, {1}, {1}},
                           {-1, {1}, {1}},
                           {0, {-3}, {1}},
                           {0, {2}, {-1}},
                           {0, {2}, {huge}},
                           {huge, {1}, {1}},
                           {0, {huge, huge}, {1, 1}},
                           // An element that stands for thousands of millions.
                           {0, {4'000'000'000}, {0}},
                           {0, {3}, {1, 1}}}) {
    EXPECT_NE(fault_of(legacy(tensor(placed), 12, 12)).find("its tensor 'w' is "),
              std::string::npos);
  }
  EXPECT_NE(fault_of(legacy(tensor({0, {3}, {1}, "os\nsystem\n"}), 12, 12)).find("unknown type"),
            std::string::npos);
  for (const std::int64_t said : {std::int64_t{13}, std::int64_t{-1}, huge}) {
    EXPECT_NE(fault_of(legacy(tensor({0, {3}, {1}}), 12, said)).find("cut short"),
              std::string::npos);
  }
}

TEST_F(Import, NothingIsCalled) {
  // What os.system("touch FILE") would be.
  const fs::path made = directory_ / "made";
  const std::string call = "cos\nsystem\n(" + text("touch " + made.string()) + "tR";
  const fs::path file = write("call.pt", legacy(call, 0, 0));
  // The storage is of no tensor.
  EXPECT_NE(fault(file).find("is of no tensor"), std::string::npos);
  const Pickle read("\x80\x02" + call + ".");
  EXPECT_EQ(read.inert(), std::set<std::string>{"os.system"});
  EXPECT_EQ(read.root().kind, PickleNode::Kind::object);
  EXPECT_FALSE(fs::exists(made));
  const auto why = [](const std::string& bytes) {
    try {
      const Pickle pickle(bytes);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return "read"s;
  };
  for (const std::string opcode : {"i", "o", "P", "R", "b", "t", "e", "u", "s", "a", "\x81", "Q"}) {
    EXPECT_NE(why(opcode + "."), "read") << opcode;
  }
  EXPECT_NE(why("i__builtin__\neval\n.").find("opcode 0x69"), std::string::npos);
  EXPECT_NE(why("h\x05.").find("recalls"), std::string::npos);
  // Deep, wide and in circles.
  EXPECT_EQ(why("N" + std::string(1'000'000, '\x85') + "."), "read");
  EXPECT_NE(why(std::string(6'000'000, 'N') + ".").find("5 million"), std::string::npos);
  EXPECT_NE(why("X\xff\xff\xff\xff" + std::string(10, 'x')).find("cut short"), std::string::npos);
  EXPECT_NE(
      fault_of(legacy("}q\x01" + text("a") + "h\x01s" + tensor({0, {1}, {1}}).substr(1), 1, 1))
          .find("nested"),
      std::string::npos);
}

// Every fixture cut short anywhere and with single bytes changed: refused or read, never worse.
TEST_F(Import, DamageIsNoticedOrHarmless) {
  for (const char* name : {"fconv.pt", "fconv_legacy.pt", "rnn_views.pt", "expected.safetensors"}) {
    const std::string good = read_file(golden + name);
    EXPECT_EQ(fault_of(good), "imported") << name;
    for (std::size_t size = 0; size < good.size(); size += 1 + good.size() / 150) {
      EXPECT_NE(fault_of(good.substr(0, size)), "imported") << name << " " << size;
    }
    std::uint64_t state = 1;
    for (int i = 0; i < 400; ++i) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      std::string bad = good;
      // Half of them in the last fifth, where a zip file has its directory.
      const std::size_t last = good.size() / 5;
      const std::size_t at =
          i % 2 == 0 ? (state >> 33U) % good.size() : good.size() - last + (state >> 33U) % last;
      bad[at] = static_cast<char>(state >> 20U);
      (void)fault_of(bad);
    }
  }
}

TEST_F(Import, OtherFilesAreRefused) {
  for (const std::string& bytes :
       {""s, "PK\x03\x04"s, "text\n"s, std::string(100, '\0'), std::string(100, '\xff'),
        "\x10\0\0\0\0\0\0\0{\"a\": 1}"s, "\x80\x02\x8a\x0a"s}) {
    EXPECT_EQ(fault_of(bytes).find("cannot import '"), 0U) << bytes;
  }
  // A length of 2^63 before the header.
  EXPECT_NE(fault_of("\0\0\0\0\0\0\0\x80{}"s).find("larger than 16 MiB"), std::string::npos);
}

}  // namespace
}  // namespace sluice
