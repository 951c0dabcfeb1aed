#include "sluice/models/safetensors.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"

namespace sluice {
namespace {

class Safetensors : public testing::Test {
 protected:
  Safetensors()
      : directory_(std::filesystem::temp_directory_path() /
                   ("sluice_safetensors_" + std::to_string(getpid()))),
        path_(directory_ / "x.safetensors") {
    std::filesystem::create_directories(directory_);
  }
  ~Safetensors() override { std::filesystem::remove_all(directory_); }

  /// Without the fsyncs of write_file, which thousands of files would wait for.
  void overwrite(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  void replace_byte(std::size_t position, char byte) const {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(position)).put(byte);
  }
  /// A file of raw parts, without checksums.
  void write_raw(const std::string& header, const std::string& data) const {
    const std::uint64_t length = header.size();
    std::string text(sizeof length, '\0');
    std::memcpy(text.data(), &length, sizeof length);
    overwrite(text + header + data);
  }
  std::string read_error() const {
    try {
      read_safetensors(path_);
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(path_.string()), std::string::npos) << error.what();
      return error.what();
    }
    return "";
  }

  std::filesystem::path directory_;
  std::filesystem::path path_;
};

/// Most memory this process has held resident, in bytes.
long peak_resident() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

NamedTensors sample() {
  const float floats[] = {1.5F, -2, 0, std::numeric_limits<float>::infinity(), 3e-42F, 7};
  const double doubles[] = {0.1, -1e300};
  const std::uint16_t halves[] = {0x3F80, 0xC000, 0x7F80};
  const std::int32_t ints[] = {-5, 2'000'000'000};
  return {{"b.weight", Tensor::of<float>({2, 3}, floats)},
          {"a", Tensor::of<double>({2}, doubles)},
          {"empty", Tensor(Shape{0, 4})},
          {"half \"x\" é", Tensor::of<std::uint16_t>({3, 1, 1, 1}, halves)},
          {"ids", Tensor::of<std::int32_t>({1, 2, 1}, ints)}};
}

void expect_equal(const NamedTensors& actual, const NamedTensors& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    const Tensor* found = nullptr;
    for (const auto& each : actual) {
      if (each.first == name) found = &each.second;
    }
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(found->shape(), tensor.shape()) << name;
    ASSERT_EQ(found->dtype(), tensor.dtype()) << name;
    if (tensor.bytes() > 0) {
      EXPECT_EQ(std::memcmp(found->raw(), tensor.raw(), tensor.bytes()), 0) << name;
    }
  }
}

TEST_F(Safetensors, RoundTripIsExact) {
  write_safetensors(path_, sample(), {{"format", "pt"}, {"note", "line\nend"}});
  Metadata metadata;
  expect_equal(read_safetensors(path_, &metadata), sample());
  EXPECT_EQ(metadata, (Metadata{{"format", "pt"}, {"note", "line\nend"}}));
  write_safetensors(path_, NamedTensors());
  EXPECT_TRUE(read_safetensors(path_, &metadata).empty());
  EXPECT_TRUE(metadata.empty());
}

// The layout other programs rely on: header length, JSON header, data aligned and in order.
TEST_F(Safetensors, FileLayout) {
  write_safetensors(path_, sample());
  const std::string file = read_file(path_);
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  EXPECT_EQ((length + 8) % 64, 0U);
  EXPECT_EQ(file.substr(8, 17), "{\"__metadata__\":{");
  EXPECT_NE(file.find("\"b.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}"),
            std::string::npos);
  EXPECT_NE(file.find("\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[24,40]}"),
            std::string::npos);
  float first = 0;
  std::memcpy(&first, file.data() + 8 + length, sizeof first);
  EXPECT_EQ(first, 1.5F);
}

// What was written before tensors went to the file one by one: the bytes must not change.
TEST_F(Safetensors, TheBytesAreThoseOfEarlierVersions) {
  write_safetensors(path_, sample(), {{"format", "pt"}, {"note", "line\nend"}});
  EXPECT_EQ(file_checksum(path_), "880f065c0c9667e6");
}

// Writing takes the memory of the largest tensor, whatever there is of them.
TEST_F(Safetensors, WritesOneTensorAtATime) {
  constexpr std::int64_t elements = 1 << 20;
  const auto make = [] {
    Tensor tensor(Shape{elements});
    for (std::int64_t i = 0; i < elements; ++i) {
      tensor.data<float>()[i] = static_cast<float>(i);
    }
    return tensor;
  };
  TensorSources sources;
  for (int i = 0; i < 20; ++i) {
    sources.push_back({{"t" + std::to_string(i), Shape{elements}, DType::f32}, make});
  }
  release_cached_memory();
  const AllocatorStats before = allocator_stats();
  std::size_t most = 0;
  for (TensorSource& source : sources) {
    source.make = [&, inner = source.make] {
      Tensor tensor = inner();
      most = std::max(most, allocator_stats().bytes_in_use - before.bytes_in_use);
      return tensor;
    };
  }
  const long resident = peak_resident();
  write_safetensors(path_, sources);
  EXPECT_LE(most, 4 * elements + 4096);
  // Nor does it gather them elsewhere: 80 MB would show. (0 where the kernel does not tell.)
  EXPECT_LT(peak_resident() - resident, 40'000'000);

  const SafetensorsFile file(path_);
  file.check_data();
  EXPECT_EQ(file.tensors().size(), 20U);
  EXPECT_EQ(file.read("t19").data<float>()[elements - 1], static_cast<float>(elements - 1));
}

TEST_F(Safetensors, ASourceThatBreaksItsWordLeavesTheOldFile) {
  write_safetensors(path_, sample());
  const std::string before = read_file(path_);
  const auto failing = [&](Tensor made) {
    return TensorSources{source_of("a", Tensor::zeros({4})),
                         {{"b", Shape{3}, DType::f32}, [made] { return made; }}};
  };
  for (const Tensor& made : {Tensor::zeros({2}), Tensor::zeros({3}, DType::f64)}) {
    EXPECT_THROW(write_safetensors(path_, failing(made)), Error);
  }
  TensorSources throwing = failing(Tensor());
  throwing[1].make = []() -> Tensor { throw std::runtime_error("no"); };
  EXPECT_THROW(write_safetensors(path_, throwing), std::runtime_error);
  EXPECT_EQ(read_file(path_), before);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
}

TEST_F(Safetensors, TheHeaderIsReadAlone) {
  write_safetensors(path_, sample(), {{"note", "x"}});
  replace_byte(read_file(path_).size() - 3, 'x');  // damaged data
  const SafetensorsFile file(path_);
  EXPECT_EQ(file.metadata(), (Metadata{{"note", "x"}}));
  ASSERT_EQ(file.tensors().size(), 5U);
  EXPECT_EQ(file.find("a")->shape, (Shape{2}));
  EXPECT_EQ(file.find("a")->dtype, DType::f64);
  EXPECT_EQ(file.find("stranger"), nullptr);
  EXPECT_EQ(file.read("b.weight").data<float>()[0], 1.5F);
  EXPECT_THROW(file.read("stranger"), Error);
  EXPECT_THROW(file.check_data(), Error);
  const TensorSources sources = file.sources("b.");
  ASSERT_EQ(sources.size(), 1U);
  EXPECT_EQ(sources[0].info.name, "weight");
  EXPECT_EQ(sources[0].make().data<float>()[1], -2);
}

TEST_F(Safetensors, NamesAreChecked) {
  const Tensor x = Tensor::zeros({1});
  const auto write = [&](const NamedTensors& tensors) { write_safetensors(path_, tensors); };
  EXPECT_THROW(write({{"x", x}, {"x", x}}), Error);
  EXPECT_THROW(write({{"", x}}), Error);
  EXPECT_THROW(write({{"__metadata__", x}}), Error);
  EXPECT_THROW(write({{"\xFF", x}}), Error);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(Safetensors, TruncationAtEveryLengthIsAnError) {
  write_safetensors(path_, sample());
  const std::string whole = read_file(path_);
  for (std::size_t size = whole.size(); size-- > 0;) {
    std::filesystem::resize_file(path_, size);
    EXPECT_NE(read_error(), "") << "accepted " << size << " of " << whole.size() << " bytes";
  }
  overwrite(whole + "x");
  EXPECT_NE(read_error(), "");
}

// Two kinds of damage to each byte; both must be refused or harmless.
TEST_F(Safetensors, DamageToEveryByteIsDetected) {
  write_safetensors(path_, sample(), {{"format", "pt"}});
  const std::string whole = read_file(path_);
  std::size_t accepted = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {0x01, 0x80}) {
      replace_byte(i, static_cast<char>(whole[i] ^ flip));
      try {
        expect_equal(read_safetensors(path_), sample());
        ++accepted;
      } catch (const Error&) {
      }
      replace_byte(i, whole[i]);
    }
  }
  // Only damage to the names of the checksums themselves can pass unseen.
  EXPECT_LE(accepted, 2 * std::string("xxh3_64header_xxh3_64").size());
}

TEST_F(Safetensors, FlippedDataBitSaysDamaged) {
  write_safetensors(path_, sample());
  std::string file = read_file(path_);
  file[file.size() - 20] = static_cast<char>(file[file.size() - 20] ^ 4);
  overwrite(file);
  EXPECT_NE(read_error().find("damaged data: the checksum does not match"), std::string::npos);
}

TEST_F(Safetensors, FilesOfOthersWithoutChecksumsAreRead) {
  write_raw(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}   )", std::string(4, '\0'));
  const NamedTensors tensors = read_safetensors(path_);
  ASSERT_EQ(tensors.size(), 1U);
  EXPECT_EQ(tensors[0].second.data<float>()[0], 0.0F);
  write_raw(R"({"x":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", std::string(4, '\0'));
  EXPECT_EQ(read_safetensors(path_)[0].second.shape().rank(), 0);
}

TEST_F(Safetensors, FaultsAreNamed) {
  const std::string four(4, '\0');
  const auto entry = [](const std::string& fields) { return "{\"x\":{" + fields + "}}"; };
  const std::tuple<std::string, std::string, std::string> cases[] = {
      {"[1,2]", "", "not a safetensors file"},
      {"{\"x\":", "", "header is damaged, line 1"},
      {"{\"x\":1}", "", "tensor 'x' has no dtype"},
      {"{\"__metadata__\":{\"a\":1}}", "", "metadata 'a' is not a string"},
      {"{\"__metadata__\":[]}", "", "metadata is not a JSON object"},
      {"{\"__metadata__\":{\"xxh3_64\":\"0123456789abcdef\"}}", "", "the checksum does not match"},
      {"{\"__metadata__\":{\"header_xxh3_64\":\"\"}}", "", "damaged header"},
      {entry(R"("dtype":"F16","shape":[2],"data_offsets":[0,4])"), four, "has dtype F16"},
      {entry(R"("dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[0,4])"), four, "5 dimensions"},
      {entry(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), four, "shape of tensor 'x'"},
      {entry(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), four, "shape of tensor 'x'"},
      {entry(R"("dtype":"F32","shape":[1])"), four, "data_offsets of tensor 'x'"},
      {entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), four, "offsets of tensor 'x'"},
      {entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), four, "truncated: tensor 'x'"},
      {entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), four, "does not fit its 4"},
      {entry(R"("dtype":"F32","shape":[1073741824,1073741824,16,1],"data_offsets":[0,4])"), four,
       "does not fit its 4"},
      {entry(R"("dtype":"F32","shape":[0,9223372036854775807],"data_offsets":[0,0])"), "",
       "does not fit its 0"},
      {entry(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), four + four, "its data has 8"},
      {entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), four + four, "expected 0"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("y":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
       four + four, "begins at byte 2 of the data, expected 4"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       four, "names 'x' twice"},
      {"{\"x\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}", "",
       "nested deeper than 3 levels"},
  };
  for (const auto& [header, data, fault] : cases) {
    write_raw(header, data);
    const std::string message = read_error();
    EXPECT_NE(message.find(fault), std::string::npos)
        << header.substr(0, 100) << ": " << message.substr(0, 300);
  }
  overwrite(std::string(8, '\xFF') + "{}");
  EXPECT_NE(read_error().find("not a safetensors file"), std::string::npos);
}

TEST_F(Safetensors, MissingFile) {
  EXPECT_THROW(read_safetensors(directory_ / "none"), Error);
  EXPECT_THROW(read_safetensors(directory_), Error);
}

}  // namespace
}  // namespace sluice
