#include "tatara/generate/run_record.h"

#include <algorithm>
#include <limits>

#include "json_text.h"
#include "tatara/base/sha256.h"
#include "tatara/base/utf8.h"
#include "tatara/text/tokenizer.h"

namespace tatara::generate {
namespace {

constexpr std::string_view kForms[] = {"chat", "text", "ids"};  // by PromptForm
// Bounds of what a record may make this program hold.
constexpr std::size_t kTokensMax = 1u << 24;

std::string_view ActivationsName(bool f32) {
  return f32 ? "f32" : "int8";
}

std::string JsonOf(std::string_view text) {
  return DumpJson(Json(text));
}
std::string JsonOf(const std::vector<std::int32_t>& ids) {
  return DumpJson(Json(ids));
}
std::string JsonOfBool(bool value) {
  return value ? "true" : "false";
}

Result<Json> Field(const RecordFields& record, std::string_view name) {
  const auto it = record.find(name);
  if (it == record.end()) return Refuse("record: the field '{0}' is missing", name);
  return ParseJson(it->second, name);
}

Error WrongKind(std::string_view name, std::string_view expected) {
  return Refuse("record: the field '{0}' is not {1}", name, expected);
}

Result<std::string> TextField(const RecordFields& record, std::string_view name) {
  TATARA_TRY(const Json value, Field(record, name));
  if (!value.is_string()) return WrongKind(name, "a text");
  return value.get<std::string>();
}

Result<std::int64_t> IntField(const RecordFields& record, std::string_view name, std::int64_t max) {
  TATARA_TRY(const Json value, Field(record, name));
  // A number beyond int64 is kept as unsigned, and is then negative here.
  if (!value.is_number_integer() || value.get<std::int64_t>() < 0 ||
      value.get<std::int64_t>() > max) {
    return WrongKind(name, fmt::format("a whole number from 0 to {}", max));
  }
  return value.get<std::int64_t>();
}

Result<std::vector<std::int32_t>> IdsField(const RecordFields& record, std::string_view name) {
  TATARA_TRY(const Json value, Field(record, name));
  if (!value.is_array() || value.size() > kTokensMax) return WrongKind(name, "a list of token ids");
  std::vector<std::int32_t> ids;
  ids.reserve(value.size());
  for (const Json& id : value) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 ||
        id.get<std::int64_t>() > INT32_MAX) {
      return WrongKind(name, "a list of token ids");
    }
    ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

Result<std::vector<std::string>> TextsField(const RecordFields& record, std::string_view name) {
  TATARA_TRY(const Json value, Field(record, name));
  if (!value.is_array() || value.size() > kStopStringsMax)
    return WrongKind(name, "a list of texts");
  std::vector<std::string> texts;
  for (const Json& text : value) {
    if (!text.is_string()) return WrongKind(name, "a list of texts");
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

Json AdapterJson(const std::optional<AdapterFacts>& adapter) {
  if (!adapter) return nullptr;
  return {{"name", adapter->name},
          {"sha256", adapter->sha256},
          {"scale", adapter->scale},
          {"form", AdapterFormName(adapter->form)}};
}

// What the field says of an adapter, as far as it is told apart by it; nothing where it names none.
Result<std::optional<AdapterFacts>> AdapterField(const RecordFields& record,
                                                 std::string_view name) {
  if (!record.contains(std::string(name))) return std::optional<AdapterFacts>();
  TATARA_TRY(const Json value, Field(record, name));
  if (value.is_null()) return std::optional<AdapterFacts>();
  constexpr std::string_view kExpected = "null or an object of name, sha256, scale and form";
  if (!value.is_object() || value.size() != 4) return WrongKind(name, kExpected);
  for (const char* text : {"name", "sha256", "form"}) {
    if (!value.contains(text) || !value[text].is_string()) return WrongKind(name, kExpected);
  }
  if (!value.contains("scale") || !value["scale"].is_number()) return WrongKind(name, kExpected);
  AdapterFacts facts;
  facts.name = value["name"].get<std::string>();
  facts.sha256 = value["sha256"].get<std::string>();
  facts.scale = value["scale"].get<double>();
  for (const AdapterForm form :
       {AdapterForm::kHot, AdapterForm::kMerged, AdapterForm::kMergedRequantised}) {
    facts.form = form;
    if (value["form"] == Json(AdapterFormName(form))) return std::optional(facts);
  }
  return WrongKind(name, kExpected);
}

// That the engine has this adapter, with these numbers.
Result<> CheckSameAdapter(const AdapterFacts& recorded, const AdapterFacts& found) {
  if (recorded.sha256 != found.sha256) {
    return Refuse("record: made with the adapter '{0}' of SHA-256 {1}, but it has {2} now",
                  recorded.name, recorded.sha256, found.sha256);
  }
  if (recorded.scale != found.scale || recorded.form != found.form) {
    return Refuse("record: made with the adapter '{0}' {1} at scale {2}, but it is {3} at {4} now",
                  recorded.name, AdapterFormName(recorded.form), recorded.scale,
                  AdapterFormName(found.form), found.scale);
  }
  return Ok{};
}

Result<> CheckAdapters(const Engine& engine, const RecordFields& record) {
  TATARA_TRY(const auto merged, AdapterField(record, "input.merged_adapter"));
  const std::optional<AdapterFacts>& has = engine.facts().merged;
  if (merged.has_value() != has.has_value()) {
    return Refuse("record: made with the merged adapter '{0}', but the model is open with '{1}'",
                  merged ? merged->name : "", has ? has->name : "");
  }
  if (merged) TATARA_RETURN_IF_ERROR(CheckSameAdapter(*merged, *has));
  TATARA_TRY(const auto hot, AdapterField(record, "input.adapter"));
  if (!hot) return Ok{};
  for (const AdapterFacts& loaded : engine.adapters()) {
    if (loaded.name == hot->name) return CheckSameAdapter(*hot, loaded);
  }
  return Refuse("record: made with the adapter '{0}', which is not loaded", hot->name);
}

Result<> CheckTemplate(const Engine& engine, const RecordFields& record) {
  TATARA_TRY(const Json digest, Field(record, "input.chat_template_sha256"));
  if (digest.is_null()) return Ok{};
  if (digest != Json(Sha256Hex(engine.chat_template_source()))) {
    return Refuse("record: the model '{0}' has another chat template than the one recorded",
                  engine.facts().path);
  }
  const auto source = record.find("input.chat_template");
  if (source != record.end() && source->second != JsonOf(engine.chat_template_source())) {
    return Refuse("record: 'input.chat_template' is not the text of its own digest");
  }
  return Ok{};
}

Result<> CheckPrompt(const Engine& engine, const RecordFields& record) {
  TATARA_TRY(const std::string form, TextField(record, "input.prompt_form"));
  if (std::find(std::begin(kForms), std::end(kForms), form) == std::end(kForms)) {
    return WrongKind("input.prompt_form", "'chat', 'text' or 'ids'");
  }
  if (form == "ids" || !record.contains("input.prompt")) return Ok{};
  TATARA_TRY(const std::string prompt, TextField(record, "input.prompt"));
  TATARA_TRY(const std::vector<std::int32_t> recorded, IdsField(record, "input.token_ids"));
  const std::vector<std::int32_t> ids =
      form == "chat" ? engine.EncodeRendered(prompt)
                     : engine.tokenizer().Encode(prompt, {.add_start = true});
  if (ids == recorded) return Ok{};
  const auto at = std::mismatch(ids.begin(), ids.end(), recorded.begin(), recorded.end());
  return Refuse(
      "record: 'input.prompt' gives other token ids than 'input.token_ids' from place {0} on",
      at.first - ids.begin());
}

}  // namespace

RecordFields OutputFields(const Completion& completion) {
  return {{"output.token_ids", JsonOf(completion.token_ids)},
          {"output.text", JsonOf(completion.text)},
          {"output.finish_reason", JsonOf(FinishReasonName(completion.finish_reason))},
          {"output.logits_sha256", JsonOf(completion.logits_sha256)}};
}

RecordFields RunFields(const Engine& engine, const Request& request, const PromptOrigin& origin,
                       const Completion& completion) {
  SamplingParams sampling = request.sampling;
  sampling.seed = completion.seed;
  const bool chat = origin.form == PromptForm::kChat;
  const std::string_view source = engine.chat_template_source();
  RecordFields fields = OutputFields(completion);
  fields["input.model_name"] = JsonOf(origin.model_name);
  fields["input.model_sha256"] = JsonOf(origin.model_sha256);
  fields["input.activations"] = JsonOf(ActivationsName(engine.f32_activations()));
  fields["input.adapter"] = DumpJson(AdapterJson(completion.adapter));
  fields["input.merged_adapter"] = DumpJson(AdapterJson(engine.facts().merged));
  fields["input.chat_template"] = chat ? JsonOf(source) : "null";
  fields["input.chat_template_sha256"] = chat ? JsonOf(Sha256Hex(source)) : "null";
  fields["input.prompt"] = JsonOf(origin.prompt);
  // Bytes that are no text can not be written down exactly; then the ids are what was asked.
  const PromptForm form = IsValidUtf8(origin.prompt) ? origin.form : PromptForm::kIds;
  fields["input.prompt_form"] = JsonOf(kForms[static_cast<std::size_t>(form)]);
  fields["input.token_ids"] = JsonOf(request.prompt);
  fields["input.sampling"] = SamplingToJson(sampling);
  fields["input.tokens_max"] = std::to_string(request.tokens_max);
  fields["input.stop"] = DumpJson(Json(request.stop));
  fields["input.ignore_end"] = JsonOfBool(request.ignore_end);
  fields["input.choice"] = std::to_string(request.choice);
  if (!request.shown_tokens.empty()) {
    fields["input.shown_tokens"] = JsonOf(request.shown_tokens);
  }
  return fields;
}

bool RevealsText(std::string_view field) {
  return field == "input.prompt" || field == "input.token_ids" || field == "input.stop" ||
         field == "output.text" || field == "output.token_ids";
}

Result<Request> RequestOfRecord(const RecordFields& record) {
  Request request;
  TATARA_TRY(request.prompt, IdsField(record, "input.token_ids"));
  const auto sampling = record.find("input.sampling");
  if (sampling == record.end()) {
    return Refuse("record: the field '{0}' is missing", "input.sampling");
  }
  TATARA_TRY(request.sampling, SamplingFromJson(sampling->second));
  if (!request.sampling.seed) return Refuse("record: 'input.sampling' names no seed");
  TATARA_TRY(const std::int64_t tokens_max,
             IntField(record, "input.tokens_max", std::numeric_limits<int>::max()));
  request.tokens_max = static_cast<int>(tokens_max);
  if (tokens_max == 0) request.prompt_logprobs = 0;  // what such a request was for
  TATARA_TRY(request.stop, TextsField(record, "input.stop"));
  TATARA_TRY(const Json ignore_end, Field(record, "input.ignore_end"));
  if (!ignore_end.is_boolean()) return WrongKind("input.ignore_end", "true or false");
  request.ignore_end = ignore_end.get<bool>();
  TATARA_TRY(const std::int64_t choice,
             IntField(record, "input.choice", std::numeric_limits<std::uint32_t>::max()));
  request.choice = static_cast<std::uint32_t>(choice);
  if (record.contains("input.shown_tokens")) {
    TATARA_TRY(request.shown_tokens, IdsField(record, "input.shown_tokens"));
  }
  TATARA_TRY(const auto adapter, AdapterField(record, "input.adapter"));
  if (adapter) request.adapter = adapter->name;
  request.digest_logits = true;
  return request;
}

Result<> CheckRecordFits(const Engine& engine, const RecordFields& record) {
  TATARA_TRY(const std::string activations, TextField(record, "input.activations"));
  if (activations != ActivationsName(engine.f32_activations())) {
    return Refuse("record: made with {0} activations, but the model is open with {1}", activations,
                  ActivationsName(engine.f32_activations()));
  }
  TATARA_RETURN_IF_ERROR(CheckAdapters(engine, record));
  TATARA_RETURN_IF_ERROR(CheckTemplate(engine, record));
  return CheckPrompt(engine, record);
}

Result<RecordFields> RunReplayer::Replay(const RecordFields& record) {
  TATARA_TRY(Request request, RequestOfRecord(record));
  TATARA_RETURN_IF_ERROR(CheckRecordFits(engine_, record));
  TATARA_TRY(const Completion completion, engine_.Generate(std::move(request)));
  return OutputFields(completion);
}

}  // namespace tatara::generate
