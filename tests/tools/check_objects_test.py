import subprocess

from tool_support import ToolTest

PLAIN = "extern const int kTable; const int kTable = 3; static int f() { return 1; } int g() { return f(); }"


class CheckObjectsTest(ToolTest):
    def build(self, isa_source=PLAIN, library_source="int h() { return 2; }"):
        self.write("isa.cc", isa_source)
        self.write("library.cc", library_source)
        (self.root / "CMakeFiles/x.dir/avx2").mkdir(parents=True)
        self.compile("isa.cc", "CMakeFiles/x.dir/avx2/isa.cc.o")
        self.compile("library.cc", "library.o")
        for name in ("numerics", "model", "generate", "learn"):
            subprocess.run(["ar", "rc", self.root / f"libtatara_{name}.a", self.root / "library.o"], check=True)

    def compile(self, source, target):
        subprocess.run(["c++", "-std=c++20", "-O1", "-fno-builtin", "-c", self.root / source, "-o", self.root / target],
                       check=True)

    def test_accepts_internal_linkage_and_the_allowed_functions(self):
        self.build(library_source="#include <math.h>\ndouble h(double x) { return fma(sqrt(x), floor(x), rint(x)); }")
        self.assertEqual(self.run_tool("check_objects", str(self.root)), (0, ""))

    def test_refuses_a_weak_symbol_in_an_isa_object(self):
        self.build(isa_source="__attribute__((noinline)) inline int weak_one(int a) { return a + 1; }\n"
                              "int g(int a) { return weak_one(a); }")
        status, out = self.run_tool("check_objects", str(self.root))
        self.assertEqual(status, 1)
        self.assertIn("avx2/isa.cc.o: weak symbol _Z8weak_onei", out)

    def test_refuses_other_functions_of_libm(self):
        for call in ("exp(x)", "powf(x, x)", "round(x)", "__log_finite(x)"):
            with self.subTest(call):
                self.setUp()
                self.build(library_source='#include <math.h>\nextern "C" double __log_finite(double);\n'
                                          f"double h(double x) {{ return {call}; }}")
                status, out = self.run_tool("check_objects", str(self.root))
                self.assertEqual(status, 1)
                self.assertIn(f"libtatara_numerics.a(library.o): uses {call.split('(')[0]} of libm", out)

    def test_nothing_built_is_no_success(self):
        self.assertEqual(self.run_tool("check_objects", str(self.root))[0], 2)
