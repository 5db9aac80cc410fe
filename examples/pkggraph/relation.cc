#include "examples/pkggraph/relation.h"

#include <algorithm>
#include <string>

#include "examples/pkggraph/parse_error.h"

namespace pkggraph {
namespace {

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsNameCharacter(char c) {
  return IsAlphanumeric(c) || c == '-' || c == '+' || c == '.' || c == '_';
}

bool IsVersionCharacter(char c) {
  return IsAlphanumeric(c) || c == '.' || c == '+' || c == '-' || c == ':' || c == '~';
}

// Reads one value from left to right.
class RelationParser {
 public:
  RelationParser(EdgeKind kind, std::string_view value, size_t line)
      : kind_(kind), value_(value), line_(line) {}

  void Parse(uint32_t clause, std::vector<Relation>& relations) {
    for (SkipBlanks(); !AtEnd(); SkipBlanks()) {
      if (Take(',')) continue;  // an empty clause asks for nothing
      ParseClause(clause++, relations);
      SkipBlanks();
      if (!AtEnd() && !Take(',')) Expected("',' or '|'");
    }
  }

 private:
  void ParseClause(uint32_t clause, std::vector<Relation>& relations) {
    const size_t first = relations.size();
    do {
      relations.push_back(ParseRelation(clause));
      SkipBlanks();
    } while (Take('|'));
    if (relations.size() == first + 1) return;
    if (kind_ == EdgeKind::kProvides) {
      throw ParseError(line_, "Provides has no alternatives, but found '|'");
    }
    for (size_t i = first; i < relations.size(); ++i) {
      relations[i].kind =
          kind_ == EdgeKind::kDepends ? EdgeKind::kAlternative : EdgeKind::kPreAlternative;
    }
  }

  Relation ParseRelation(uint32_t clause) {
    Relation relation{.kind = kind_, .clause = clause};
    SkipBlanks();
    relation.name = TakeWhile(IsNameCharacter);
    if (!IsPackageName(relation.name)) Expected("a package's name");
    if (Take(':')) {
      relation.qualifier = TakeWhile(IsNameCharacter);
      if (relation.qualifier.empty()) Expected("an architecture or \"any\" after ':'");
    }
    SkipBlanks();
    if (Take('(')) ParseConstraint(relation);
    SkipBlanks();
    if (!AtEnd() && (Peek() == '[' || Peek() == '<')) {
      throw ParseError(line_, "a restriction " + Quoted(value_.substr(at_)) +
                                  " belongs in source packages, not in an index of binary ones");
    }
    return relation;
  }

  void ParseConstraint(Relation& relation) {
    SkipBlanks();
    relation.order = ParseOrder();
    SkipBlanks();
    relation.version = TakeWhile(IsVersionCharacter);
    if (relation.version.empty()) Expected("a version");
    SkipBlanks();
    if (!Take(')')) Expected("')'");
  }

  VersionOrder ParseOrder() {
    const std::string_view sign =
        TakeWhile([](char c) { return c == '<' || c == '=' || c == '>'; });
    // A single '<' or '>' is of old, and means what follows beside it.
    if (sign == "<<") return VersionOrder::kEarlier;
    if (sign == "<=" || sign == "<") return VersionOrder::kEarlierOrEqual;
    if (sign == "=") return VersionOrder::kEqual;
    if (sign == ">=" || sign == ">") return VersionOrder::kLaterOrEqual;
    if (sign == ">>") return VersionOrder::kLater;
    throw ParseError(line_, "expected one of << <= = >= >>, found " +
                                Quoted(sign.empty() ? value_.substr(at_) : sign));
  }

  bool AtEnd() const { return at_ == value_.size(); }
  char Peek() const { return value_[at_]; }
  bool Take(char wanted) {
    if (AtEnd() || Peek() != wanted) return false;
    ++at_;
    return true;
  }
  template <class Predicate>
  std::string_view TakeWhile(Predicate&& belongs) {
    const size_t first = at_;
    while (!AtEnd() && belongs(Peek())) ++at_;
    return value_.substr(first, at_ - first);
  }
  void SkipBlanks() {
    for (; !AtEnd() && (Peek() == ' ' || Peek() == '\t' || Peek() == '\r' || Peek() == '\n');
         ++at_) {
      line_ += Peek() == '\n';
    }
  }
  [[noreturn]] void Expected(const std::string& what) const {
    throw ParseError(line_, "expected " + what + ", found " +
                                (AtEnd() ? "the field's end" : Quoted(value_.substr(at_))));
  }

  const EdgeKind kind_;
  const std::string_view value_;
  size_t line_;
  size_t at_ = 0;
};

}  // namespace

const char* EdgeKindName(EdgeKind kind) {
  static constexpr const char* kNames[kEdgeKinds] = {
      "Depends",  "Pre-Depends", "Depends-Alternative", "Pre-Depends-Alternative",
      "Provides", "Provided-By"};
  return kNames[static_cast<size_t>(kind)];
}

const char* VersionOrderSign(VersionOrder order) {
  static constexpr const char* kSigns[] = {"", "<<", "<=", "=", ">=", ">>"};
  return kSigns[static_cast<size_t>(order)];
}

void ParseRelations(EdgeKind kind, std::string_view value, size_t line, uint32_t clause,
                    std::vector<Relation>& relations) {
  RelationParser(kind, value, line).Parse(clause, relations);
}

bool IsPackageName(std::string_view name) {
  return !name.empty() && IsAlphanumeric(name[0]) &&
         std::all_of(name.begin(), name.end(), IsNameCharacter);
}

bool IsVersion(std::string_view version) {
  return !version.empty() && std::all_of(version.begin(), version.end(), IsVersionCharacter);
}

}  // namespace pkggraph
