// Files row by row: kinds, encodings, broken rows and where they are, hostile files.
#include "tatara/corpus/reading.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <map>

#include "reading/files_for_test.h"
#include "test_support.h"

namespace tatara::corpus {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ReadingTest : public testing::Test {
 protected:
  fs::path Put(const std::string& name, const std::string& content) {
    PutFile(dir_.path() / name, content);
    return dir_.path() / name;
  }
  std::vector<std::string> Rows(const std::string& name, const std::string& content,
                                const ReadingOptions& options = {}) {
    return RowsOf(Put(name, content), options);
  }
  test::ScratchDir dir_;
};

TEST_F(ReadingTest, ATextIsOneDocumentOrOneAParagraphOrLine) {
  const std::string text = "\xEF\xBB\xBF\n\n  a  \r\nb\r\r\n\nc\n";
  EXPECT_THAT(Rows("t.txt", text), ElementsAre("0:   a  \nb\n\n\nc"));
  EXPECT_THAT(Rows("t.md", text, {.unit = TextUnit::kParagraph}),
              ElementsAre("3:   a  \nb", "7: c"));
  EXPECT_THAT(Rows("t.txt", text, {.unit = TextUnit::kLine}),
              ElementsAre("3:   a", "4: b", "7: c"));
  EXPECT_THAT(Rows("t.txt", ""), ElementsAre("0: "));
  EXPECT_THAT(Rows("t.txt", "", {.unit = TextUnit::kParagraph}), IsEmpty());
}

TEST_F(ReadingTest, TextsAreReadInTheirEncodingAndComposed) {
  EXPECT_THAT(Rows("sjis.txt", "\x94\x4C\x82\xCD\x93\x53"), ElementsAre("0: 猫は鉄"));
  EXPECT_THAT(Rows("nfd.txt", "か\xE3\x82\x99"), ElementsAre("0: が"));
  EXPECT_THAT(Rows("nul.txt", std::string("a\0b", 3)), ElementsAre(HasSubstr("NUL")));
  EXPECT_THAT(Rows("bad.txt", "a\x80\xFF"), ElementsAre(HasSubstr("not UTF-8 at offset 1")));
}

TEST_F(ReadingTest, JsonLinesCountABrokenLineByItsNumber) {
  EXPECT_THAT(
      Rows("a.jsonl",
           "{\"text\": \"one\"}\n\n{\"text\": \n{\"other\": 1}\r\n\"bare\"\n"
           "{\"text\": \"\x80\"}\n{\"text\": \"last\"}"),
      ElementsAre("1: one", "3! not_json", "4! unknown_form", "5: bare", "6! not_utf8", "7: last"));
  EXPECT_THAT(
      Rows("a.jsonl", "{\"body\": \"x\", \"text\": \"y\"}\n{\"text\": \"y\"}\n{\"body\": 1}",
           {.field = "body"}),
      ElementsAre("1: x", "2! no_field", "3! no_field"));
  EXPECT_THAT(Rows("deep.jsonl", std::string(100000, '[')), ElementsAre("1! not_json"));
  EXPECT_THAT(Rows("num.jsonl", "{\"text\": 1e999999}"), ElementsAre("1! not_json"));
}

TEST_F(ReadingTest, JsonArraysAreTakenApartValueByValue) {
  EXPECT_THAT(
      Rows("a.json", "\xEF\xBB\xBF [ {\"text\": \"a]}\\\"\"} , {\"text\": [}, 5,\"s\" ] \n"),
      ElementsAre("1: a]}\"", "2! not_json", HasSubstr("error:")));
  EXPECT_THAT(Rows("a.json", "[{\"text\":\"a\"},{\"x\":tru},5,\"s\"]"),
              ElementsAre("1: a", "2! not_json", "3! unknown_form", "4: s"));
  EXPECT_THAT(Rows("a.json", "{\"text\":\"a\"}{\"text\":\"b\"}\n{\"text\":\"c\"}"),
              ElementsAre("1: a", "2: b", "3: c"));
  EXPECT_THAT(Rows("a.json", "[]"), IsEmpty());
  EXPECT_THAT(Rows("a.json", ""), IsEmpty());
  for (const char* bad : {"[", "[{\"text\":\"a\"}", "[{\"text\":\"a\"},", "[{\"text\":\"a\"},]",
                          "[{\"text\":\"a\"} {\"text\":\"b\"}]", "[,]", "[{\"a", "[]x", "[1 2]"}) {
    EXPECT_THAT(Rows("a.json", bad).back(), HasSubstr("error: ")) << bad;
  }
  EXPECT_THAT(Rows("a.json", "}]"), ElementsAre("1! not_json", "2! not_json"));
}

TEST_F(ReadingTest, CompressedFilesAreReadAsWhatTheyHold) {
  PutGzip(dir_.path() / "a.jsonl.gz", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
  EXPECT_THAT(RowsOf(dir_.path() / "a.jsonl.gz"), ElementsAre("1: one", "2: two"));
  std::string cut = test::ReadFile(dir_.path() / "a.jsonl.gz");
  cut.resize(cut.size() / 2);
  EXPECT_THAT(Rows("cut.jsonl.gz", cut).back(), HasSubstr("gzip"));
}

TEST_F(ReadingTest, CsvIsReadByTheStandardAndAsSpreadsheetsWriteIt) {
  const std::string pair =
      R"([{"role":"user","content":"a, \"b\"\nc"},{"role":"assistant","content":"d"}])";
  EXPECT_THAT(Rows("a.csv", "Question,Answer\r\n\"a, \"\"b\"\"\r\nc\",d\r\n"),
              ElementsAre("2: " + pair));
  EXPECT_THAT(Rows("a.csv", "\xEF\xBB\xBF質問;回答\nq;a\n"), ElementsAre(HasSubstr("2: [{")));
  EXPECT_THAT(Rows("a.tsv", "q\ta\nq1\ta1"), ElementsAre(HasSubstr("2: [{")));
  // 質問,回答 and 猫,鉄 in Shift_JIS.
  EXPECT_THAT(Rows("sjis.csv", "\x8E\xBF\x96\xE2,\x89\xF1\x93\x9A\n\x94\x4C,\x93\x53\n"),
              ElementsAre(AllOf(HasSubstr("猫"), HasSubstr("鉄"))));
  EXPECT_THAT(Rows("a.csv", "text,n\nhello,1\n,2\n", {.field = "text"}),
              ElementsAre("2: hello", "3: "));
}

TEST_F(ReadingTest, ABrokenRowOfATableIsCountedByItsNumber) {
  EXPECT_THAT(Rows("a.csv", "question,answer\nq,\n\n,a\nq,a,x\n\"q\"x,a\nq\"r,a\n\"open,a\n"),
              ElementsAre("2! empty", "4! empty", "5! broken_row", "6! broken_row",
                          HasSubstr("7: "), "8! broken_row"));
  EXPECT_THAT(Rows("a.csv", "one,two\n1,2\n"), ElementsAre("2! unknown_form"));
  EXPECT_THAT(Rows("a.csv", "one,two\n1,2\n", {.question = "one", .answer = "two"}),
              ElementsAre(HasSubstr("2: [{")));
  EXPECT_THAT(Rows("a.csv", std::string(kColumnsMax + 5, ',')), ElementsAre("1! broken_row"));
  EXPECT_THAT(Rows("a.csv", ""), IsEmpty());
}

TEST_F(ReadingTest, XlsxCellsAreReadWhateverTheirKind) {
  const std::string rows =
      "<row r=\"2\"><c r=\"A2\" t=\"s\"><v>0</v></c><c r=\"C2\" "
      "t=\"inlineStr\"><is><t>answer</t></is>"
      "</c></row><row r=\"4\"><c r=\"A4\" t=\"s\"><v>1</v></c><c r=\"B4\"><v>1</v></c>"
      "<c r=\"C4\"><v>0.10000000000000001</v></c></row>"
      "<row r=\"5\"><c r=\"A5\" t=\"str\"><v>x_x000D_y</v></c><c r=\"C5\" "
      "t=\"b\"><v>1</v></c></row>"
      "<row r=\"6\"><c r=\"A6\" t=\"s\"><v>1</v></c><c r=\"C6\" t=\"e\"><v>#N/A</v></c></row>"
      "<row r=\"7\"><c r=\"A7\" t=\"s\"><v>9</v></c></row>"
      "<row r=\"8\"><c r=\"C8\"><v>1</v></c><c r=\"A8\"><v>1</v></c></row>";
  const std::string strings =
      "<si><t>question</t></si>"
      "<si><r><t>鉄</t></r><r><t>の</t></r><rPh sb=\"0\" eb=\"1\"><t>テツ</t></rPh></si>";
  PutZip(dir_.path() / "a.xlsx", Workbook({{"Q and A", rows}, {"Other", ""}}, strings));
  EXPECT_THAT(
      RowsOf(dir_.path() / "a.xlsx"),
      ElementsAre(R"(4: [{"role":"user","content":"鉄の"},{"role":"assistant","content":"0.1"}])",
                  R"(5: [{"role":"user","content":"x\ny"},{"role":"assistant","content":"TRUE"}])",
                  "6! broken_row", "7! broken_row", "8! broken_row"));
  EXPECT_THAT(RowsOf(dir_.path() / "a.xlsx", {.sheet = "Other"}), IsEmpty());
  EXPECT_THAT(RowsOf(dir_.path() / "a.xlsx", {.sheet = "None"}),
              ElementsAre(AllOf(HasSubstr("'Q and A', 'Other'"), HasSubstr("error:"))));
}

TEST_F(ReadingTest, ABrokenWorkbookIsRefused) {
  EXPECT_THAT(Rows("a.xlsx", "no zip"), ElementsAre(HasSubstr("not an .xlsx")));
  PutZip(dir_.path() / "b.xlsx", {{"xl/other.xml", "<a/>"}});
  EXPECT_THAT(RowsOf(dir_.path() / "b.xlsx"), ElementsAre(HasSubstr("is missing")));
  Entries entries = Workbook({{"S", "<row><c t=\"s\">"}});
  PutZip(dir_.path() / "c.xlsx", entries);
  EXPECT_THAT(RowsOf(dir_.path() / "c.xlsx"), ElementsAre(HasSubstr("is no XML")));
  std::string bytes = test::ReadFile(dir_.path() / "b.xlsx");
  for (std::size_t n = 0; n < bytes.size(); n += 7) {
    EXPECT_THAT(Rows("cut.xlsx", bytes.substr(0, n)).back(), HasSubstr("error"));
  }
}

// A zip bomb: some hundred kilobytes that unpack to more than a sheet may have.
TEST_F(ReadingTest, AWorkbookThatUnpacksToTooMuchIsRefused) {
  if (!test::RunAll()) GTEST_SKIP() << "some seconds; TATARA_TEST_ALL=1 runs it";
  PutZip(dir_.path() / "d.xlsx", Workbook({{"S", std::string(kSheetBytesMax, ' ')}}));
  EXPECT_THAT(RowsOf(dir_.path() / "d.xlsx"), ElementsAre(HasSubstr("more than")));
}

TEST_F(ReadingTest, ConversationsComeInTheFormsOfTheField) {
  const std::string want = R"([{"role":"user","content":"q"},{"role":"assistant","content":"a"}])";
  for (const char* row :
       {R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})",
        R"([{"role":"user","content":"q"},{"role":"assistant","content":"a"}])",
        R"({"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})",
        R"({"conversation":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})",
        R"({"instruction":"q","input":"","output":"a"})", R"({"prompt":"q","completion":"a"})",
        R"({"質問":"q","回答":"a"})"}) {
    EXPECT_THAT(Rows("a.jsonl", row), ElementsAre("1: " + want)) << row;
  }
  EXPECT_THAT(
      Rows("a.jsonl",
           R"({"instruction":"i","input":"n","output":"a","history":[["h","g"]],"system":"s"})"),
      ElementsAre(
          R"(1: [{"role":"system","content":"s"},{"role":"user","content":"h"},{"role":"assistant","content":"g"},{"role":"user","content":"i\n\nn"},{"role":"assistant","content":"a"}])"));
}

TEST_F(ReadingTest, ToolCallsOfShareGptBecomeThoseOfTemplates) {
  const Row row{.kind = Row::Kind::kJson,
                .bytes = R"({"conversations":[{"from":"human","value":"q"},
    {"from":"function_call","value":"{\"name\":\"f\",\"arguments\":{\"x\":1}}"},
    {"from":"observation","value":"{}"},{"from":"gpt","value":"a"}],
    "tools":"[{\"name\":\"f\"}]"})"};
  const auto record = Interpret(row, {});
  const auto& chat = std::get<Conversation>(std::get<Record>(record));
  EXPECT_THAT(
      chat.messages_json,
      HasSubstr(
          R"("tool_calls":[{"type":"function","function":{"name":"f","arguments":{"x":1}}}])"));
  EXPECT_THAT(chat.messages_json, HasSubstr(R"({"role":"tool","content":"{}"})"));
  EXPECT_EQ(chat.variables_json, R"({"tools":[{"name":"f"}]})");
}

TEST_F(ReadingTest, WhatIsNoExampleToFollowIsNotTaken) {
  EXPECT_THAT(
      Rows(
          "a.jsonl",
          R"({"chosen":"a","rejected":"b"})"
          "\n"
          R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"label":false})"
          "\n"
          R"({"messages":[{"role":"user","content":"q"}]})"
          "\n"
          R"({"messages":[{"role":"nobody","content":"q"}]})"
          "\n"
          R"({"messages":[1]})"
          "\n"
          R"({"messages":5})"
          "\n"
          R"({"conversations":[{"from":"x","value":"q"}]})"
          "\n"
          R"({"conversations":[{"from":"function_call","value":"q"}]})"
          "\n"
          R"({"instruction":"q","output":" "})"
          "\n"
          R"({"instruction":"q","output":"a","history":[1]})"
          "\n"
          R"(5)"),
      ElementsAre("1! preference", "2! rejected", "3! empty", "4! unknown_form", "5! unknown_form",
                  "6! unknown_form", "7! unknown_form", "8! unknown_form", "9! empty",
                  "10! unknown_form", "11! unknown_form"));
}

TEST_F(ReadingTest, AFolderIsReadInTheOrderOfItsPathsBytes) {
  for (const char* name :
       {"b/z.txt", "b.txt", "B.txt", "b/a/x.txt", ".hidden", ".git/x.txt", "あ.txt"}) {
    Put(name, "x");
  }
  fs::create_directory_symlink(dir_.path(), dir_.path() / "loop");
  std::vector<std::string> names;
  const auto files = FilesAt(dir_.path()).value();
  for (const fs::path& path : files) {
    names.push_back(path.lexically_relative(dir_.path()).string());
  }
  EXPECT_THAT(names, ElementsAre("B.txt", "b.txt", "b/a/x.txt", "b/z.txt", "あ.txt"));
  EXPECT_FALSE(FilesAt(dir_.path() / "none").ok());
}

TEST_F(ReadingTest, WhatIsNotReadIsRefusedInOneLine) {
  EXPECT_THAT(Rows("a.parquet", "PAR1"),
              ElementsAre(AllOf(HasSubstr("read_parquet"), HasSubstr("a.jsonl"))));
  EXPECT_THAT(Rows("it's.parquet", "PAR1"), ElementsAre(HasSubstr("it'\\''s.jsonl'")));
  EXPECT_THAT(Rows("a.pdf", "x"), ElementsAre(HasSubstr("not a kind of file")));
  EXPECT_THAT(Rows("a.xlsx.gz", "x"), ElementsAre(HasSubstr("not a kind of file")));
  ASSERT_EQ(mkfifo((dir_.path() / "pipe.txt").c_str(), 0600), 0);
  EXPECT_THAT(RowsOf(dir_.path() / "pipe.txt"), ElementsAre(HasSubstr("not a regular file")));
  EXPECT_THAT(RowsOf(dir_.path() / "none.txt"), ElementsAre(HasSubstr("cannot open")));
}

TEST_F(ReadingTest, TheSharedSetsAreReadWithoutLoss) {
  TATARA_REQUIRE_DATA(folder, "train");
  const std::map<std::string, std::size_t> rows = {{"alpaca_en_demo.json", 999},
                                                   {"glaive_toolcall_en_demo.json", 300},
                                                   {"c4_demo.jsonl", 300},
                                                   {"dpo_en_demo.json", 0},
                                                   {"hh-rlhf-harmless-test.jsonl.gz", 0}};
  for (const auto& [name, n] : rows) {
    std::size_t n_read = 0, n_preferences = 0;
    for (const std::string& row : RowsOf(folder / name)) {
      if (row.find(": ") != std::string::npos && row.find("! ") > row.find(": ")) ++n_read;
      n_preferences += row.ends_with("! preference") ? 1 : 0;
    }
    EXPECT_EQ(n_read, n) << name;
    if (n == 0) {
      EXPECT_GT(n_preferences, 299U) << name;
    }
  }
}

}  // namespace
}  // namespace tatara::corpus
