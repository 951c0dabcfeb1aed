#pragma once
// A std::variant that may be copied where memory runs out.

#include <type_traits>
#include <utility>
#include <variant>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// std::variant, whose copy constructor is safe when that of an alternative throws. In libstdc++ 12
/// it destroys what it has not made when all alternatives are numbers, strings, vectors or shared
/// pointers, and jumps anywhere. Used as a std::variant is, with std::visit() and std::get().
template <class... Alternatives>
class OneOf : public std::variant<Alternatives...> {
  using Base = std::variant<Alternatives...>;

 public:
  using Base::Base;
  using Base::operator=;
  OneOf() = default;
  // The alternative is copied by itself and then moved, which does not throw.
  OneOf(const OneOf& other)
      : Base(std::visit(
            [](const auto& held) {
              return Base(std::in_place_type<std::remove_cvref_t<decltype(held)>>, held);
            },
            static_cast<const Base&>(other))) {}
  OneOf(OneOf&&) noexcept = default;
  OneOf& operator=(const OneOf&) = default;
  OneOf& operator=(OneOf&&) noexcept = default;
  ~OneOf() = default;
};

}  // namespace sluice
SLUICE_API_END
