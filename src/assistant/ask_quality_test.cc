// How good answers are, with a real model over real documents: right passage cited, fact in the
// answer, refusal where the documents do not say. bench/ask-quality runs it on other documents and
// questions.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tatara/assistant/ask.h"
#include "tatara/generate/engine.h"
#include "tatara/search/fold.h"
#include "tatara/search/index.h"
#include "test_support.h"

namespace tatara::assistant {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Marks {
  int answerable = 0, cited = 0, fact = 0, answered = 0;
  int unanswerable = 0, refused = 0;
  double first_word_seconds_max = 0;
  int prompt_tokens_max = 0;
};

std::string Compared(std::string_view text) {
  std::string folded = search::Folded(text);
  std::erase(folded, ' ');
  return folded;
}

// Every group has one of its strings in the answer.
bool HasFacts(const AskAnswer& answer, const Json& groups) {
  const std::string text = Compared(answer.answer);
  return std::all_of(groups.begin(), groups.end(), [&](const Json& group) {
    return std::any_of(group.begin(), group.end(), [&](const Json& fact) {
      return text.find(Compared(fact.get<std::string>())) != std::string::npos;
    });
  });
}

bool CitesOneOf(const AskAnswer& answer, const Json& passages) {
  return std::any_of(
      answer.citations.begin(), answer.citations.end(), [&](const Citation& citation) {
        return std::any_of(passages.begin(), passages.end(), [&](const Json& passage) {
          return ("/" + citation.document)
                     .ends_with("/" + passage["document"].get<std::string>()) &&
                 citation.line_first <= passage["lines"][1].get<int>() &&
                 passage["lines"][0].get<int>() <= citation.line_last;
        });
      });
}

fs::path Samples() {
  if (const char* folder = std::getenv("TATARA_ASK_DOCUMENTS")) return folder;
  return fs::path(TATARA_SOURCE_DIR) / "samples/machine-shop";
}
fs::path Questions() {
  if (const char* file = std::getenv("TATARA_ASK_QUESTIONS")) return file;
  return fs::path(TATARA_SOURCE_DIR) / "samples/machine-shop-questions.json";
}

class Quality {
 public:
  explicit Quality(const fs::path& model, int n_threads) {
    auto engine =
        generate::Engine::Open(model.string(), {.n_threads = n_threads, .context_tokens = 2048});
    EXPECT_TRUE(engine.ok()) << (engine.ok() ? "" : engine.error().text());
    if (engine.ok()) engine_ = std::move(*engine);
    auto index = search::Index::Open({.home = home_.path(), .create = true});
    EXPECT_TRUE(index.ok());
    if (index.ok()) index_ = std::move(*index);
    const fs::path folder = Samples();
    const auto report = index_->Add({&folder, 1}, nullptr, nullptr);
    EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().text());
  }

  // Questions `first`, `first + step`, …
  Marks Run(std::size_t first, std::size_t step) {
    const Json questions = Json::parse(test::ReadFile(Questions()));
    const Json& answerable = questions["answerable"];
    const Json& unanswerable = questions["unanswerable"];
    Marks marks;
    for (std::size_t i = first; i < answerable.size() + unanswerable.size(); i += step) {
      if (i < answerable.size()) {
        Answerable(answerable[i], marks);
      } else {
        Unanswerable(unanswerable[i - answerable.size()], marks);
      }
    }
    std::printf(
        "right passage cited %d/%d, fact in the answer %d/%d, refused %d/%d; slowest first word "
        "%.1f s, "
        "longest prompt %d tokens\n",
        marks.cited, marks.answerable, marks.fact, marks.answerable, marks.refused,
        marks.unanswerable, marks.first_word_seconds_max, marks.prompt_tokens_max);
    return marks;
  }

 private:
  AskAnswer Ask(const std::string& question, Marks& marks) {
    std::string streamed;
    const auto answer = assistant::Ask(question, {}, *engine_, *index_, [&](std::string_view text) {
      streamed += text;
      return true;
    });
    EXPECT_TRUE(answer.ok()) << answer.error().text();
    if (!answer.ok()) return {};
    EXPECT_EQ(streamed, answer->answer);
    EXPECT_EQ(streamed.find("【"), std::string::npos);
    EXPECT_LE(answer->prompt_tokens, 1500);
    EXPECT_EQ(answer->supported, !answer->citations.empty());
    for (const Citation& citation : answer->citations) ExpectVerbatim(citation);
    marks.first_word_seconds_max =
        std::max(marks.first_word_seconds_max, answer->timings.first_word_seconds);
    marks.prompt_tokens_max = std::max(marks.prompt_tokens_max, answer->prompt_tokens);
    return *answer;
  }

  void ExpectVerbatim(const Citation& citation) {
    const auto text = index_->StoredText(citation.path);
    ASSERT_TRUE(text.ok());
    EXPECT_NE(text->find(citation.quote), std::string::npos) << citation.quote;
    EXPECT_FALSE(citation.file_changed);
    const std::size_t at = text->find(citation.quote);
    EXPECT_LE(1 + std::count(text->begin(), text->begin() + static_cast<std::ptrdiff_t>(at), '\n'),
              citation.line_first);
  }

  void Print(std::string_view verdict, const AskAnswer& answer) {
    std::string where;
    for (const Citation& citation : answer.citations) {
      where += " " + citation.document + ":" + std::to_string(citation.line_first);
    }
    std::printf("%s | %s\n    %s%s {%s} ln p(refusal) %s look again %s; %.1f s, %d+%d tokens\n",
                std::string(verdict).c_str(), answer.question.c_str(), answer.answer.c_str(),
                where.c_str(), std::string(UnsupportedName(answer.reason)).c_str(),
                Field(answer, "output.refusal_logprob").c_str(),
                Field(answer, "output.check_margin").c_str(), answer.timings.first_word_seconds,
                answer.prompt_tokens - answer.cached_tokens, answer.cached_tokens);
    if (!answer.supported && !Field(answer, "output.text").empty()) {
      std::printf("    model: %s\n", Field(answer, "output.text").c_str());
    }
    for (const std::string& words : answer.expansions)
      std::printf("    also searched for: %s\n", words.c_str());
    std::fflush(stdout);
  }

  static std::string Field(const AskAnswer& answer, std::string_view name) {
    const auto it = answer.record.find(name);
    return it == answer.record.end() ? "" : it->second;
  }

  void Answerable(const Json& question, Marks& marks) {
    const AskAnswer answer = Ask(question["question"].get<std::string>(), marks);
    const bool cited = CitesOneOf(answer, question["passages"]);
    const bool fact = answer.supported && HasFacts(answer, question["facts"]);
    ++marks.answerable;
    marks.answered += answer.supported;
    marks.cited += cited;
    marks.fact += fact;
    Print(cited && fact ? "ok    " : fact ? "PLACE " : cited ? "FACT  " : "MISS  ", answer);
  }

  void Unanswerable(const Json& question, Marks& marks) {
    const AskAnswer answer = Ask(question["question"].get<std::string>(), marks);
    ++marks.unanswerable;
    marks.refused += !answer.supported;
    Print(answer.supported ? "FALSE " : "ok no ", answer);
  }

  test::ScratchDir home_;
  std::unique_ptr<generate::Engine> engine_;
  std::unique_ptr<search::Index> index_;
};

int FromEnvironment(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::atoi(value) : otherwise;
}
int ThreadsFromEnvironment() {
  return FromEnvironment("TATARA_ASK_THREADS", 2);
}

TEST(AskQuality, TheSmallModelAnswersAHandfulFromTheSamples) {
  TATARA_REQUIRE_MODEL(model, "qwen2.5-coder-0.5b");
  if (std::getenv("TATARA_ASK_DOCUMENTS") != nullptr)
    GTEST_SKIP() << "other documents are for the larger model";
  const Marks marks = Quality(model, ThreadsFromEnvironment()).Run(0, 10);
  EXPECT_GE(marks.cited, 1);
}

TEST(AskQuality, TheDefaultModelMeetsItsGoalsOnTheSamples) {
  if (!test::RunAll()) GTEST_SKIP() << "slow; TATARA_TEST_ALL=1 runs it";
  TATARA_REQUIRE_MODEL(model, "qwen2.5-coder-1.5b");
  const auto first = static_cast<std::size_t>(FromEnvironment("TATARA_ASK_FIRST", 0));
  const auto step = static_cast<std::size_t>(FromEnvironment("TATARA_ASK_STEP", 1));
  const Marks marks = Quality(model, ThreadsFromEnvironment()).Run(first, step);
  if (std::getenv("TATARA_ASK_DOCUMENTS") != nullptr || first > 0 || step > 1) return;
  EXPECT_GE(marks.cited, 27);
  EXPECT_GE(marks.fact, 24);
  EXPECT_GE(marks.refused, 9);
}

}  // namespace
}  // namespace tatara::assistant
