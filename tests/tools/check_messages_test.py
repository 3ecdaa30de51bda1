from tool_support import ToolTest


class CheckMessagesTest(ToolTest):
    def check(self, source, japanese, base=""):
        self.write("src/base/include/tatara/base/messages_ja.inc", base)
        self.write("src/door/a.cc", source)
        self.write("src/door/include/tatara/door/messages_ja.inc", japanese)
        return self.run_tool("check_messages", "--root", str(self.root))

    def test_accepts_every_form_of_a_format(self):
        source = '''
            constexpr std::string_view kTooLong = "{0}: too long";
            const Text kLabel = MarkText("label");
            // Refuse("a comment is no text");
            Error A() { return Refuse("{0}: broken \\"{1}\\"", a, f(b, "not a format")); }
            Error B() { return MakeError(ErrorKind::kIo, "one text in "
                                         "two lines", x); }
            Error C() { return Refuse(kTooLong, 3); }
            Error D() { return Refuse(old ? "old" : "new"); }
            Error At(int place, std::string_view format) { return Refuse(format, place); }
            Error E() { return At(3, "handed on"); }
            Error F() { const auto no = [&](std::string_view format) { return Refuse(format); };
                        return no("through a lambda"); }
        '''
        japanese = '''// comment
            {"{0}: too long", "{0}: 長すぎます"}, {"label", "名前"},
            {"{0}: broken \\"{1}\\"", "{0}: \\"{1}\\" が壊れています"},
            {"one text in two lines", "一つの文"}, {"old", "旧"}, {"new", "新"},
            {"handed on", "渡された文"}, {"through a lambda", "ラムダ経由"},
        '''
        self.assertEqual(self.check(source, japanese), (0, ""))

    def test_names_file_and_line_of_a_text_without_japanese(self):
        status, out = self.check('\nauto a = Refuse("{0}: gone");\n', "")
        self.assertEqual(status, 1)
        self.assertIn("src/door/a.cc:2: no Japanese for '{0}: gone'", out)

    def test_follows_constants_wrappers_and_lambdas(self):
        for source in ('constexpr char kGone[] = "gone"; auto a = Tr(kGone);',
                       'Error At(std::string_view f) { return Refuse(f); } auto a = At("gone");',
                       'void G() { auto no = [&](const char* f) { return Tr(f); }; no("gone"); }'):
            status, out = self.check(source, "")
            self.assertEqual(status, 1, source)
            self.assertIn("no Japanese for 'gone'", out)

    def test_japanese_of_base_serves_every_module(self):
        status, _ = self.check('auto a = Tr("shared");', "", base='{"shared", "共通"},')
        self.assertEqual(status, 0)

    def test_refuses_fields_that_differ(self):
        status, out = self.check('auto a = Tr("{0} of {1}");', '{"{0} of {1}", "{0} 個"},')
        self.assertEqual(status, 1)
        self.assertIn("the fields of", out)

    def test_refuses_unused_double_and_blank_entries(self):
        status, out = self.check('auto a = Tr("x");', '{"x", " "},\n{"x", "え"},\n{"y", "わい"},')
        self.assertEqual(status, 1)
        for part in ("'x' has no Japanese", "'x' is there twice", "nothing uses 'y'"):
            self.assertIn(part, out)

    def test_refuses_what_is_no_entry(self):
        status, out = self.check('auto a = Tr("x");', '{"x"},')
        self.assertEqual(status, 1)
        self.assertIn("expected {", out)
