from tool_support import ToolTest

TABLE = """
set(TATARA_MODULES base numerics model)
set(TATARA_USES_base)
set(TATARA_USES_numerics)  # nothing
set(TATARA_USES_model numerics)
"""


class CheckIncludesTest(ToolTest):
    def check(self, *files):
        self.write("cmake/modules.cmake", TABLE)
        for path, text in files:
            self.write(path, text)
        return self.run_tool("check_includes", "--root", str(self.root))

    def test_accepts_what_the_row_names(self):
        status, out = self.check(("src/model/a.cc", '#include <vector>\n#include "tatara/numerics/ops.h"\n'
                                                    '#include "tatara/base/error.h"\n#include "keys.h"\n'))
        self.assertEqual((status, out), (0, ""))

    def test_names_file_line_and_module_of_a_forbidden_include(self):
        status, out = self.check(("src/numerics/a_test.cc", '\n#  include "tatara/model/model.h"\n'))
        self.assertEqual(status, 1)
        self.assertIn("src/numerics/a_test.cc:2: module numerics may not include model", out)

    def test_nothing_is_inherited_in_the_other_direction(self):
        status, out = self.check(("src/base/a.h", '#include "tatara/numerics/ops.h"\n'))
        self.assertEqual(status, 1)
        self.assertIn("may not include numerics", out)

    def test_refuses_paths_that_go_around_the_table(self):
        status, out = self.check(("src/numerics/avx2/a.cc", '#include "../../model/keys.h"\n'
                                                            '#include "model/keys.h"\n#include "src/base/x.h"\n'))
        self.assertEqual(status, 1)
        self.assertEqual(out.count("src/numerics/avx2/a.cc:"), 3)

    def test_refuses_a_module_that_the_table_lacks(self):
        status, out = self.check(("src/extra/a.cc", "int a;\n"))
        self.assertEqual(status, 1)
        self.assertIn("'extra' is not in the table", out)

    def test_refuses_an_empty_tree(self):
        self.assertEqual(self.check()[0], 1)
