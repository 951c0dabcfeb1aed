#include "sluice/text/detail/text_fingerprint.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support.hpp"

namespace sluice {
namespace {

using TextFingerprint = TextTest;

TEST_F(TextFingerprint, SeesEveryByteOfASmallText) {
  std::string text(10'000, 'a');
  const auto a = file("a.txt", text), b = file("b.txt", "another\n"), none = file("none.txt", "");
  const std::string plain = text_fingerprint({a, none, b});
  EXPECT_EQ(text_fingerprint({file("same.txt", text), none, b}), plain);
  for (const std::size_t at : {0U, 4095U, 4096U, 5000U, 9999U}) {
    std::string other = text;
    other[at] = 'b';
    EXPECT_NE(text_fingerprint({file("other.txt", other), none, b}), plain) << at;
  }
  EXPECT_NE(text_fingerprint({a, none, file("c.txt", "anothes\n")}), plain);
  EXPECT_NE(text_fingerprint({b, none, a}), plain);
  EXPECT_NE(text_fingerprint({a, b}), plain);
  EXPECT_NE(text_fingerprint({{a, 0, 9000}, none, b}), plain);
}

TEST_F(TextFingerprint, SeesTheSizeAndPiecesOfALargeOne) {
  const std::string text(3'000'000, 'a');
  const std::string plain = text_fingerprint({file("a.txt", text)});
  EXPECT_NE(text_fingerprint({file("b.txt", text + "a")}), plain);
  std::string other = text;
  other.replace(1'500'000, 20'000, std::string(20'000, 'b'));
  EXPECT_NE(text_fingerprint({file("c.txt", other)}), plain);
}

TEST_F(TextFingerprint, NeedsTheFiles) {
  EXPECT_THROW(text_fingerprint({path("missing.txt")}), Error);
}

}  // namespace
}  // namespace sluice
