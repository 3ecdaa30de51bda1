#include "tatara/learn/held_out.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "tatara/base/check.h"
#include "tatara/base/files.h"
#include "tatara/base/json_nesting.h"
#include "tatara/base/localise.h"
#include "tatara/base/utf8.h"
#include "tatara/learn/data.h"

namespace tatara::learn {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kFileBytesMax = 64 << 20;
constexpr std::size_t kQuestionsMax = 100'000;

char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string Lowered(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), Lower);
  return out;
}

bool IsDigit(char32_t c) {
  return c >= '0' && c <= '9';
}

// A letter that makes one word with its neighbours. Kanji, kana, Hangul with its particles, Thai
// and its neighbours are written without spaces; signs (degrees, quotes, dashes) belong to no word.
bool IsWord(char32_t c) {
  if (c < 0x80) return IsDigit(c) || (c >= 'a' && c <= 'z');
  const bool has_spaces =
      !(c >= 0xE00 && c < 0xF00) && !(c >= 0x1000 && c < 0x10A0) && !(c >= 0x1780 && c < 0x1800);
  return c >= 0xC0 && c < 0x2000 && c != 0xD7 && c != 0xF7 && has_spaces;
}

std::u32string CodePoints(std::string_view text) {
  std::u32string codes;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Sequence next = ReadUtf8(text.substr(at));
    codes += next.valid ? next.code_point : U'\uFFFD';
    at += next.length;
  }
  return codes;
}

// Whether what stands at [at, at + size) goes on before or after: as a word, or as a number with a
// point or comma.
bool IsPartOfMore(std::u32string_view text, std::size_t at, std::size_t size) {
  const auto joins = [&](std::size_t a, std::size_t b) {  // neighbours, a before b
    return IsWord(text[a]) && IsWord(text[b]);
  };
  const auto point = [&](std::size_t i) { return text[i] == '.' || text[i] == ','; };
  const std::size_t end = at + size;
  if (at > 0 && joins(at - 1, at)) return true;
  if (end < text.size() && joins(end - 1, end)) return true;
  if (at > 1 && IsDigit(text[at]) && point(at - 1) && IsDigit(text[at - 2])) return true;
  return end + 1 < text.size() && IsDigit(text[end - 1]) && point(end) && IsDigit(text[end + 1]);
}

bool TakeQuestion(const std::string& line, HeldOutQuestion& q) {
  if (JsonNestsTooDeeply(line)) return false;
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("question") || !json["question"].is_string() ||
      !json.contains("keys") || !json["keys"].is_array() || json["keys"].empty()) {
    return false;
  }
  q.question = json["question"].get<std::string>();
  if (json.contains("answer") && json["answer"].is_string()) {
    q.answer = json["answer"].get<std::string>();
  }
  for (const Json& key : json["keys"]) {
    if (!key.is_string() || key.get_ref<const std::string&>().empty()) return false;
    q.keys.push_back(key.get<std::string>());
  }
  return true;
}

}  // namespace

Result<std::filesystem::path> FindHeldOut(const Recipe& recipe) {
  return FindNamed(recipe, recipe.tune.held_out);
}

Result<std::vector<HeldOutQuestion>> ReadHeldOut(const std::filesystem::path& path) {
  TATARA_TRY(const std::string text, ReadWholeFile(path, kFileBytesMax));
  std::vector<HeldOutQuestion> questions;
  std::int64_t line_number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    HeldOutQuestion question;
    if (questions.size() >= kQuestionsMax || !TakeQuestion(line, question)) {
      return Refuse(
          "{0}:{1}: an object with \"question\" and \"keys\", a list of texts, is expected; at "
          "most "
          "{2} lines are read",
          path.string(), line_number, kQuestionsMax);
    }
    questions.push_back(std::move(question));
  }
  if (questions.empty()) return Refuse("{0}: no question in it", path.string());
  return questions;
}

bool HasKey(std::string_view answer, std::string_view key) {
  const std::u32string text = CodePoints(Lowered(answer)), wanted = CodePoints(Lowered(key));
  for (std::size_t at = text.find(wanted); at != std::u32string::npos;
       at = text.find(wanted, at + 1)) {
    if (!IsPartOfMore(text, at, wanted.size())) return true;
  }
  return false;
}

Proportion WilsonInterval(std::int64_t n_right, std::int64_t n) {
  Proportion p{.n_right = n_right, .n = n};
  if (n == 0) return p;
  constexpr double z = 1.959963984540054;  // 97.5 % of the normal distribution
  const auto total = static_cast<double>(n);
  const double share = static_cast<double>(n_right) / total;
  const double middle = share + z * z / (2 * total);
  const double spread = z * std::sqrt(share * (1 - share) / total + z * z / (4 * total * total));
  const double scale = 1 + z * z / total;
  // The ends are exact; rounding would miss them.
  p.low = n_right == 0 ? 0.0 : (middle - spread) / scale;
  p.high = n_right == n ? 1.0 : (middle + spread) / scale;
  return p;
}

namespace {

Result<generate::Completion> Answer(generate::Request request, const StopFlag* stop,
                                    generate::Engine& engine) {
  std::optional<Result<generate::Completion>> answer;
  TATARA_TRY(const generate::RequestId id,
             engine.Submit(std::move(request), {}, [&](Result<generate::Completion> done) {
               answer.emplace(std::move(done));
             }));
  bool stops = false;
  while (!answer) {
    stops = stop != nullptr && stop->IsSet();
    if (stops) engine.Cancel(id);
    TATARA_CHECK(engine.Step());
  }
  if (stops) return MakeError(ErrorKind::kCancelled, "stopped");
  return std::move(*answer);
}

}  // namespace

Result<HeldOutScore> ScoreHeldOut(std::span<const HeldOutQuestion> questions,
                                  const HeldOutOptions& options, generate::Engine& engine) {
  const std::string what = Tr("asking held-out questions");
  HeldOutScore score;
  std::int64_t n_right = 0;
  for (const HeldOutQuestion& q : questions) {
    const Json messages = Json::array({{{"role", "user"}, {"content", q.question}}});
    TATARA_TRY(
        const std::string rendered,
        engine.RenderChat(messages.dump(-1, ' ', false, Json::error_handler_t::replace), ""));
    generate::Request request{.prompt = engine.EncodeRendered(rendered),
                              .tokens_max = options.tokens_max};
    request.adapter = options.adapter;
    if (options.progress != nullptr) {
      options.progress->Report(what, score.answers.size(), questions.size());
    }
    TATARA_TRY(generate::Completion completion, Answer(std::move(request), options.stop, engine));
    HeldOutAnswer answer{.answer = std::move(completion.text)};
    answer.right = std::ranges::all_of(
        q.keys, [&](const std::string& key) { return HasKey(answer.answer, key); });
    n_right += answer.right ? 1 : 0;
    score.answers.push_back(std::move(answer));
  }
  score.right = WilsonInterval(n_right, std::ssize(questions));
  return score;
}

}  // namespace tatara::learn
