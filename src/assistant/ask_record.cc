#include "ask_record.h"

#include <nlohmann/json.hpp>

#include "tatara/base/version.h"
#include "tatara/generate/run_record.h"

namespace tatara::assistant {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kPassagesMax = 64;  // of a record that is read

std::string Dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json PassageJson(const search::Passage& passage) {
  return {{"document", passage.document},
          {"document_sha256", passage.document_sha256},
          {"title", passage.title},
          {"heading_path", passage.heading_path},
          {"lines", {passage.line_first, passage.line_last}},
          {"text", passage.text},
          {"table_head", passage.table_head}};
}

Json CitationJson(const Citation& citation) {
  return {{"number", citation.number},
          {"document", citation.document},
          {"document_sha256", citation.document_sha256},
          {"heading", citation.heading},
          {"lines", {citation.line_first, citation.line_last}},
          {"quote", citation.quote}};
}

Error NotAsExpected(std::string_view field) {
  return Refuse("record: the field '{0}' is not as expected", field);
}

// Null for what is missing or no JSON.
Json FieldOf(const RecordFields& record, std::string_view name) {
  const auto it = record.find(name);
  if (it == record.end()) return nullptr;
  Json json = Json::parse(it->second, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? Json(nullptr) : json;
}

Result<std::vector<std::string>> Strings(const Json& json, std::string_view field) {
  std::vector<std::string> strings;
  if (!json.is_array()) return NotAsExpected(field);
  for (const Json& one : json) {
    if (!one.is_string()) return NotAsExpected(field);
    strings.push_back(one.get<std::string>());
  }
  return strings;
}

Result<search::Passage> PassageOf(const Json& json) {
  constexpr std::string_view kField = "input.passages";
  if (!json.is_object()) return NotAsExpected(kField);
  search::Passage passage;
  for (const auto& [name, text] : {std::pair{"document", &passage.document},
                                   {"document_sha256", &passage.document_sha256},
                                   {"title", &passage.title},
                                   {"text", &passage.text},
                                   {"table_head", &passage.table_head}}) {
    if (!json.contains(name) || !json[name].is_string()) return NotAsExpected(kField);
    *text = json[name].get<std::string>();
  }
  if (!json.contains("heading_path") || !json.contains("lines")) return NotAsExpected(kField);
  TATARA_TRY(passage.heading_path, Strings(json["heading_path"], kField));
  const Json& lines = json["lines"];
  if (!lines.is_array() || lines.size() != 2 || !lines[0].is_number_integer() ||
      !lines[1].is_number_integer()) {
    return NotAsExpected(kField);
  }
  passage.line_first = static_cast<int>(lines[0].get<std::int64_t>() & 0x3FFFFFFF);
  passage.line_last = static_cast<int>(lines[1].get<std::int64_t>() & 0x3FFFFFFF);
  return passage;
}

std::string LanguageJson(Language language) {
  return language == Language::kJapanese ? "\"ja\"" : "\"en\"";
}

Result<Language> LanguageField(const RecordFields& record, std::string_view name) {
  const Json language = FieldOf(record, name);
  if (language != "ja" && language != "en") return NotAsExpected(name);
  return language == "ja" ? Language::kJapanese : Language::kEnglish;
}

class AskReplayer : public Replayer {
 public:
  explicit AskReplayer(generate::Engine& engine) : engine_(engine) {}
  std::string_view kind() const override { return "ask"; }

  Result<RecordFields> Replay(const RecordFields& record) override {
    TATARA_TRY(const AskInputs inputs, InputsOfRecord(record));
    Judge judge(inputs.asked, inputs.passages, inputs.expansions);
    if (inputs.passages.empty()) return JudgedFields(judge, nullptr);
    TATARA_RETURN_IF_ERROR(generate::CheckRecordFits(engine_, record));
    TATARA_TRY(const generate::Request request, generate::RequestOfRecord(record));
    TATARA_TRY(const ModelRun run, RunModel(engine_, inputs.asked, request, judge, {}));
    return JudgedFields(judge, &run);
  }

 private:
  generate::Engine& engine_;
};

}  // namespace

RecordFields InputFields(const AskInputs& inputs) {
  Json passages = Json::array();
  for (const search::Passage& passage : inputs.passages) passages.push_back(PassageJson(passage));
  return {{"input.question", Dumped(inputs.question)},
          {"input.collection", Dumped(inputs.collection)},
          {"input.prompt_question", Dumped(inputs.asked.question)},
          {"input.prompt_language", LanguageJson(inputs.asked.language)},
          {"input.answer_language", LanguageJson(inputs.asked.answer_language)},
          {"input.instructions", Dumped(std::string(kInstructions))},
          {"input.expansions", Dumped(inputs.expansions)},
          {"input.passages", Dumped(passages)},
          {"input.program_version", Dumped(std::string(kVersion))}};
}

Result<AskInputs> InputsOfRecord(const RecordFields& record) {
  AskInputs inputs;
  const Json question = FieldOf(record, "input.question");
  if (!question.is_string()) return NotAsExpected("input.question");
  inputs.question = question.get<std::string>();
  const Json prompt_question = FieldOf(record, "input.prompt_question");
  if (!prompt_question.is_string()) return NotAsExpected("input.prompt_question");
  inputs.asked.question = prompt_question.get<std::string>();
  TATARA_TRY(inputs.asked.language, LanguageField(record, "input.prompt_language"));
  TATARA_TRY(inputs.asked.answer_language, LanguageField(record, "input.answer_language"));
  const Json instructions = FieldOf(record, "input.instructions");
  if (instructions != std::string(kInstructions)) {
    return Refuse("record: made with the instructions {0}; this program has '{1}'",
                  Dumped(instructions), kInstructions);
  }
  TATARA_TRY(inputs.expansions, Strings(FieldOf(record, "input.expansions"), "input.expansions"));
  const Json passages = FieldOf(record, "input.passages");
  if (!passages.is_array() || passages.size() > kPassagesMax)
    return NotAsExpected("input.passages");
  for (const Json& json : passages) {
    TATARA_TRY(search::Passage passage, PassageOf(json));
    inputs.passages.push_back(std::move(passage));
  }
  return inputs;
}

RecordFields JudgedFields(const Judge& judge, const ModelRun* run) {
  Json citations = Json::array();
  for (const Citation& citation : judge.citations()) citations.push_back(CitationJson(citation));
  RecordFields fields = run != nullptr ? generate::OutputFields(run->completion) : RecordFields();
  if (run != nullptr) {
    fields["output.refusal_logprob"] =
        run->refusal_logprob ? Dumped(*run->refusal_logprob) : "null";
    fields["output.check_margin"] = run->check_margin ? Dumped(*run->check_margin) : "null";
  }
  fields["output.answer"] = Dumped(judge.Answer());
  fields["output.supported"] = judge.supported() ? "true" : "false";
  fields["output.reason"] = Dumped(std::string(UnsupportedName(judge.reason())));
  fields["output.citations"] = Dumped(citations);
  return fields;
}

bool RevealsText(std::string_view field) {
  return generate::RevealsText(field) || field == "input.question" ||
         field == "input.prompt_question" || field == "input.passages" ||
         field == "input.expansions" || field == "output.answer" || field == "output.citations";
}

std::unique_ptr<Replayer> MakeAskReplayer(generate::Engine& engine) {
  return std::make_unique<AskReplayer>(engine);
}

}  // namespace tatara::assistant
