// Rows as texts and conversations: the forms in which people keep them.
#include <algorithm>
#include <optional>
#include <span>
#include <string_view>

#include "json_text.h"
#include "tatara/base/utf8.h"
#include "tatara/corpus/reading.h"
#include "tatara/text/normal_form.h"

namespace tatara::corpus {
namespace {

using Outcome = std::variant<Record, Drop>;

Drop Unknown(Error found) {
  return {DropReason::kForm, std::move(found)};
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

// A member that is a text; null is as good as absent.
std::optional<std::string> TextAt(const Json& object, std::string_view name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

std::optional<std::string> TextOfAny(const Json& object, std::span<const char* const> names) {
  for (const char* name : names) {
    for (const auto& [key, value] : object.items()) {
      if (value.is_string() && Lower(key) == name) return value.get<std::string>();
    }
  }
  return std::nullopt;
}

bool IsBlank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

Json Message(std::string_view role, std::string content) {
  return {{"role", role}, {"content", std::move(content)}};
}

// "tools" as templates want it: an array, which some sets keep as a text.
void AddTools(const Json& row, Json& variables) {
  const auto found = row.find("tools");
  if (found == row.end()) return;
  std::optional<Json> tools = *found;
  if (found->is_string()) tools = ParseJson(found->get_ref<const std::string&>());
  if (tools && tools->is_array() && !tools->empty()) variables["tools"] = *tools;
}

Outcome Finish(const Json& messages, const Json& variables) {
  for (const Json& message : messages) {
    if (message["role"] != "assistant") continue;
    const auto content = message.find("content");
    const bool says = content != message.end() &&
                      (content->is_string() ? !IsBlank(content->get_ref<const std::string&>())
                                            : content->is_array() && !content->empty());
    if (says || message.contains("tool_calls")) {
      return Record(Conversation{DumpJson(messages),
                                 variables.empty() ? std::string() : DumpJson(variables)});
    }
  }
  return Drop{DropReason::kEmpty, Refuse("no answer")};
}

Outcome OfPair(std::optional<std::string> system, std::string question, std::string answer) {
  if (IsBlank(question)) return Drop{DropReason::kEmpty, Refuse("no question")};
  if (IsBlank(answer)) return Drop{DropReason::kEmpty, Refuse("no answer")};
  Json messages = Json::array();
  if (system && !IsBlank(*system)) messages.push_back(Message("system", *system));
  messages.push_back(Message("user", std::move(question)));
  messages.push_back(Message("assistant", std::move(answer)));
  return Finish(messages, Json::object());
}

// https://platform.openai.com/docs/guides/fine-tuning: {"messages": [...], "tools": [...]}.
Outcome OfOpenAi(const Json& row, const Json& messages) {
  constexpr std::string_view kRoles[] = {"system",    "developer", "user",
                                         "assistant", "tool",      "function"};
  if (!messages.is_array() || messages.empty()) return Unknown(Refuse("messages is no list"));
  for (const Json& message : messages) {
    if (!message.is_object()) return Unknown(Refuse("a message is no object"));
    const auto role = TextAt(message, "role");
    if (!role || std::ranges::find(kRoles, *role) == std::end(kRoles)) {
      return Unknown(Refuse("a message has no role that is known"));
    }
    const auto content = message.find("content");
    const bool fits = content == message.end() || content->is_string() || content->is_null() ||
                      content->is_array();
    if (!fits) return Unknown(Refuse("a message's content is no text"));
  }
  Json variables = Json::object();
  AddTools(row, variables);
  return Finish(messages, variables);
}

// A call as ShareGPT keeps it: the text of {"name", "arguments"}, or a list of them.
std::optional<Json> Calls(const std::string& text) {
  auto parsed = ParseJson(text);
  if (!parsed) return std::nullopt;
  Json list = parsed->is_array() ? *parsed : Json::array({*parsed});
  Json calls = Json::array();
  for (const Json& one : list) {
    if (!one.is_object() || !TextAt(one, "name")) return std::nullopt;
    calls.push_back(
        {{"type", "function"},
         {"function",
          {{"name", one["name"]},
           {"arguments", one.contains("arguments") ? one["arguments"] : Json::object()}}}});
  }
  return calls;
}

Outcome OfShareGpt(const Json& row, const Json& turns) {
  if (!turns.is_array() || turns.empty()) return Unknown(Refuse("conversations is no list"));
  Json messages = Json::array();
  if (const auto system = TextAt(row, "system"); system && !IsBlank(*system)) {
    messages.push_back(Message("system", *system));
  }
  for (const Json& turn : turns) {
    if (!turn.is_object()) return Unknown(Refuse("a turn is no object"));
    auto from = TextAt(turn, "from");
    auto value = TextAt(turn, "value");
    if (!from) from = TextAt(turn, "role");
    if (!value) value = TextAt(turn, "content");
    if (!from || !value) return Unknown(Refuse("a turn lacks from or value"));
    if (*from == "human" || *from == "user") {
      messages.push_back(Message("user", *value));
    } else if (*from == "gpt" || *from == "assistant" || *from == "model" || *from == "chatgpt" ||
               *from == "bard" || *from == "bing") {
      messages.push_back(Message("assistant", *value));
    } else if (*from == "system") {
      messages.push_back(Message("system", *value));
    } else if (*from == "function_call") {
      const auto calls = Calls(*value);
      if (!calls) return Unknown(Refuse("a function_call is no JSON with a name"));
      Json message = Message("assistant", "");
      message["tool_calls"] = *calls;
      messages.push_back(std::move(message));
    } else if (*from == "observation" || *from == "tool" || *from == "function_response") {
      messages.push_back(Message("tool", *value));
    } else {
      return Unknown(Refuse("a turn is from nobody who is known: {0}", Printable(*from)));
    }
  }
  Json variables = Json::object();
  AddTools(row, variables);
  return Finish(messages, variables);
}

// Stanford Alpaca's: instruction, input, output; with LLaMA-Factory's system and history.
Outcome OfAlpaca(const Json& row) {
  const auto instruction = TextAt(row, "instruction");
  const auto output = TextAt(row, "output");
  if (!instruction || !output) return Unknown(Refuse("instruction or output is no text"));
  std::string question = *instruction;
  if (const auto input = TextAt(row, "input"); input && !IsBlank(*input)) {
    question += IsBlank(question) ? *input : "\n\n" + *input;
  }
  if (IsBlank(question)) return Drop{DropReason::kEmpty, Refuse("no question")};
  if (IsBlank(*output)) return Drop{DropReason::kEmpty, Refuse("no answer")};
  Json messages = Json::array();
  if (const auto system = TextAt(row, "system"); system && !IsBlank(*system)) {
    messages.push_back(Message("system", *system));
  }
  if (const auto history = row.find("history"); history != row.end() && history->is_array()) {
    for (const Json& turn : *history) {
      if (!turn.is_array() || turn.size() != 2 || !turn[0].is_string() || !turn[1].is_string()) {
        return Unknown(Refuse("history is no list of pairs"));
      }
      messages.push_back(Message("user", turn[0].get<std::string>()));
      messages.push_back(Message("assistant", turn[1].get<std::string>()));
    }
  }
  messages.push_back(Message("user", std::move(question)));
  messages.push_back(Message("assistant", *output));
  return Finish(messages, Json::object());
}

std::optional<Outcome> AsPair(const Json& row, const ReadingOptions& options) {
  const auto column = [&](const std::string& asked, std::span<const char* const> usual) {
    return asked.empty() ? TextOfAny(row, usual) : TextAt(row, asked);
  };
  auto question = column(options.question, kQuestionNames);
  auto answer = column(options.answer, kAnswerNames);
  if (!question || !answer) return std::nullopt;
  return OfPair(TextOfAny(row, kSystemNames), std::move(*question), std::move(*answer));
}

Outcome OfText(const Json& row, const std::string& field) {
  const auto text = TextAt(row, field);
  if (!text)
    return Drop{DropReason::kNoField, Refuse("no field '{0}' that is a text", Printable(field))};
  return Record(*text);
}

std::string NamesOf(const Json& row) {
  std::string names;
  for (const auto& [key, value] : row.items()) names += (names.empty() ? "" : ", ") + key;
  return Printable(names);
}

const Json* Member(const Json& row, std::string_view name) {
  const auto found = row.find(name);
  return found == row.end() ? nullptr : &*found;
}

Outcome OfObject(const Json& row, const ReadingOptions& options) {
  if (!options.field.empty()) return OfText(row, options.field);
  const RowForm form = options.form;
  const bool any = form == RowForm::kAuto;
  if (any && row.contains("chosen") && row.contains("rejected")) {
    return Drop{DropReason::kPreference};
  }
  if (const Json* label = Member(row, "label"); any && label != nullptr && *label == false) {
    return Drop{DropReason::kRejected};
  }
  const bool asked_pair = !options.question.empty() || !options.answer.empty();
  if (form == RowForm::kPairs || (any && asked_pair)) {
    if (const auto pair = AsPair(row, options)) return *pair;
    return Unknown(Refuse("no question and answer; it has {0}", NamesOf(row)));
  }
  const Json* messages = Member(row, "messages");
  if (form == RowForm::kOpenAi || (any && messages != nullptr)) {
    return messages == nullptr ? Outcome(Unknown(Refuse("no messages"))) : OfOpenAi(row, *messages);
  }
  const Json* turns = Member(row, "conversations");
  if (turns == nullptr) turns = Member(row, "conversation");
  if (form == RowForm::kShareGpt || (any && turns != nullptr)) {
    return turns == nullptr ? Outcome(Unknown(Refuse("no conversations")))
                            : OfShareGpt(row, *turns);
  }
  if (form == RowForm::kAlpaca || (any && TextAt(row, "instruction") && TextAt(row, "output"))) {
    return OfAlpaca(row);
  }
  if (any) {
    if (const auto pair = AsPair(row, options)) return *pair;
  }
  if (const auto text = TextAt(row, "text")) return Record(*text);
  if (const auto content = TextAt(row, "content")) return Record(*content);
  return Unknown(Refuse("it has {0}", NamesOf(row)));
}

// Line ends and canonical composition. `text` is UTF-8.
std::string Plain(std::string_view text) {
  std::string lines;
  lines.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      lines += text[i];
    } else if (i + 1 == text.size() || text[i + 1] != '\n') {
      lines += '\n';
    }
  }
  return text::Composed(lines);
}

Json PlainJson(const Json& value) {
  if (value.is_string()) return Plain(value.get_ref<const std::string&>());
  Json plain = value;
  if (value.is_array()) {
    for (Json& item : plain) item = PlainJson(item);
  } else if (value.is_object()) {
    for (auto& [name, item] : plain.items()) item = PlainJson(item);
  }
  return plain;
}

std::string PlainJsonText(const std::string& json) {
  const auto value = ParseJson(json);
  return value ? DumpJson(PlainJson(*value)) : json;
}

// Without blank lines at the start and white space at the end.
std::string Trimmed(std::string text) {
  std::size_t from = 0;
  for (std::size_t i = 0; i < text.size() && IsBlank({&text[i], 1}); ++i) {
    if (text[i] == '\n') from = i + 1;
  }
  const std::size_t last = text.find_last_not_of(" \t\n\f\v");
  if (last == std::string::npos) return {};
  return text.substr(from, last + 1 - from);
}

}  // namespace

std::variant<Record, Drop> Interpret(const Row& row, const ReadingOptions& options) {
  if (row.kind == Row::Kind::kText) {
    if (!IsValidUtf8(row.bytes)) return Drop{DropReason::kNotUtf8};
    return Record(row.bytes);
  }
  if (row.kind == Row::Kind::kFields) {
    Json object = Json::object();
    for (const auto& [name, value] : row.fields) {
      if (!IsValidUtf8(name) || !IsValidUtf8(value)) return Drop{DropReason::kNotUtf8};
      if (!name.empty() && !object.contains(name)) object[name] = value;
    }
    return OfObject(object, options);
  }
  if (!IsValidUtf8(row.bytes)) return Drop{DropReason::kNotUtf8};
  std::optional<Error> why;
  const auto value = ParseJson(row.bytes, &why);
  if (!value) return Drop{DropReason::kNotJson, why};
  if (value->is_string() && options.field.empty()) return Record(value->get<std::string>());
  if (value->is_array() && options.field.empty()) return OfOpenAi(Json::object(), *value);
  if (!value->is_object()) return Unknown(Refuse("no object"));
  return OfObject(*value, options);
}

Record Normalised(Record record) {
  if (auto* text = std::get_if<std::string>(&record)) return Trimmed(Plain(*text));
  Conversation& chat = std::get<Conversation>(record);
  chat.messages_json = PlainJsonText(chat.messages_json);
  if (!chat.variables_json.empty()) chat.variables_json = PlainJsonText(chat.variables_json);
  return record;
}

}  // namespace tatara::corpus
