// Files as texts: stretches, lines, JSON Lines, digests, what is refused.
#include "tatara/corpus/text_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "tatara/base/sha256.h"
#include "test_support.h"

namespace tatara::corpus {
namespace {

using test::ScratchDir;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class TextFiles : public testing::Test {
 protected:
  std::filesystem::path Write(const std::string& name, const std::string& content) {
    std::ofstream(dir_.path() / name, std::ios::binary) << content;
    return dir_.path() / name;
  }
  // All texts, or the refusal as the last of them.
  std::vector<std::string> Read(const TextFilesOptions& options) {
    std::vector<std::string> texts;
    auto stream = OpenTextFiles(options);
    if (!stream.ok()) return {stream.error().text()};
    for (std::string text;;) {
      const auto more = (*stream)->Next(text);
      if (!more.ok()) {
        texts.push_back("refused: " + more.error().text());
        return texts;
      }
      if (!*more) break;
      texts.push_back(text);
    }
    inputs_ = (*stream)->inputs();
    EXPECT_EQ((*stream)->bytes_read(), (*stream)->bytes_total());
    left_out_ = (*stream)->left_out();
    return texts;
  }
  ScratchDir dir_;
  std::vector<TextStream::Input> inputs_;
  TextStream::LeftOut left_out_;
};

TEST_F(TextFiles, AShortFileIsOneTextWithItsDigest) {
  EXPECT_THAT(
      Read({.files = {Write("a.txt", "one\ntwo\n"), Write("b.txt", ""), Write("c.txt", "猫")}}),
      ElementsAre("one\ntwo\n", "猫"));
  ASSERT_EQ(inputs_.size(), 3u);
  EXPECT_EQ(inputs_[0].sha256, Sha256Hex("one\ntwo\n"));
  EXPECT_EQ(inputs_[1].sha256, Sha256Hex(""));
  EXPECT_EQ(inputs_[2].bytes, 3u);
}

TEST_F(TextFiles, LinesKeepTheirEnds) {
  EXPECT_THAT(Read({.files = {Write("a.txt", "one\n\ntwo\r\nthree")}, .by_line = true}),
              ElementsAre("one\n", "\n", "two\r\n", "three"));
}

TEST_F(TextFiles, ALongFileIsCutOnlyBehindLoneLineFeeds) {
  std::string content;
  for (int i = 0; content.size() < 3 * kStretchBytes + 1000; ++i) {
    content += "line " + std::to_string(i) + (i % 3 == 0 ? "\n\n" : i % 3 == 1 ? " \n" : "\n");
    if (i % 7 == 0) content += " ";
  }
  const std::vector<std::string> texts = Read({.files = {Write("a.txt", content)}});
  ASSERT_GE(texts.size(), 3u);
  std::string joined;
  for (const std::string& text : texts) {
    if (!joined.empty()) {
      EXPECT_THAT(joined.substr(joined.size() - 2), testing::MatchesRegex("[0-9]\n"));
      EXPECT_NE(text[0], ' ');
      EXPECT_NE(text[0], '\n');
    }
    joined += text;
  }
  EXPECT_EQ(joined, content);
}

TEST_F(TextFiles, WithoutAPlaceItIsCutBetweenCharacters) {
  std::string content;
  while (content.size() < kStretchBytesMax + 100) content += "猫";
  for (const bool by_line : {false, true}) {
    const std::vector<std::string> texts =
        Read({.files = {Write("a.txt", content)}, .by_line = by_line});
    ASSERT_EQ(texts.size(), 2u);
    EXPECT_EQ(texts[0].size() % 3, 0u);
    EXPECT_EQ(texts[0] + texts[1], content);
  }
}

TEST_F(TextFiles, BytesThatAreNoTextAreNamedByFileAndPlace) {
  for (const bool by_line : {false, true}) {
    const std::vector<std::string> texts = Read(
        {.files = {Write("good.txt", "fine"), Write("bad.txt", "ab\ncd\xff")}, .by_line = by_line});
    EXPECT_THAT(texts.back(), HasSubstr("bad.txt: "));
  }
  std::string content(kStretchBytes * 2, 'x');
  content[kStretchBytes] = '\n';
  content.back() = '\xE3';
  EXPECT_THAT(Read({.files = {Write("c.txt", content)}}).back(),
              HasSubstr(std::to_string(content.size() - 1)));
}

TEST_F(TextFiles, JsonLinesGiveTheirField) {
  const auto path = Write("a.jsonl", "{\"text\":\"one\\n\",\"n\":1}\n\n  \n{\"text\":\"\\u732b\"}");
  EXPECT_THAT(Read({.files = {path}}), ElementsAre("one\n", "猫"));
  const auto other = Write("b.ndjson", "{\"body\":\"two\"}\r\n");
  EXPECT_THAT(Read({.files = {other}, .field = "body"}), ElementsAre("two"));
}

TEST_F(TextFiles, BrokenLinesAreLeftOutAndTheFirstIsNamed) {
  for (const std::string& line :
       {std::string("{\"text\":"), std::string("[1]"), std::string("{\"text\":7}"),
        std::string(1000, '['), std::string("{\"text\":\"\xff\"}")}) {
    const auto path = Write("a.jsonl", "{\"text\":\"x\"}\n" + line + "\n{\"text\":\"y\"}\n");
    EXPECT_THAT(Read({.files = {path}}), ElementsAre("x", "y"));
    EXPECT_EQ(left_out_.n, 1u) << line;
    EXPECT_EQ(left_out_.first_place, path.string() + ":2");
  }
  EXPECT_STREQ(left_out_.first_reason, "not UTF-8");
}

TEST_F(TextFiles, FoldersTablesConversationsAndOtherEncodingsAreRead) {
  std::filesystem::create_directory(dir_.path() / "folder");
  Write("folder/a.csv", "text,n\none,1\ntwo,2\n");
  Write("folder/b.json",
        R"([{"messages":[{"role":"user","content":"why"},{"role":"assistant","content":"so"}]}])");
  Write("folder/c.txt", "\x93\x53\x82\xcc\x8d\xbb");  // Shift_JIS
  Write("folder/d.txt", "\xEF\xBB\xBFmarked");
  Write("folder/e.png", "PNG");
  std::vector<std::string> texts = Read({.files = {dir_.path() / "folder"}});
  EXPECT_THAT(texts, UnorderedElementsAre("one", "two", "why", "so", "鉄の砂", "marked"));
  EXPECT_EQ(left_out_.n, 1u);
  EXPECT_THAT(left_out_.first_place, HasSubstr("e.png"));
  EXPECT_EQ(inputs_.size(), 4u);
  std::filesystem::create_directory(dir_.path() / "none");
  EXPECT_THAT(Read({.files = {dir_.path() / "none"}}), ElementsAre(HasSubstr("has no file")));
}

TEST_F(TextFiles, CompressedTextIsTheText) {
  const auto plain = Write("a.txt", "one\n\ntwo\r\nthree");
  ASSERT_EQ(std::system(("gzip -k '" + plain.string() + "'").c_str()), 0);
  const auto packed = dir_.path() / "a.txt.gz";
  for (const bool by_line : {false, true}) {
    EXPECT_EQ(Read({.files = {packed}, .by_line = by_line}),
              Read({.files = {plain}, .by_line = by_line}));
  }
  EXPECT_THAT(Read({.files = {packed}}), testing::SizeIs(1));
  EXPECT_EQ(inputs_[0].sha256, Sha256Hex(test::ReadFile(packed)));
}

TEST_F(TextFiles, WhatIsNotThereIsRefusedBeforeAnythingIsRead) {
  EXPECT_THAT(Read({.files = {Write("a.txt", "x"), dir_.path() / "missing.txt"}}),
              ElementsAre(HasSubstr("missing.txt")));
  EXPECT_THAT(Read({.files = {Write("a.parquet", "PAR1")}}),
              ElementsAre(HasSubstr("read_parquet")));
}

}  // namespace
}  // namespace tatara::corpus
