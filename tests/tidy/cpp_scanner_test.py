#!/usr/bin/env python3
"""The scanner finds every function, whatever stands around and in it."""

import sys
import unittest

sys.dont_write_bytecode = True

import cpp_scanner


class CppScanner(unittest.TestCase):
    def assert_functions(self, text, *expected):
        found = [(function.name, function.length) for function in cpp_scanner.functions(text)]
        self.assertEqual(found, list(expected))

    def test_plain_functions_and_methods(self):
        self.assert_functions("int f() {\n  return 1;\n}\n", ("f", 3))
        self.assert_functions(
            "namespace a {\nclass C : public B<int(int)> {\n public:\n  int f() {\n  }\n};\n}",
            ("f", 2),
        )
        self.assert_functions("enum class E : int { kA };\nstruct S { int a; } s = {1};\n")
        self.assert_functions("struct alignas(64) S {\n  void f() {}\n};\n", ("f", 1))
        self.assert_functions("struct S f(int a) {\n}\n", ("f", 2))

    def test_a_signature_over_several_lines_counts(self):
        self.assert_functions("template <class T>\nint f(\n    T a)\n{\n}\n", ("f", 5))

    def test_literals_and_comments_open_nothing(self):
        body = """
          const char* a = "{ \\" {";  // {
          char b = '{', c = '\\'', d = '"'; /* { {
          { */ int e = 1'000'000;
          auto g = R"x({ )" { )x";
        """
        self.assert_functions("void f() {" + body + "}\n", ("f", 6))

    def test_constructors_with_initializers(self):
        self.assert_functions("S::S(int a)\n    : a_{a}, b_(b), c_{} {\n}\n", ("S::S", 3))
        self.assert_functions("S::S() noexcept : a_{1} {}\n", ("S::S", 1))
        self.assert_functions("struct S {\n  explicit S(O o = {}) : a_(o) {\n  }\n};\n", ("S", 2))

    def test_operators_and_lambdas(self):
        self.assert_functions("S& S::operator=(S&& s) {\n}\n", ("S::operator=", 2))
        self.assert_functions("bool operator==(S a, S b) {}\n", ("operator==", 1))
        self.assert_functions("auto f = [](int a) {\n  return a;\n};\n", ("lambda", 3))
        self.assert_functions("int v[] = {1, 2};\nint w{3};\nvoid f() {}\n", ("f", 1))

    def test_tests_are_functions(self):
        self.assert_functions("TEST(Suite, Name) {\n}\n", ("TEST(Suite, Name)", 2))

    def test_both_branches_of_an_if_may_open_a_function(self):
        text = "#if A\nint f() {\n#else\nint f(int a) {\n#endif\n  return 1;\n}\nint g() {}\n"
        self.assert_functions(text, ("f", 4), ("g", 1))
        text = '#ifdef X\nextern "C" {\n#endif\nint f() {}\n#ifdef X\n}\n#endif\n'
        self.assert_functions(text, ("f", 1))

    def test_macros_open_nothing(self):
        self.assert_functions("#define OPEN {  \\\n  {\nint f() {}\n", ("f", 1))

    def assert_declares(self, text, *expected):
        found = [(d.kind, d.name, d.scope) for d in cpp_scanner.declarations(text)]
        self.assertEqual(found, list(expected))

    def test_declarations_of_types(self):
        for text in (
            "namespace a {\nclass A final : public B<C> {\n};\n}",
            "template <class T>\nstruct alignas(8) A<T*> {};",
            "typedef struct A { int a; } A;",
            "using A = int(int);",
        ):
            self.assert_declares(text, ("type", "A", ""))
        self.assert_declares("enum class E : int { kA, kB = f(1) };", ("type", "E", ""))
        self.assert_declares("struct A {\n  union B {};\n};", ("type", "A", ""), ("type", "B", "A"))
        self.assert_declares("class A;\nenum class E : int;\nfriend class B;\nstruct { int a; } b;")

    def test_declarations_of_functions(self):
        f = ("function", "f", "")
        self.assert_declares("[[nodiscard]] R<S<int>> f(int a = {}, B b = B());", f)
        self.assert_declares("int f() {}\nvoid A::g() {}", f, ("function", "A::g", ""))
        inner = "struct A {\n  virtual int f(std::function<void(int)> g) const = 0;\n  A(B b);\n};"
        self.assert_declares(inner, ("type", "A", ""), ("function", "f", "A"))
        variables = ("std::function<void(int)> f;", "int a = f(1);", "A a{f(1)};")
        for text in (*variables, "static_assert(f(1));"):
            self.assert_declares(text)

    def test_what_no_other_source_sees(self):
        text = "static int f();\nnamespace {\nint g();\n}\nint h();\nstruct A { static int i(); };"
        local = {d.name: d.is_local for d in cpp_scanner.declarations(text)}
        self.assertEqual(local, {"f": True, "g": True, "h": False, "A": False, "i": False})

    def test_what_cannot_be_read_is_said(self):
        for text in ("int f() {\n", "}\n"):
            with self.assertRaises(cpp_scanner.Unbalanced):
                cpp_scanner.functions(text)


if __name__ == "__main__":
    unittest.main()
