#include "tatara/documents/document.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "test_support.h"

namespace tatara::documents {
namespace {

namespace fs = std::filesystem;

Document Markdown(std::string_view text) {
  auto document = ParseDocument("f.md", AsBytes(text), Format::kMarkdown);
  EXPECT_TRUE(document.ok());
  return std::move(document).value();
}

Document Plain(std::string_view text) {
  auto document = ParseDocument("f.txt", AsBytes(text), Format::kPlainText);
  EXPECT_TRUE(document.ok());
  return std::move(document).value();
}

std::string Path(const Chunk& chunk) {
  std::string path;
  for (const std::string& heading : chunk.heading_path)
    path += (path.empty() ? "" : " > ") + heading;
  return path;
}

// "path|first-last|text" of every chunk.
std::vector<std::string> Shown(const Document& document) {
  std::vector<std::string> shown;
  for (const Chunk& chunk : document.chunks) {
    shown.push_back(Path(chunk) + "|" + std::to_string(chunk.line_first) + "-" +
                    std::to_string(chunk.line_last) + "|" + std::string(document.TextOf(chunk)));
  }
  return shown;
}

// The invariants of the header, and that the lines named hold the text.
void ExpectSound(const Document& document) {
  std::size_t end = 0;
  for (const Chunk& chunk : document.chunks) {
    ASSERT_LE(chunk.offset + chunk.length, document.text.size());
    ASSERT_GE(chunk.offset, end);
    end = chunk.offset + chunk.length;
    const std::string_view text = document.TextOf(chunk);
    EXPECT_LE(CellsOf(text), kChunkCellsMax);
    EXPECT_FALSE(text.empty());
    const std::string_view before = std::string_view(document.text).substr(0, chunk.offset);
    EXPECT_EQ(chunk.line_first, 1 + std::count(before.begin(), before.end(), '\n'));
    EXPECT_EQ(chunk.line_last, chunk.line_first + std::count(text.begin(), text.end(), '\n'));
  }
}

using testing::Test;

TEST(Markdown, ChunksKnowTheirHeadingsAndLines) {
  const Document document = Markdown(
      "# 旋盤\n\n前書き。\n\n## 始業点検\n- 油量\n- 圧力\n\n### 冬季\n暖機する。\n## "
      "終業\n掃除する。\n");
  EXPECT_EQ(Shown(document),
            (std::vector<std::string>{"旋盤|3-3|前書き。", "旋盤 > 始業点検|6-7|- 油量\n- 圧力",
                                      "旋盤 > 始業点検 > 冬季|10-10|暖機する。",
                                      "旋盤 > 終業|12-12|掃除する。"}));
  EXPECT_EQ(document.title, "旋盤");
}

TEST(Markdown, LineEndsDoNotMoveLines) {
  for (const std::string_view end : {"\n", "\r\n", "\r"}) {
    std::string text;
    for (const std::string_view line : {"# A", "", "one", "two", "", "## B", "three"}) {
      text += std::string(line) + std::string(end);
    }
    EXPECT_EQ(Shown(Markdown(text)),
              (std::vector<std::string>{"A|3-4|one\ntwo", "A > B|7-7|three"}));
  }
}

TEST(Markdown, SetextAndAtxHeadingsWithTheirMarksRemoved) {
  const Document document = Markdown(
      "Title\n=====\nx\n\nSub `code` **bold**\n---\ny\n\n### [Link](http://e.x/a) text ### "
      "\nz\n\n## Anchor {#a}\nw\n");
  EXPECT_EQ(Shown(document), (std::vector<std::string>{"Title|3-3|x", "Title > Sub code bold|7-7|y",
                                                       "Title > Sub code bold > Link text|10-10|z",
                                                       "Title > Anchor|13-13|w"}));
}

TEST(Markdown, WhatOnlyLooksLikeAHeadingIsNone) {
  const Document document =
      Markdown("####### seven\n\n#tag\n\n    # indented code\n\n```\n# in a fence\n```\n\n---\n");
  for (const Chunk& chunk : document.chunks) EXPECT_TRUE(chunk.heading_path.empty());
}

TEST(Markdown, SkippedLevelsKeepTheirAncestors) {
  EXPECT_EQ(Shown(Markdown("# A\n#### D\nd\n## B\nb\n")),
            (std::vector<std::string>{"A > D|3-3|d", "A > B|5-5|b"}));
}

TEST(Markdown, FrontMatterGivesTheTitleAndIsNoText) {
  const Document document = Markdown("---\ntitle: \"切削液\"\nkeywords: x\n---\n\n本文。\n");
  EXPECT_EQ(document.title, "切削液");
  EXPECT_EQ(Shown(document), std::vector<std::string>{"|6-6|本文。"});
  // Not closed: an ordinary rule and text.
  EXPECT_EQ(Markdown("---\ntitle: x\n").chunks.size(), 1u);
}

TEST(Markdown, AHeadingWithNothingBelowItIsKept) {
  EXPECT_EQ(Shown(Markdown("# A\n## 内線 4711\n## B\nb\n")),
            (std::vector<std::string>{"A > 内線 4711|2-2|## 内線 4711", "A > B|4-4|b"}));
}

TEST(Markdown, ATableThatFitsStaysWhole) {
  std::string text = "# T\n\n" + std::string(500, 'a') + "\n\n| h | v |\n|---|---|\n";
  for (int i = 0; i < 20; ++i)
    text += "| row " + std::to_string(i) + " | " + std::to_string(i * 7) + " |\n";
  const Document document = Markdown(text);
  ExpectSound(document);
  ASSERT_EQ(document.chunks.size(), 2u);
  EXPECT_TRUE(document.TextOf(document.chunks[1]).starts_with("| h | v |"));
  EXPECT_TRUE(document.TextOf(document.chunks[1]).ends_with("| row 19 | 133 |"));
}

TEST(Markdown, ACutTableRemembersItsHead) {
  std::string text = "| 部位 | 周期 |\n|---|---|\n";
  for (int i = 0; i < 100; ++i)
    text += "| 部位の名前 " + std::to_string(i) + " | " + std::to_string(i) + " 日 |\n";
  const Document document = Markdown(text);
  ExpectSound(document);
  ASSERT_GT(document.chunks.size(), 2u);
  EXPECT_TRUE(document.chunks[0].table_head.empty());
  for (std::size_t i = 1; i < document.chunks.size(); ++i) {
    EXPECT_EQ(document.chunks[i].table_head, "| 部位 | 周期 |\n|---|---|");
    EXPECT_TRUE(document.TextOf(document.chunks[i]).starts_with("| 部位の名前"));
  }
}

TEST(Markdown, ALongListIsCutBetweenItsItems) {
  std::string text;
  for (int i = 0; i < 40; ++i) {
    text += "- " + std::string(40, 'a' + i % 26) + "\n  continued\n\n  ```\n  - no item\n  ```\n";
  }
  const Document document = Markdown(text);
  ExpectSound(document);
  ASSERT_GT(document.chunks.size(), 2u);
  for (const Chunk& chunk : document.chunks) {
    EXPECT_TRUE(document.TextOf(chunk).starts_with("- "));
    EXPECT_TRUE(document.TextOf(chunk).ends_with("```"));
  }
}

TEST(Markdown, AFenceRunsToItsOwnMarkOrTheEnd) {
  const Document document = Markdown("````\n```\n# no\n````\n# Yes\nx\n~~~\n# open to the end\n");
  EXPECT_EQ(Shown(document), (std::vector<std::string>{"|1-4|````\n```\n# no\n````",
                                                       "Yes|6-8|x\n~~~\n# open to the end"}));
}

TEST(Markdown, LongProseIsCutAtSentences) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "この文は六十回くり返される文の一つである。";
  const Document document = Markdown(text);
  ExpectSound(document);
  ASSERT_GT(document.chunks.size(), 2u);
  std::size_t bytes = 0;
  for (const Chunk& chunk : document.chunks) {
    EXPECT_TRUE(document.TextOf(chunk).ends_with("。"));
    bytes += chunk.length;
  }
  EXPECT_EQ(bytes, document.text.size());
}

TEST(Markdown, ALineWithoutAnyJointIsCutAtCharacters) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "漢";
  const Document document = Markdown(text);
  ExpectSound(document);
  EXPECT_EQ(document.chunks.size(), 14u);
  for (const Chunk& chunk : document.chunks) EXPECT_EQ(chunk.length % 3, 0u);
}

TEST(PlainText, ReadsNumberedAndMarkedHeadings) {
  const Document document = Plain(
      "クーラント管理要領\n\n1. 目的\n\n濃度を保つ。\n\n2. 手順\n\n2.1 測定\n濃度計で測る。\n\n■ "
      "注意\n手袋を使う。\n\n"
      "第3章 記録\n残す。\n");
  EXPECT_EQ(Shown(document), (std::vector<std::string>{
                                 "クーラント管理要領 > 1. 目的|5-5|濃度を保つ。",
                                 "クーラント管理要領 > 2. 手順 > 2.1 測定|10-10|濃度計で測る。",
                                 "クーラント管理要領 > ■ 注意|13-13|手袋を使う。",
                                 "クーラント管理要領 > 第3章 記録|16-16|残す。"}));
}

TEST(PlainText, StepsAreNoHeadings) {
  const Document document = Plain(
      "手順\n\n1. 電源を切る\n2. 札を掛ける\n3. 確認する\n\n20.5 mm を超えないこと\n2019 "
      "年に改訂\n");
  for (const Chunk& chunk : document.chunks) EXPECT_EQ(Path(chunk), "手順");
}

TEST(PlainText, UnderlinedLinesAreHeadings) {
  EXPECT_EQ(Shown(Plain("======\nManual\n======\n\nText here.\n\nCooling\n-------\nUse water.\n")),
            (std::vector<std::string>{"Manual|5-5|Text here.", "Manual > Cooling|9-9|Use water."}));
}

TEST(Document, NothingGivesNoChunks) {
  EXPECT_TRUE(Markdown("").chunks.empty());
  EXPECT_TRUE(Markdown("\n\n \n\t\n").chunks.empty());
  EXPECT_TRUE(Plain("　\n").chunks.empty());
}

TEST(Document, LimitsAreRefusalsWithNumbers) {
  const auto lines =
      ParseDocument("f.md", AsBytes(std::string(kLinesMax + 1, '\n')), Format::kMarkdown);
  ASSERT_FALSE(lines.ok());
  EXPECT_EQ(lines.error().text(),
            "f.md: 400001 lines, more than the 400000 that a document may have");
  EXPECT_FALSE(
      ParseDocument("f.md", AsBytes(std::string(kFileBytesMax + 1, 'a')), Format::kMarkdown).ok());
}

TEST(Document, AFullSizedFileOfHeadingsIsReadInBoundedTime) {
  std::string text;
  for (std::size_t i = 0; i < kLinesMax / 2; ++i) text += "###### a\n\n";
  const Document document = Markdown(text);
  EXPECT_EQ(document.chunks.size(), kLinesMax / 2);
}

TEST(Document, ReadsRegularFilesOnly) {
  const test::ScratchDir scratch;
  const fs::path good = scratch.path() / "good.MD";
  std::ofstream(good) << "# A\n\nx\n";
  ASSERT_TRUE(ReadDocument(good).ok());
  EXPECT_FALSE(ReadDocument(scratch.path() / "missing.md").ok());
  EXPECT_FALSE(ReadDocument(scratch.path() / "slides.pptx").ok());
  const fs::path pipe = scratch.path() / "pipe.md";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_FALSE(ReadDocument(pipe).ok());
  fs::create_directory(scratch.path() / "folder.md");
  EXPECT_FALSE(ReadDocument(scratch.path() / "folder.md").ok());
}

TEST(Document, RealGuidelinesKeepTheInvariants) {
  TATARA_REQUIRE_DATA(folder, "documents/arch-guidelines-ja");
  std::size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".md") continue;
    const auto document = ReadDocument(entry.path());
    ASSERT_TRUE(document.ok()) << document.error().text();
    ExpectSound(*document);
    ++files;
  }
  EXPECT_GT(files, 40u);
}

}  // namespace
}  // namespace tatara::documents
