// Pieces of work as bytes.
#include "sluice/base/pieces.hpp"

#include <gtest/gtest.h>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

TEST(Pieces, TextsComeBackAsTheyWere) {
  const std::vector<std::string> texts{"", "a\nb", std::string(3, '\0'), "",
                                       std::string(9000, 'x')};
  const std::string bytes = pack(texts);
  EXPECT_EQ(unpack(bytes), texts);
  EXPECT_EQ(unpack(pack({})), std::vector<std::string>{});
  for (const std::size_t size : {std::size_t{3}, std::size_t{20}, bytes.size() - 1}) {
    EXPECT_THROW(unpack(std::string_view(bytes).substr(0, size)), Error) << size;
  }
  const std::vector<double> values{1.5, -0.0, 3};
  EXPECT_EQ(values_of_bytes<double>(bytes_of_values(values)), values);
}

TEST(Pieces, OneProcessDoesThemInOrder) {
  OwnWork own;
  EXPECT_TRUE(own.leads());
  std::string log;
  int left = 3;
  own.stream(
      [&]() -> std::optional<PieceWork::Piece> {
        if (left == 0) return std::nullopt;
        log += "r";
        return PieceWork::Piece{std::to_string(left--)};
      },
      [&](std::string_view piece) { return "w" + std::string(piece); },
      [&](std::string_view result) { log += result; });
  EXPECT_EQ(log, "rw3rw2rw1");
  own.check_same({{"model", "a"}});
  EXPECT_EQ(own.map(3, [](std::int64_t i) { return std::to_string(i * i); }),
            (std::vector<std::string>{"0", "1", "4"}));
}

}  // namespace
}  // namespace sluice
