// How often the passage that answers a question is among the first found, on public questions.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "tatara/search/index.h"
#include "test_support.h"

namespace tatara::search {
namespace {

namespace fs = std::filesystem;

struct Asked {
  std::string question;
  fs::path file;
  int line = 0;
};

// The value of the next "key": "..." in `json` from `at` on; moves `at` behind it. JSQuAD's file is
// regular enough that a JSON library would add nothing here.
std::string NextString(const std::string& json, std::string_view key, std::size_t& at) {
  const std::string mark = "\"" + std::string(key) + "\":";
  at = json.find(mark, at);
  if (at == std::string::npos) return {};
  at = json.find('"', at + mark.size()) + 1;
  std::string value;
  for (; at < json.size() && json[at] != '"'; ++at) {
    if (json[at] == '\\') ++at;
    value += json[at];
  }
  return value;
}

// Every paragraph a line of its own, one file for each hundred; every `step`th question. The file
// has a paragraph's questions before its context.
std::vector<Asked> WriteParagraphs(const std::string& json, const fs::path& folder, int step) {
  std::vector<Asked> asked;
  std::vector<std::string> waiting;
  std::ofstream file;
  fs::path path;
  int paragraphs = 0, line = 0, questions = 0;
  for (std::size_t at = 0;;) {
    const std::size_t context = json.find("\"context\":", at),
                      question = json.find("\"question\":", at);
    if (context == std::string::npos) break;
    if (question < context) {
      waiting.push_back(NextString(json, "question", at));
      continue;
    }
    if (paragraphs++ % 100 == 0) {
      path = folder / (std::to_string(paragraphs) + ".md");
      file = std::ofstream(path);
      line = 1;
    }
    std::string text = NextString(json, "context", at);
    if (const std::size_t mark = text.find("[SEP]"); mark != std::string::npos)
      text = text.substr(mark + 6);
    file << text << "\n\n";
    for (std::string& one : waiting) {
      if (questions++ % step == 0) asked.push_back({std::move(one), path, line});
    }
    waiting.clear();
    line += 2;
  }
  return asked;
}

TEST(Retrieval, JapaneseQuestionsFindTheirParagraph) {
  TATARA_REQUIRE_DATA(data, "eval/jsquad/valid-v1.3.json");
  const test::ScratchDir scratch;
  fs::create_directories(scratch.path() / "docs");
  const auto asked = WriteParagraphs(test::ReadFile(data), scratch.path() / "docs", 20);
  ASSERT_GT(asked.size(), 100u);
  auto index = Index::Open({.home = scratch.path() / "home", .create = true});
  ASSERT_TRUE(index.ok());
  const fs::path folder = scratch.path() / "docs";
  ASSERT_TRUE((*index)->Add({&folder, 1}, nullptr, nullptr).ok());

  int first = 0, among_four = 0;
  for (const Asked& one : asked) {
    const auto result = (*index)->Search({.text = one.question, .passages_max = 4});
    ASSERT_TRUE(result.ok());
    for (std::size_t i = 0; i < result->passages.size(); ++i) {
      const Passage& passage = result->passages[i];
      if (passage.path != fs::canonical(one.file).string()) continue;
      if (passage.line_first > one.line || one.line > passage.line_last) continue;
      first += i == 0;
      ++among_four;
      break;
    }
  }
  const double n = static_cast<double>(asked.size());
  std::printf("%d questions: first %.3f, among the first four %.3f\n", static_cast<int>(n),
              first / n, among_four / n);
  EXPECT_GE(first / n, 0.85);
  EXPECT_GE(among_four / n, 0.94);
}

}  // namespace
}  // namespace tatara::search
