// Files as texts: stretches, lines, JSON Lines, digests, what is refused.
#include "tatara/corpus/text_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tatara/base/sha256.h"
#include "test_support.h"

namespace tatara::corpus {
namespace {

using test::ScratchDir;
using testing::ElementsAre;
using testing::HasSubstr;

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
    return texts;
  }
  ScratchDir dir_;
  std::vector<TextStream::Input> inputs_;
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
    EXPECT_THAT(texts.back(), HasSubstr("bad.txt: not UTF-8 at byte 5"));
  }
  std::string content(kStretchBytes * 2, 'x');
  content[kStretchBytes] = '\n';
  content.back() = '\xE3';
  EXPECT_THAT(Read({.files = {Write("c.txt", content)}}).back(),
              HasSubstr("byte " + std::to_string(content.size() - 1)));
}

TEST_F(TextFiles, JsonLinesGiveTheirField) {
  const auto path = Write("a.jsonl", "{\"text\":\"one\\n\",\"n\":1}\n\n  \n{\"text\":\"\\u732b\"}");
  EXPECT_THAT(Read({.files = {path}}), ElementsAre("one\n", "猫"));
  const auto other = Write("b.ndjson", "{\"body\":\"two\"}\r\n");
  EXPECT_THAT(Read({.files = {other}, .field = "body"}), ElementsAre("two"));
}

TEST_F(TextFiles, BrokenLinesAreNamed) {
  const auto refusal = [&](const std::string& content) {
    return Read({.files = {Write("a.jsonl", "{\"text\":\"x\"}\n" + content)}}).back();
  };
  EXPECT_THAT(refusal("{\"text\":"), HasSubstr("line 2 is no JSON object"));
  EXPECT_THAT(refusal("[1]"), HasSubstr("line 2 is no JSON object"));
  EXPECT_THAT(refusal("{\"text\":7}"), HasSubstr("line 2 has no text in the field 'text'"));
  EXPECT_THAT(refusal(std::string(1000, '[')), HasSubstr("nests deeper"));
  EXPECT_THAT(refusal("{\"text\":\"\xff\"}"), HasSubstr("not UTF-8 at byte"));
}

TEST_F(TextFiles, WhatIsNotThereIsRefusedBeforeAnythingIsRead) {
  EXPECT_THAT(Read({.files = {Write("a.txt", "x"), dir_.path() / "missing.txt"}}),
              ElementsAre(HasSubstr("missing.txt")));
  EXPECT_THAT(Read({.files = {dir_.path()}}).back(), HasSubstr("directory"));
  EXPECT_THAT(Read({.files = {Write("a.parquet", "PAR1")}}),
              ElementsAre(HasSubstr("read_parquet")));
}

}  // namespace
}  // namespace tatara::corpus
