#include "tatara/assistant/ask.h"

#include <gtest/gtest.h>

#include <fstream>

#include "fake_engine.h"
#include "prompt.h"
#include "tatara/search/index.h"
#include "test_support.h"

namespace tatara::assistant {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

class AskTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder());
    Write("oil.md",
          "# 給油\n\n## 周期\n\n案内面には毎週給油する。油は VG68 を使う。\n\n## "
          "保管\n\n缶は立てて置く。\n");
    Write("tk200.md", "# TK-200\n\n## 暖機\n\n主軸を 800 rpm で 10 分間回す。\n");
    Write("tk300.md", "# TK-300\n\n## 暖機\n\n主軸を 500 rpm で 15 分間回す。\n");
    Write("fire.md", "# Fire\n\nThe assembly point is the car park in front of the canteen.\n");
    auto index = search::Index::Open({.home = scratch_.path() / "home", .create = true});
    ASSERT_TRUE(index.ok());
    index_ = std::move(*index);
    Add();
  }

  fs::path folder() const { return scratch_.path() / "docs"; }
  void Write(const std::string& name, std::string_view text) {
    std::ofstream(folder() / name, std::ios::binary) << text;
  }
  void Add() {
    const fs::path path = folder();
    ASSERT_TRUE(index_->Add({&path, 1}, nullptr, nullptr).ok());
  }
  void Says(std::string text, double refusal_logprob = -9, double top_logprob = -0.1) {
    engine_.model = [=](const std::string&) {
      return FakeEngine::Answer{text, refusal_logprob, top_logprob};
    };
  }
  AskAnswer Ask(std::string_view question,
                AskOptions options = {.prompt_tokens_max = 20'000, .passage_tokens_max = 9000}) {
    streamed_.clear();
    auto answer = assistant::Ask(question, options, engine_, *index_, [&](std::string_view text) {
      streamed_.emplace_back(text);
      return true;
    });
    EXPECT_TRUE(answer.ok()) << (answer.ok() ? "" : answer.error().text());
    if (!answer.ok()) return {};
    std::string joined;
    for (const std::string& piece : streamed_) joined += piece;
    EXPECT_EQ(joined, answer->answer);
    EXPECT_EQ(joined.find("【"), std::string::npos);
    for (const Citation& citation : answer->citations) {
      EXPECT_NE(index_->StoredText(citation.path)->find(citation.quote), std::string::npos);
    }
    return std::move(*answer);
  }

  test::ScratchDir scratch_;
  FakeEngine engine_;
  std::unique_ptr<search::Index> index_;
  Strings streamed_;
};

TEST_F(AskTest, AnAnswerCarriesTheWordsThatSayItAndTheirPlace) {
  Says("案内面には毎週給油します。");
  const AskAnswer answer = Ask("案内面にはいつ給油しますか？");
  EXPECT_TRUE(answer.supported);
  EXPECT_EQ(answer.answer, "案内面には毎週給油します。 [1]");
  ASSERT_EQ(answer.citations.size(), 1u);
  const Citation& citation = answer.citations[0];
  EXPECT_EQ(citation.document, "docs/oil.md");
  EXPECT_EQ(citation.heading, "給油 > 周期");
  EXPECT_EQ(citation.line_first, 5);
  EXPECT_EQ(citation.quote, "案内面には毎週給油する。");
  EXPECT_FALSE(citation.file_changed);
}

TEST_F(AskTest, AnInventedNumberWithdrawsTheAnswer) {
  Says("案内面には 3 日ごとに給油します。");
  const AskAnswer answer = Ask("案内面にはいつ給油しますか？");
  EXPECT_FALSE(answer.supported);
  EXPECT_EQ(answer.reason, Unsupported::kNumberInvented);
  EXPECT_TRUE(answer.citations.empty());
  EXPECT_EQ(answer.answer, "文書の中に、この質問の答えは見つかりませんでした。");
  ASSERT_FALSE(answer.nearest.empty());
  EXPECT_EQ(answer.nearest[0].document, "docs/oil.md");
}

TEST_F(AskTest, WhatPassedStaysAndWhatDoesNotIsNeverShown) {
  Says("案内面には毎週給油します。そのあと 45 分待ちます。さらに続きます。");
  const AskAnswer answer = Ask("案内面にはいつ給油しますか？");
  EXPECT_TRUE(answer.supported);
  EXPECT_EQ(answer.answer, "案内面には毎週給油します。 [1]");
}

TEST_F(AskTest, AnAnswerThatSharesNothingIsWithdrawn) {
  Says("保全部門の承認を得てから外部業者に依頼してください。");
  const AskAnswer answer = Ask("案内面にはいつ給油しますか？");
  EXPECT_EQ(answer.reason, Unsupported::kNotInPassages);
  EXPECT_FALSE(answer.supported);
}

TEST_F(AskTest, TheRefusalIsSaidInTheQuestionsLanguageAndItsMarkNeverLeaks) {
  Says("【記載なし】");
  EXPECT_EQ(Ask("案内面の油の値段は？").reason, Unsupported::kModelSaysNo);
  Says("案内面には毎週給油します。【記載なし】");
  EXPECT_EQ(Ask("案内面にはいつ給油しますか？").answer, "案内面には毎週給油します。 [1]");
  Says("資料には記載されていません。");
  EXPECT_FALSE(Ask("案内面の油の値段は？").supported);
  Says("【not stated】");
  EXPECT_EQ(Ask("What does the canteen cost?").answer, "The documents do not say.");
  Says("");
  EXPECT_EQ(Ask("案内面の油の値段は？").reason, Unsupported::kNoAnswer);
}

TEST_F(AskTest, AModelThatIsSureOfTheRefusalIsNotAskedForMore) {
  Says("案内面には毎週給油します。", -0.5);
  EXPECT_EQ(Ask("案内面にはいつ給油しますか？").reason, Unsupported::kModelSaysNo);
  EXPECT_EQ(engine_.prompts.size(), 1u);
}

TEST_F(AskTest, OnDoubtTheModelLooksAgainBeforeAnythingIsShown) {
  double check_margin = 2;
  engine_.model = [&](const std::string& last) {
    FakeEngine::Answer answer{"案内面には毎週給油します。", -2.0};
    answer.check_margin = check_margin;
    if (last.find("回答: ") != std::string::npos) {
      EXPECT_NE(last.find("案内面には毎週給油する。"), std::string::npos);
    }
    return answer;
  };
  EXPECT_TRUE(Ask("案内面にはいつ給油しますか？").supported);
  EXPECT_EQ(engine_.prompts.size(), 3u);
  check_margin = 0.2;
  const AskAnswer answer = Ask("案内面にはいつ給油しますか？");
  EXPECT_FALSE(answer.supported);
  EXPECT_EQ(answer.reason, Unsupported::kModelSaysNo);
  EXPECT_EQ(streamed_.size(), 1u);
}

TEST_F(AskTest, NothingFoundIsSaidWithoutTheModel) {
  const AskAnswer answer = Ask("ξψω?", {.expand = false});
  EXPECT_EQ(answer.reason, Unsupported::kNothingFound);
  EXPECT_FALSE(answer.supported);
  EXPECT_TRUE(engine_.prompts.empty());
}

TEST_F(AskTest, AnIdentifierChoosesBetweenTwoMachines) {
  Says("500 rpm で 15 分間回します。");
  const AskAnswer answer = Ask("ＴＫ３００の暖機は何分ですか？");
  EXPECT_EQ(answer.citations.at(0).document, "docs/tk300.md");
  EXPECT_EQ(engine_.prompts.back().find("800 rpm"), std::string::npos);
}

TEST_F(AskTest, AQuestionInTheOtherLanguageIsTranslatedForTheSearch) {
  engine_.model = [](const std::string& last) {
    if (last == "避難するときの集合場所は？")
      return FakeEngine::Answer{"Where is the assembly point?"};
    if (last.find("Passages:") != std::string::npos) {
      EXPECT_EQ(last.find("主軸"), std::string::npos);
      return FakeEngine::Answer{"The assembly point is the car park."};
    }
    EXPECT_EQ(last, "The assembly point is the car park.");
    return FakeEngine::Answer{"集合場所は駐車場です。"};
  };
  const AskAnswer answer = Ask("避難するときの集合場所は？");
  EXPECT_EQ(answer.expansions, Strings{"Where is the assembly point?"});
  EXPECT_EQ(answer.answer, "集合場所は駐車場です。 [1]");
  EXPECT_TRUE(answer.supported);
  EXPECT_EQ(answer.citations.at(0).document, "docs/fire.md");
}

TEST_F(AskTest, AChangedFileIsSaidToHaveChanged) {
  Says("案内面には毎週給油します。");
  Write("oil.md", "# 新\n\n案内面には毎週給油する。ほかは変わった。\n");
  AskAnswer answer = Ask("案内面にはいつ給油しますか？");
  EXPECT_TRUE(answer.citations.at(0).file_changed);
  EXPECT_TRUE(answer.citations.at(0).quote_in_file);
  fs::remove(folder() / "oil.md");
  answer = Ask("案内面にはいつ給油しますか？");
  EXPECT_TRUE(answer.citations.at(0).file_changed);
  EXPECT_FALSE(answer.citations.at(0).quote_in_file);
}

TEST_F(AskTest, ThePromptStaysWithinItsLimits) {
  std::string long_text = "# 長い文書\n";
  for (int i = 0; i < 40; ++i)
    long_text +=
        "\n## 給油 " + std::to_string(i) + "\n\n" + std::string(600, 'a') + " 案内面に給油する\n";
  Write("long.md", long_text);
  Add();
  Says("案内面には毎週給油します。");
  const AskAnswer answer =
      Ask("案内面に給油する 40 の方法",
          {.prompt_tokens_max = 4000, .passage_tokens_max = 1500, .passages_max = 8});
  EXPECT_LE(answer.prompt_tokens, 4000);
  EXPECT_GT(answer.passages_left_out, 0);
  const auto tight = assistant::Ask("案内面にはいつ給油しますか？", {.prompt_tokens_max = 100},
                                    engine_, *index_, {});
  ASSERT_FALSE(tight.ok());
  EXPECT_EQ(tight.error().kind(), ErrorKind::kRefused);
}

TEST_F(AskTest, BadQuestionsAreRefused) {
  for (const std::string& bad :
       {std::string(), std::string(" \n"), std::string("\xFF"), std::string(5000, 'a')}) {
    EXPECT_FALSE(assistant::Ask(bad, {}, engine_, *index_, {}).ok());
  }
  engine_.has_template = false;
  EXPECT_FALSE(assistant::Ask("案内面？", {}, engine_, *index_, {}).ok());
}

TEST_F(AskTest, TheReaderCanStopIt) {
  Says("案内面には毎週給油します。案内面には毎週給油します。");
  const auto answer = assistant::Ask("案内面にはいつ給油しますか？",
                                     {.prompt_tokens_max = 20'000, .passage_tokens_max = 9000},
                                     engine_, *index_, [](std::string_view) { return false; });
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().kind(), ErrorKind::kCancelled);
}

TEST_F(AskTest, ARecordReplaysToTheSameOutputs) {
  Says("案内面には毎週給油します。");
  const AskAnswer answer = Ask("案内面にはいつ給油しますか？");
  RecordFields outputs, inputs;
  for (const auto& [name, json] : answer.record)
    (name.starts_with("output.") ? outputs : inputs)[name] = json;
  EXPECT_TRUE(outputs.contains("output.citations"));
  EXPECT_EQ(inputs.at("input.question"), "\"案内面にはいつ給油しますか？\"");

  const auto replayer = MakeAskReplayer(engine_);
  EXPECT_EQ(replayer->kind(), "ask");
  auto again = replayer->Replay(inputs);
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_EQ(*again, outputs);
  // Another model's answer is another output.
  Says("案内面には VG68 を使います。");
  again = replayer->Replay(inputs);
  ASSERT_TRUE(again.ok());
  EXPECT_NE(again->at("output.answer"), outputs.at("output.answer"));
}

TEST_F(AskTest, ARecordWithoutARunReplaysToo) {
  const AskAnswer answer = Ask("ξψω?", {.expand = false});
  const auto again = MakeAskReplayer(engine_)->Replay(answer.record);
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_EQ(again->at("output.answer"), answer.record.at("output.answer"));
}

TEST_F(AskTest, ABrokenRecordIsRefusedByField) {
  Says("案内面には毎週給油します。");
  const AskAnswer answer = Ask("案内面にはいつ給油しますか？");
  const auto replayer = MakeAskReplayer(engine_);
  for (const std::string name : {"input.question", "input.prompt_language", "input.answer_language",
                                 "input.prompt_question", "input.passages", "input.expansions",
                                 "input.instructions", "input.token_ids", "input.sampling"}) {
    for (const std::string& value :
         {std::string("{"), std::string("17"), std::string("[[]]"), std::string("[{}]")}) {
      RecordFields record = answer.record;
      record[name] = value;
      EXPECT_FALSE(replayer->Replay(record).ok()) << name << " = " << value;
    }
    RecordFields record = answer.record;
    record.erase(name);
    EXPECT_FALSE(replayer->Replay(record).ok()) << name;
  }
}

TEST_F(AskTest, EveryFieldThatHoldsWordsIsKnownToRevealThem) {
  Says("案内面には毎週給油します。");
  const AskAnswer answer = Ask("案内面にはいつ給油しますか？");
  for (const auto& [name, json] : answer.record) {
    const bool words = json.find("給油") != std::string::npos;
    EXPECT_TRUE(!words || RevealsText(name)) << name;
  }
}

}  // namespace
}  // namespace tatara::assistant
