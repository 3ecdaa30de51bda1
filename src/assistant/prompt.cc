#include "prompt.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tatara/text/tokenizer.h"

namespace tatara::assistant {
namespace {

using Json = nlohmann::ordered_json;

// Passages whose score is below this share of the best one's only distract a small model.
constexpr double kScoreShareMin = 0.35;

struct Turn {
  std::string_view role;
  std::string_view content;
};

// The examples: one whose answer is there, one whose topic is there and whose fact is not.
constexpr Turn kJapanese[] = {
    {"system",
     "あなたは社内文書だけを根拠に答えるアシスタントです。資料を読み、質問に日本語の短い文で答えま"
     "す。数値や単位は資料のと"
     "おりに書きます。質問の答えが資料に書いてなければ【記載なし】とだけ書きます。推測はしません"
     "。"},
    {"user",
     "資料:\n[1] 図書室のご案内 > 開室時間\n平日は 9 時から 18 時まで開いています。土曜日は 13 "
     "時に閉まります。\n[2] 図書室のご案内 > 貸出し\n本は一人 4 冊まで、期間は 14 "
     "日間です。雑誌は貸し出しません。\n\n質問: 本は何日借りられますか？"},
    {"assistant", "本は 14 日間借りられます。"},
    {"user",
     "資料:\n[1] 駐輪場の決まり > 場所\n駐輪場は東門の横にあります。屋根のある区画は 40 "
     "台分です。\n[2] "
     "駐輪場の決まり > 登録\n駐輪場を使う人は、総務の窓口で登録し、黄色い札を付けます。登録は 1 "
     "年ごとに更新します。\n\n質問: 駐輪場の登録にかかる料金はいくらですか？"},
    {"assistant", "【記載なし】"},
};

constexpr Turn kEnglish[] = {
    {"system",
     "You answer from company documents only. Read the passages and answer the question in one "
     "short English "
     "sentence. Copy numbers and units as they are. If the passages do not state the answer, write "
     "only "
     "【not stated】. Never guess."},
    {"user",
     "Passages:\n[1] Library > Lending\nBooks: four per person for 14 days. Magazines are not "
     "lent.\n[2] "
     "図書室のご案内 > 開室時間\n平日は 9 時から 18 時まで開いています。土曜日は 13 "
     "時に閉まります。\n\nQuestion: When does the library close on Saturdays?"},
    {"assistant", "The library closes at 13:00 on Saturdays."},
    {"user",
     "Passages:\n[1] Bicycle parking > Place\nThe parking is beside the east gate. There are 40 "
     "places under "
     "the roof.\n[2] Bicycle parking > Registration\nRegister at the general affairs desk and "
     "attach the "
     "yellow tag. Registration is renewed every year.\n\nQuestion: How much does the registration "
     "of a bicycle "
     "cost?"},
    {"assistant", "【not stated】"},
};

constexpr Turn kToEnglish[] = {
    {"system", "Translate the question into English. Write only the translation."},
    {"user", "食堂の営業時間は何時から何時までですか？"},
    {"assistant", "What are the opening hours of the canteen?"},
    {"user", "フォークリフトの充電にはどのくらい時間がかかりますか？"},
    {"assistant", "How long does it take to charge the forklift?"},
};

constexpr Turn kToJapanese[] = {
    {"system", "質問を日本語に訳します。訳だけを書きます。"},
    {"user", "What are the opening hours of the canteen?"},
    {"assistant", "食堂の営業時間は何時から何時までですか？"},
    {"user", "How long does it take to charge the forklift?"},
    {"assistant", "フォークリフトの充電にはどのくらい時間がかかりますか？"},
};

constexpr Turn kAnswerToJapanese[] = {
    {"system", "英語の文を日本語に訳します。数値と単位はそのまま写します。訳だけを書きます。"},
    {"user", "The library closes at 13:00 on Saturdays."},
    {"assistant", "図書室は土曜日は 13:00 に閉まります。"},
    {"user", "Leave the bicycle behind the east gate, next to the bus stop."},
    {"assistant", "自転車は、東門の裏のバス停の隣に置きます。"},
};

constexpr Turn kCheckJapanese[] = {
    {"system",
     "資料の文が、質問された事柄そのものを述べていて、回答がそれと合っているかを確かめます。「はい"
     "」か「いいえ」だけで答えます。"},
    {"user",
     "資料: 本は一人 4 冊まで、期間は 14 日間です。\n質問: 本は何日借りられますか？\n回答: 本は 14 "
     "日間借りられます。"},
    {"assistant", "はい"},
    {"user",
     "資料: 駐輪場の登録は 1 年ごとに更新します。\n質問: "
     "駐輪場の登録にかかる料金はいくらですか？\n回答: 登録の料金は 1 年です。"},
    {"assistant", "いいえ"},
};

constexpr Turn kCheckEnglish[] = {
    {"system",
     "Check whether the passage states the very thing that was asked, and the answer agrees with "
     "it. Write only "
     "Yes or No."},
    {"user",
     "Passage: Books: four per person for 14 days.\nQuestion: For how many days can a book be "
     "borrowed?\nAnswer: "
     "For 14 days."},
    {"assistant", "Yes"},
    {"user",
     "Passage: Registration of a bicycle is renewed every year.\nQuestion: How much does the "
     "registration "
     "cost?\nAnswer: It costs one year."},
    {"assistant", "No"},
};

template <std::size_t n>
Json Messages(const Turn (&turns)[n], std::string_view last) {
  Json messages = Json::array();
  for (const Turn& turn : turns)
    messages.push_back({{"role", turn.role}, {"content", turn.content}});
  messages.push_back({{"role", "user"}, {"content", last}});
  return messages;
}

Result<std::string> Render(const generate::Engine& engine, const Json& messages) {
  return engine.RenderChat(messages.dump(-1, ' ', false, Json::error_handler_t::replace), "");
}

int TokensOf(const generate::Engine& engine, std::string_view text) {
  return static_cast<int>(engine.tokenizer().Encode(text, {.add_start = false}).size());
}

std::string ShownPassage(const search::Passage& passage, std::size_t number) {
  std::string text = "[" + std::to_string(number) + "] " + HeadingOf(passage) + "\n";
  if (!passage.table_head.empty()) text += passage.table_head + "\n";
  return text + passage.text + "\n";
}

std::string UserTurn(Language language, std::string_view question,
                     const std::vector<search::Passage>& best_first) {
  const bool japanese = language == Language::kJapanese;
  std::string text = japanese ? "資料:\n" : "Passages:\n";
  // A small model reads best what stands right before the question.
  for (std::size_t i = best_first.size(); i > 0; --i) {
    text += ShownPassage(best_first[i - 1], best_first.size() - i + 1);
  }
  text += japanese ? "\n質問: " : "\nQuestion: ";
  text += question;
  return text;
}

bool HasIdentifiers(const search::Passage& passage, const std::set<std::string>& identifiers) {
  const std::set<std::string> own = IdentifiersOf(passage.document + "\n" + HeadingOf(passage) +
                                                  "\n" + passage.table_head + "\n" + passage.text);
  return std::includes(own.begin(), own.end(), identifiers.begin(), identifiers.end());
}

}  // namespace

std::string_view RefusalMark(Language language) {
  return language == Language::kJapanese ? "【記載なし】" : "【not stated】";
}

std::string_view RefusalText(Language language) {
  return language == Language::kJapanese ? "文書の中に、この質問の答えは見つかりませんでした。"
                                         : "The documents do not say.";
}

Result<AskPrompt> BuildPrompt(const generate::Engine& engine, Language language,
                              std::string_view question,
                              const std::vector<search::Passage>& passages,
                              const PromptLimits& limits) {
  const auto render = [&](const std::vector<search::Passage>& chosen) -> Result<AskPrompt> {
    const std::string last = UserTurn(language, question, chosen);
    const Json messages =
        language == Language::kJapanese ? Messages(kJapanese, last) : Messages(kEnglish, last);
    AskPrompt prompt;
    TATARA_TRY(prompt.rendered, Render(engine, messages));
    prompt.token_ids = engine.EncodeRendered(prompt.rendered);
    return prompt;
  };
  std::vector<search::Passage> shown, kept;
  TATARA_TRY(AskPrompt prompt, render(shown));
  const int bare = static_cast<int>(prompt.token_ids.size());
  if (bare > limits.prompt_tokens_max) {
    return Refuse("the question needs a prompt of {0} tokens before any passage; the most is {1}",
                  bare, limits.prompt_tokens_max);
  }
  int used = 0;
  for (const search::Passage& passage : passages) {
    const int tokens = TokensOf(engine, ShownPassage(passage, shown.size() + 1));
    if (used + tokens > limits.passage_tokens_max) continue;
    shown.push_back(passage);
    TATARA_TRY(AskPrompt longer, render(shown));
    if (static_cast<int>(longer.token_ids.size()) > limits.prompt_tokens_max) {
      shown.pop_back();
      continue;
    }
    used += tokens;
    kept.push_back(passage);
    prompt = std::move(longer);
  }
  prompt.passages = std::move(kept);
  prompt.left_out = static_cast<int>(passages.size() - prompt.passages.size());
  return prompt;
}

std::vector<search::Passage> ChoosePassages(std::string_view question,
                                            std::vector<search::Passage> found, int passages_max) {
  const std::set<std::string> identifiers = IdentifiersOf(question);
  const auto has_all = [&](const search::Passage& passage) {
    return HasIdentifiers(passage, identifiers);
  };
  if (!identifiers.empty() && std::any_of(found.begin(), found.end(), has_all)) {
    std::erase_if(found, [&](const search::Passage& passage) { return !has_all(passage); });
  }
  if (found.empty()) return found;
  const double score_min = kScoreShareMin * found.front().score;
  std::erase_if(found, [&](const search::Passage& passage) { return passage.score < score_min; });
  if (found.size() > static_cast<std::size_t>(passages_max))
    found.resize(static_cast<std::size_t>(passages_max));
  return found;
}

YesNo CheckAnswers(Language language) {
  return language == Language::kJapanese ? YesNo{"はい", "いいえ"} : YesNo{"Yes", "No"};
}

Result<std::vector<std::int32_t>> BuildCheckPrompt(const generate::Engine& engine,
                                                   Language language, std::string_view quotes,
                                                   std::string_view question,
                                                   std::string_view answer) {
  const bool japanese = language == Language::kJapanese;
  std::string last = japanese ? "資料: " : "Passage: ";
  last += quotes;
  last += japanese ? "\n質問: " : "\nQuestion: ";
  last += question;
  last += japanese ? "\n回答: " : "\nAnswer: ";
  last += answer;
  TATARA_TRY(const std::string rendered, Render(engine, japanese ? Messages(kCheckJapanese, last)
                                                                 : Messages(kCheckEnglish, last)));
  return engine.EncodeRendered(rendered);
}

Result<std::vector<std::int32_t>> BuildAnswerTranslationPrompt(const generate::Engine& engine,
                                                               std::string_view answer) {
  TATARA_TRY(const std::string rendered, Render(engine, Messages(kAnswerToJapanese, answer)));
  return engine.EncodeRendered(rendered);
}

Result<std::vector<std::int32_t>> BuildTranslationPrompt(const generate::Engine& engine,
                                                         Language language,
                                                         std::string_view question) {
  const Json messages = language == Language::kJapanese ? Messages(kToEnglish, question)
                                                        : Messages(kToJapanese, question);
  TATARA_TRY(const std::string rendered, Render(engine, messages));
  return engine.EncodeRendered(rendered);
}

}  // namespace tatara::assistant
