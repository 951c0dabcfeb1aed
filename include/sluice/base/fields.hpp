#pragma once
// Field tables: for a struct that is read from a file or from flags, one table of its fields, which
// gives reading, checking, writing, flags and their manual.
//
//     const FieldTable& thing_fields() {
//       static const FieldTable table =
//           FieldsOf<Thing>()
//               .add("batch", &Thing::batch, {.range = at_least(1), .flag = "--batch", .help =
//               "..."}) .add("lr", [](auto& t) -> auto& { return t.schedule.lr; }, {.range =
//               above(0)}) .add("kind", &Thing::kind);  // an enumeration with enum_names()
//       return table;
//     }
//
// Tables are usable without knowing the struct, and several can be read as one object (FieldParts):
// what is common to all models, say, and what one architecture has besides.

#include <cassert>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/field_codec.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/value.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// One field of a struct whose type is not known here. `object` is such a struct.
struct Field {
  std::string name;
  FieldSpec spec;
  /// What it takes, for messages: "a whole number of at least 1".
  std::string expected;
  /// Takes true and false.
  bool yes_no = false;
  /// Another field, which this is an older or shorter way to give; it is read and never written.
  std::string stands_for = {};
  /// Throws as `place` says when the value is not one that the field takes; sets nothing then.
  std::function<void(void* object, const Value&, const FieldPlace& place)> set = {};
  std::function<void(const Value&, const FieldPlace& place)> check = {};
  std::function<Value(const void* object)> get = {};
  std::function<void(void* to, const void* from)> copy = {};
  /// What a text means: "1e4" of a whole number, "a,b" of a list. A text that means nothing is
  /// passed on as it is, to be refused by `set`.
  std::function<Value(std::string_view text)> from_text = {};
  /// Whether an object has the field (it is written and required only then); null: all have.
  std::function<bool(const void* object)> applies = {};
};

/// The fields of a struct, in the order they were added. A finished table never changes: threads
/// may share it.
class FieldTable {
 public:
  FieldTable(std::type_index type, std::vector<Field> fields)
      : type_(type), fields_(std::move(fields)) {}
  const std::vector<Field>& fields() const { return fields_; }
  /// Null when there is none of that name.
  const Field* find(std::string_view name) const;
  std::type_index type() const { return type_; }

 private:
  std::type_index type_;
  std::vector<Field> fields_;
};

/// A struct and its table. The struct may be const: then it is only read from. Refers to both, and
/// is as safe to share as they are.
class FieldPart {
 public:
  template <class S>
  FieldPart(const FieldTable& table, S& object) : table_(&table), object_(&object) {
    assert(table.type() == typeid(S));
    if constexpr (!std::is_const_v<S>) writable_ = &object;
  }
  const FieldTable& table() const { return *table_; }
  const void* object() const { return object_; }
  void* writable() const {
    assert(writable_ != nullptr);
    return writable_;
  }

 private:
  const FieldTable* table_;
  const void* object_;
  void* writable_ = nullptr;
};

/// Structs whose fields stand side by side in one object.
using FieldParts = std::vector<FieldPart>;

/// Names of all fields, those that stand for others left out.
std::vector<std::string> field_names(const FieldParts& parts);

enum class Reading {
  /// What is missing keeps the value it has.
  partial,
  /// Every field that is not optional must be there.
  complete
};

/// Sets the fields that `object` has, and returns their names. Throws as `place` says, naming the
/// first field that is unknown (with the nearest names), of the wrong type, out of range or
/// missing; the structs may have been set in part then.
std::vector<std::string> read_fields(const FieldParts& parts, const Value& object,
                                     const FieldPlace& place, Reading reading = Reading::partial);

/// The object that read_fields() reads.
Value write_fields(const FieldParts& parts);
/// Names of the fields that it has.
std::vector<std::string> present_fields(const FieldParts& parts);

/// Throws as `place` says unless every field holds a value that could be read.
void check_fields(const FieldParts& parts, const FieldPlace& place);

/// Sets one field; `place` is where the fields stand, or the flag. Returns the field's name, that
/// of another when it stands for it. Throws as read_fields() does.
std::string set_field(const FieldParts& parts, std::string_view name, const Value& value,
                      const FieldPlace& place);

/// Copies fields between structs that have the same tables.
void copy_fields(const FieldParts& to, const FieldParts& from,
                 const std::vector<std::string>& names);

/// The object of some of the fields.
Value write_fields(const FieldParts& parts, const std::vector<std::string>& names);

/// Whether structs that have the same tables write the same object: what is not written, because
/// the rest makes it mean nothing, may differ.
bool same_fields(const FieldParts& a, const FieldParts& b);

/// A struct of which some fields were given: what a file or flags ask for, the rest being defaults.
/// For S there are `FieldParts field_parts(S&)` and the same of a const one.
template <class S>
struct Given {
  S values{};
  std::vector<std::string> names = {};

  bool has(std::string_view name) const {
    for (const std::string& given : names) {
      if (given == name) return true;
    }
    return false;
  }
  void add(const std::string& name) {
    if (!has(name)) names.push_back(name);
  }
  void remove(std::string_view name) { std::erase(names, name); }
  /// Whether any of these was given.
  template <class Names = std::initializer_list<std::string_view>>
  bool has_any(const Names& any) const {
    for (const std::string_view name : any) {
      if (has(name)) return true;
    }
    return false;
  }

  /// read_fields(), remembering the names.
  void read(const Value& object, const FieldPlace& place) {
    for (const std::string& name : read_fields(field_parts(values), object, place)) add(name);
  }
  /// set_field(), remembering the name.
  void set(std::string_view name, const Value& value, const FieldPlace& place) {
    add(set_field(field_parts(values), name, value, place));
  }
  /// Copies the given fields into `to`.
  void apply(S& to) const { copy_fields(field_parts(to), field_parts(values), names); }
  /// Those of `over` win.
  void overlay(const Given& over) {
    over.apply(values);
    for (const std::string& name : over.names) add(name);
  }
  /// The object of the given fields alone.
  Value write() const { return write_fields(field_parts(values), names); }
  /// All fields of `complete` become the given ones.
  void become(S complete) {
    values = std::move(complete);
    names = present_fields(field_parts(std::as_const(values)));
  }
};

/// Builds the table of struct S. `access` is a pointer to a member, or a function that takes an S,
/// const or not, and returns a reference to a part of it. One thread at a time.
template <class S>
class FieldsOf {
 public:
  template <class Access>
  using Member = std::remove_cvref_t<std::invoke_result_t<const Access&, S&>>;

  /// A field of a type that field_codec() knows.
  template <class Access>
  FieldsOf& add(const std::string& name, Access access, const FieldSpec& spec = {}) {
    return add(name, access, field_codec<Member<Access>>(spec), spec);
  }

  /// A field with a codec of its own.
  template <class Access>
  FieldsOf& add(const std::string& name, Access access, FieldCodec<Member<Access>> codec,
                FieldSpec spec = {}) {
    if (spec.value.empty()) spec.value = codec.value;
    fields_.push_back(
        {.name = name,
         .spec = std::move(spec),
         .expected = codec.expected,
         .yes_no = std::is_same_v<Member<Access>, bool>,
         .set =
             [access, codec](void* to, const Value& value, const FieldPlace& place) {
               std::invoke(access, *static_cast<S*>(to)) = codec.read(value, place);
             },
         .check = [codec](const Value& value,
                          const FieldPlace& place) { (void)codec.read(value, place); },
         .get =
             [access, codec](const void* from) {
               return codec.write(std::invoke(access, *static_cast<const S*>(from)));
             },
         .copy =
             [access](void* to, const void* from) {
               std::invoke(access, *static_cast<S*>(to)) =
                   std::invoke(access, *static_cast<const S*>(from));
             },
         .from_text = codec.from_text});
    return *this;
  }

  /// A field that is a struct with a table of its own.
  template <class Access>
  FieldsOf& add_struct(const std::string& name, Access access, const FieldTable& table,
                       const FieldSpec& spec = {}) {
    fields_.push_back(
        {.name = name,
         .spec = spec,
         .expected = "an object",
         .set =
             [access, &table](void* to, const Value& value, const FieldPlace& place) {
               read_fields({{table, std::invoke(access, *static_cast<S*>(to))}}, value, place);
             },
         .check =
             [&table](const Value& value, const FieldPlace& place) {
               Member<Access> ignored{};
               read_fields({{table, ignored}}, value, place);
             },
         .get =
             [access, &table](const void* from) {
               return write_fields({{table, std::invoke(access, *static_cast<const S*>(from))}});
             },
         .copy =
             [access](void* to, const void* from) {
               std::invoke(access, *static_cast<S*>(to)) =
                   std::invoke(access, *static_cast<const S*>(from));
             },
         .from_text = [](std::string_view text) { return Value(std::string(text)); }});
    return *this;
  }

  /// A field that is a list of structs with a table of their own.
  template <class Access>
  FieldsOf& add_structs(const std::string& name, Access access, const FieldTable& table,
                        const FieldSpec& spec = {}) {
    using List = Member<Access>;
    FieldCodec<List> codec;
    codec.expected = "a list of objects";
    codec.read = [&table](const Value& value, const FieldPlace& place) {
      List list;
      for (const Value& element : fields_detail::read_list(value, place)) {
        typename List::value_type read{};
        read_fields({{table, read}}, element, place.element(list.size()), Reading::complete);
        list.push_back(std::move(read));
      }
      return list;
    };
    codec.write = [&table](const List& list) {
      Value::List values;
      for (const auto& element : list) values.push_back(write_fields({{table, element}}));
      return Value(std::move(values));
    };
    codec.from_text = [](std::string_view text) { return Value(std::string(text)); };
    return add(name, access, std::move(codec), spec);
  }

  /// An older or shorter way to give field `stands_for`: read as a T, which `set(S&, T)` makes into
  /// the field's value; never written.
  template <class T>
  FieldsOf& add_alias(const std::string& name, const std::string& stands_for,
                      std::function<void(S&, T)> set, const FieldSpec& spec = {}) {
    const FieldCodec<T> codec = field_codec<T>(spec);
    fields_.push_back(
        {.name = name,
         .spec = spec,
         .expected = codec.expected,
         .stands_for = stands_for,
         .set =
             [set, codec](void* to, const Value& value, const FieldPlace& place) {
               set(*static_cast<S*>(to), codec.read(value, place));
             },
         .check = [codec](const Value& value,
                          const FieldPlace& place) { (void)codec.read(value, place); },
         .from_text = codec.from_text});
    return *this;
  }

  /// The field added last is one that an object has only if `has(object)`: it is written and
  /// required only then.
  FieldsOf& only_if(std::function<bool(const S&)> has) {
    fields_.back().applies = [has = std::move(has)](const void* object) {
      return has(*static_cast<const S*>(object));
    };
    return *this;
  }

  /// The fields of a part of the struct, as if they were its own.
  template <class Access>
  FieldsOf& add_all(Access access, const FieldTable& table) {
    assert(table.type() == typeid(Member<Access>));
    const auto to = [access](void* object) -> void* {
      return &std::invoke(access, *static_cast<S*>(object));
    };
    const auto from = [access](const void* object) -> const void* {
      return &std::invoke(access, *static_cast<const S*>(object));
    };
    for (Field field : table.fields()) {
      field.set = [to, set = field.set](void* object, const Value& value, const FieldPlace& place) {
        set(to(object), value, place);
      };
      if (field.get) {
        field.get = [from, get = field.get](const void* object) { return get(from(object)); };
        field.copy = [to, from, copy = field.copy](void* a, const void* b) {
          copy(to(a), from(b));
        };
      }
      if (field.applies) {
        field.applies = [from, applies = field.applies](const void* object) {
          return applies(from(object));
        };
      }
      fields_.push_back(std::move(field));
    }
    return *this;
  }

  /// A field that is none of these.
  FieldsOf& add_field(Field field) {
    fields_.push_back(std::move(field));
    return *this;
  }

  operator FieldTable() const { return {typeid(S), fields_}; }  // NOLINT(*-explicit-*)

 private:
  std::vector<Field> fields_;
};

}  // namespace sluice
SLUICE_API_END
