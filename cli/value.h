// What commands give to programs: a value that the printer writes as JSON.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace morsel::cli {

/// A truth, a number, a text, a list of values, or values with names in the order in which they
/// were set.
class Value {
 public:
  enum class Kind { kTruth, kNumber, kText, kList, kNamed };

  /// Values with names; none yet.
  Value() : kind_(Kind::kNamed) {}
  Value(bool truth) : kind_(Kind::kTruth), number_(truth) {}                            // NOLINT
  Value(std::unsigned_integral auto number) : kind_(Kind::kNumber), number_(number) {}  // NOLINT
  Value(std::string text) : kind_(Kind::kText), text_(std::move(text)) {}               // NOLINT
  Value(const char* text) : kind_(Kind::kText), text_(text) {}                          // NOLINT
  Value(const std::vector<std::string>& texts) : kind_(Kind::kList) {                   // NOLINT
    for (const std::string& text : texts) values_.emplace_back(text);
  }
  static Value List() { return Value(Kind::kList); }

  /// Adds a value with a name to values with names. Names are not set twice.
  Value& Set(std::string name, Value value) {
    names_.push_back(std::move(name));
    values_.push_back(std::move(value));
    return *this;
  }
  /// Adds a value to a list.
  Value& Add(Value value) {
    values_.push_back(std::move(value));
    return *this;
  }

  Kind kind() const { return kind_; }
  bool truth() const { return number_ != 0; }
  uint64_t number() const { return number_; }
  const std::string& text() const { return text_; }
  const std::vector<std::string>& names() const { return names_; }  ///< as many as values()
  const std::vector<Value>& values() const { return values_; }

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_;
  uint64_t number_ = 0;
  std::string text_;
  std::vector<std::string> names_;
  std::vector<Value> values_;
};

}  // namespace morsel::cli
