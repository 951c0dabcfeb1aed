// Values and their texts where memory runs out: at every allocation there is, one after another.

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/one_of.hpp"
#include "sluice/base/value.hpp"

namespace {

/// Allocations until one fails and, if `all_after` is set, every one after it; negative: none does.
thread_local long left = -1;
thread_local bool all_after = false;

bool fails() {
  if (left < 0) return false;
  if (left > 0) {
    --left;
    return false;
  }
  if (!all_after) left = -1;
  return true;
}

}  // namespace

/// The C++ library's, which this program calls instead.
void* operator new(std::size_t size) {
  void* const memory = fails() ? nullptr : std::malloc(size > 0 ? size : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
// Where it is inlined, GCC takes its free() for a mistake.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace sluice {
namespace {

/// Calls action() with the first allocation failing, the second and so on, each by itself and with
/// all that follow, until it passes. Returns how many failed.
template <class Action>
int failures(Action&& action) {
  int count = 0;
  for (const bool all : {false, true}) {
    for (long n = 0;; ++n) {
      all_after = all;
      left = n;
      try {
        action();
        left = -1;
        break;
      } catch (const std::bad_alloc&) {
        left = -1;
        ++count;
      }
    }
  }
  return count;
}

const std::string long_text(100, 'a');

Value nested() {
  return Value::Object{
      {long_text, Value::List{long_text, 1, 0.1, Value::List{Value::List{long_text}, true}}},
      {"b", Value::Object{{"c", long_text}, {"\xff\x01", Value()}}},
      {"d", Value::Object{{"e", Value::Object{{"f", Value::List{1, 2}}}}}}};
}

TEST(FailingMemory, OfCopies) {
  const Value value = nested();
  Value copy;
  EXPECT_GT(failures([&] { copy = Value(value); }), 20);
  EXPECT_EQ(copy, value);
  Value other = Value::List{};
  EXPECT_GT(failures([&] {
              try {
                other = value;
              } catch (const std::bad_alloc&) {
                left = -1;
                EXPECT_TRUE(other == Value::List{} || other.as<Value::Object>() != nullptr);
                throw;
              }
            }),
            8);
  EXPECT_EQ(other, value);

  using Several = OneOf<int, std::string, std::vector<std::string>, std::shared_ptr<int>>;
  for (const Several& from : {Several(long_text), Several(std::vector<std::string>{long_text})}) {
    Several to;
    EXPECT_GE(failures([&] { to = Several(from); }), 2);
    EXPECT_EQ(to, from);
  }
}

TEST(FailingMemory, OfReadingAndWritingJson) {
  const Value value = nested();
  const FieldPlace place{.where = "a text"};
  std::string text;
  EXPECT_GT(failures([&] { text = json_text(value); }), 4);
  Value read;
  EXPECT_GT(failures([&] { read = parse_json(text, place); }), 20);
  EXPECT_EQ(json_text(read), text);
}

}  // namespace
}  // namespace sluice
