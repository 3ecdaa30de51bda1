#include "tatara/assistant/ask.h"

#include <algorithm>

#include "ask_record.h"
#include "judge.h"
#include "model_run.h"
#include "prompt.h"
#include "tatara/base/files.h"
#include "tatara/base/sha256.h"
#include "tatara/documents/document.h"
#include "tatara/generate/run_record.h"
#include "tatara/search/index.h"
#include "tatara/text/encoding.h"

namespace tatara::assistant {
namespace {

constexpr int kPassagesFound = 10;  // asked of the index; the best of them go into the prompt
constexpr int kNearestMax = 3;
constexpr int kTranslationTokensMax = 48;

class Stopwatch {
 public:
  explicit Stopwatch(const Clock* clock)
      : clock_(clock != nullptr ? *clock : SystemClock()), start_(clock_.MonotonicNanoseconds()) {}
  double Seconds() const {
    return static_cast<double>(clock_.MonotonicNanoseconds() - start_) * 1e-9;
  }

 private:
  const Clock& clock_;
  std::int64_t start_;
};

class Asking {
 public:
  Asking(std::string_view question, const AskOptions& options, generate::Engine& engine,
         search::Index& index, const OnText& on_text)
      : options_(options),
        engine_(engine),
        index_(index),
        on_text_(on_text),
        watch_(options.clock) {
    inputs_.question = question;
    inputs_.collection = index.collection();
    inputs_.asked.question = question;
    inputs_.asked.language = inputs_.asked.answer_language = LanguageOf(question);
    answer_.question = question;
  }

  Result<AskAnswer> Run() {
    TATARA_TRY(std::vector<search::Passage> found, Find());
    if (found.empty()) return Finish(Judge(inputs_.asked, inputs_.passages, {}), nullptr, {});

    PutInEnglishWhereThePassagesAre(found);
    const int room = static_cast<int>(std::min<std::int64_t>(
        options_.prompt_tokens_max, engine_.facts().context_tokens - options_.answer_tokens_max));
    TATARA_TRY(AskPrompt prompt,
               BuildPrompt(
                   engine_, inputs_.asked.language, inputs_.asked.question, found,
                   {.prompt_tokens_max = room, .passage_tokens_max = options_.passage_tokens_max}));
    inputs_.passages = std::move(prompt.passages);
    answer_.passages_in_prompt = static_cast<int>(inputs_.passages.size());
    answer_.passages_left_out = prompt.left_out;
    answer_.prompt_tokens = static_cast<int>(prompt.token_ids.size());

    const generate::Request request = AnswerRequest(engine_, inputs_.asked.language,
                                                    prompt.token_ids, options_.answer_tokens_max);
    Judge judge(inputs_.asked, inputs_.passages, inputs_.expansions);
    TATARA_TRY(const ModelRun run, RunModel(engine_, inputs_.asked, request, judge,
                                            [&](std::string_view text) { return Show(text); }));
    answer_.record = generate::RunFields(engine_, request,
                                         {.model_name = options_.model_name,
                                          .model_sha256 = options_.model_sha256,
                                          .form = generate::PromptForm::kChat,
                                          .prompt = prompt.rendered},
                                         run.completion);
    return Finish(std::move(judge), &run, found);
  }

 private:
  // Passages that are worth a place in the prompt, best first.
  Result<std::vector<search::Passage>> Find() {
    search::Query query{.text = inputs_.question, .passages_max = kPassagesFound};
    if (options_.expand)
      query.expand = [&](std::string_view question) { return Translate(question); };
    TATARA_TRY(search::SearchResult result, index_.Search(query));
    inputs_.expansions = result.expansions;
    answer_.expansions = result.expansions;
    std::vector<search::Passage> chosen =
        ChoosePassages(inputs_.question, std::move(result.passages), options_.passages_max);
    // A passage that is not in its document's text can not be quoted.
    for (auto it = chosen.begin(); it != chosen.end();) {
      TATARA_TRY(const std::string text, index_.StoredText(it->path));
      it = text.find(it->text) == std::string::npos ? chosen.erase(it) : it + 1;
    }
    answer_.timings.search_seconds = watch_.Seconds() - answer_.timings.expand_seconds;
    return chosen;
  }

  // A question in Japanese whose translation found English passages is put to the model in English,
  // over those alone.
  void PutInEnglishWhereThePassagesAre(std::vector<search::Passage>& found) {
    const auto is_english = [](const search::Passage& passage) {
      return LanguageOf(passage.text) == Language::kEnglish;
    };
    if (inputs_.asked.language == Language::kEnglish || inputs_.expansions.empty() ||
        !is_english(found.front())) {
      return;
    }
    std::erase_if(found, [&](const search::Passage& passage) { return !is_english(passage); });
    inputs_.asked.question = inputs_.expansions.front();
    inputs_.asked.language = Language::kEnglish;
  }

  Result<std::vector<std::string>> Translate(std::string_view question) {
    const double start = watch_.Seconds();
    TATARA_TRY(std::vector<std::int32_t> prompt,
               BuildTranslationPrompt(engine_, inputs_.asked.language, question));
    generate::Request request{.prompt = std::move(prompt), .tokens_max = kTranslationTokensMax};
    request.sampling.seed = 0;
    request.stop = {"\n"};
    std::vector<std::string> words;
    // A question too long for it is searched for as it is.
    if (static_cast<std::int64_t>(request.prompt.size()) + kTranslationTokensMax >
        options_.prompt_tokens_max) {
      return words;
    }
    TATARA_TRY(const generate::Completion completion, engine_.Generate(std::move(request)));
    if (!completion.text.empty()) words.push_back(completion.text);
    answer_.timings.expand_seconds = watch_.Seconds() - start;
    return words;
  }

  bool Show(std::string_view text) {
    if (answer_.timings.first_word_seconds == 0)
      answer_.timings.first_word_seconds = watch_.Seconds();
    return !on_text_ || on_text_(text);
  }

  // Whether each cited file still is what was added.
  void CheckFile(Citation& citation) const {
    const auto bytes = ReadWholeFile(citation.path, documents::kFileBytesMax);
    if (bytes.ok() && Sha256Hex(*bytes) == citation.document_sha256) return;
    citation.file_changed = true;
    citation.quote_in_file = false;
    if (!bytes.ok()) return;
    const auto format = documents::FormatOfFile(citation.path);
    if (!format.ok()) return;
    const auto document = documents::ParseDocument(citation.path, AsBytes(*bytes), *format);
    citation.quote_in_file =
        document.ok() && document->text.find(citation.quote) != std::string::npos;
  }

  Result<AskAnswer> Finish(Judge judge, const ModelRun* run,
                           const std::vector<search::Passage>& found) {
    answer_.answer = judge.Answer();
    answer_.supported = judge.supported();
    answer_.reason = judge.reason();
    answer_.citations = judge.citations();
    if (!answer_.supported) {
      if (!Show(answer_.answer)) return MakeError(ErrorKind::kCancelled, "stopped while answering");
      // Those found, also where they did not fit into the prompt.
      answer_.nearest = Judge(inputs_.asked, found, inputs_.expansions).Nearest(kNearestMax);
    }
    for (Citation& citation : answer_.citations) CheckFile(citation);
    for (Citation& citation : answer_.nearest) CheckFile(citation);
    if (run != nullptr) {
      answer_.cached_tokens = run->completion.cached_tokens;
      answer_.answer_tokens = static_cast<int>(run->completion.token_ids.size());
    }
    for (auto& [name, json] : InputFields(inputs_)) answer_.record[name] = std::move(json);
    for (auto& [name, json] : JudgedFields(judge, run)) answer_.record[name] = std::move(json);
    answer_.timings.total_seconds = watch_.Seconds();
    return std::move(answer_);
  }

  const AskOptions& options_;
  generate::Engine& engine_;
  search::Index& index_;
  const OnText& on_text_;
  Stopwatch watch_;
  AskInputs inputs_;
  AskAnswer answer_;
};

}  // namespace

std::string_view UnsupportedName(Unsupported reason) {
  switch (reason) {
    case Unsupported::kNo:
      return "";
    case Unsupported::kNothingFound:
      return "nothing_found";
    case Unsupported::kModelSaysNo:
      return "model_says_no";
    case Unsupported::kNumberInvented:
      return "number_invented";
    case Unsupported::kNotInPassages:
      return "not_in_passages";
    case Unsupported::kNoAnswer:
      return "no_answer";
  }
  return "";
}

Result<> CheckQuestion(std::string_view question) {
  if (question.size() > kQuestionBytesMax) {
    return Refuse("the question has {0} bytes; the most is {1}", question.size(),
                  kQuestionBytesMax);
  }
  if (text::FirstInvalidUtf8(question)) return Refuse("the question is not UTF-8");
  if (question.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return Refuse("the question is empty");
  return Ok{};
}

Result<AskAnswer> Ask(std::string_view question, const AskOptions& options,
                      generate::Engine& engine, search::Index& index, const OnText& on_text) {
  TATARA_RETURN_IF_ERROR(CheckQuestion(question));
  if (engine.chat_template() == nullptr) {
    return Refuse(
        "{0}: this model has no chat template and can not be asked; take an instruct model",
        engine.facts().path);
  }
  return Asking(question, options, engine, index, on_text).Run();
}

}  // namespace tatara::assistant
