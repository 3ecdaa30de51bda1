#include "tatara/corpus/chat_format.h"

#include <utility>

#include "json_text.h"
#include "tatara/text/guard.h"

namespace tatara::corpus {
namespace {

std::string TokenTextOrEmpty(const text::Tokenizer& tokenizer, std::int32_t id) {
  return id < 0 ? std::string() : tokenizer.TokenText(id);
}

Result<Json> ParseMessages(const std::string& json) {
  const auto messages = ParseJson(json);
  if (!messages || !messages->is_array() || messages->empty()) {
    return Refuse("the messages are no JSON array with something in it");
  }
  for (std::size_t i = 0; i < messages->size(); ++i) {
    const Json& message = (*messages)[i];
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) {
      return Refuse("messages[{0}]: not an object with a text 'role'", i);
    }
  }
  return *messages;
}

bool IsLearned(const Json& message) {
  if (message["role"] != "assistant") return false;
  return !message.contains("weight") || message["weight"] != 0;
}

// One conversation on its way through the template.
class Writing {
 public:
  Writing(const text::Tokenizer& tokenizer, const text::ChatTemplate& chat, Json context,
          Json messages)
      : template_(chat), context_(std::move(context)), messages_(std::move(messages)) {
    context_["bos_token"] = TokenTextOrEmpty(tokenizer, tokenizer.start_id());
    context_["eos_token"] = TokenTextOrEmpty(tokenizer, tokenizer.end_id());
  }

  struct Span {
    std::size_t from = 0, to = 0;
  };

  Result<std::vector<Span>> Answers() {
    TATARA_TRY(whole_, Render(messages_.size(), false));
    std::vector<Span> spans;
    std::size_t end = 0;
    for (std::size_t i = 0; i < messages_.size(); ++i) {
      if (!IsLearned(messages_[i])) continue;
      auto from = PrefixLength(i, true);
      if (!from) from = PrefixLength(i, false);
      const auto to = i + 1 == messages_.size() ? whole_.size() : PrefixLength(i + 1, false);
      if (!from || !to || *from >= *to || *from < end) continue;
      spans.push_back({*from, *to});
      end = *to;
    }
    return spans;
  }
  const std::string& whole() const { return whole_; }

 private:
  Result<std::string> Render(std::size_t n_messages, bool prompt) {
    Json first = Json::array();
    for (std::size_t i = 0; i < n_messages; ++i) first.push_back(messages_[i]);
    context_["messages"] = std::move(first);
    context_["add_generation_prompt"] = prompt;
    return template_.Render(DumpJson(context_));
  }
  // How much of the whole the first messages make; nothing where they are written otherwise alone.
  std::optional<std::size_t> PrefixLength(std::size_t n_messages, bool prompt) {
    const auto text = Render(n_messages, prompt);
    if (!text.ok() || !whole_.starts_with(*text)) return std::nullopt;
    return text->size();
  }

  const text::ChatTemplate& template_;
  Json context_, messages_;
  std::string whole_;
};

// Of an answer's tokens the first n count: up to the last that ends generation, else all.
std::size_t CountedTokens(const text::Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  for (std::size_t n = ids.size(); n > 0; --n) {
    if (tokenizer.EndsGeneration(ids[n - 1])) return n;
  }
  return ids.size();
}

}  // namespace

Result<ChatFormat> ChatFormat::Make(const text::Tokenizer& tokenizer,
                                    std::string_view template_source, std::string_view origin) {
  if (template_source.empty()) {
    return Refuse("{0}: no chat template, which conversations need; a base model?", origin);
  }
  TATARA_TRY(text::ChatTemplate parsed, text::ChatTemplate::Parse(template_source));
  return ChatFormat(tokenizer, std::move(parsed));
}

Result<ChatIds> ChatFormat::Encode(const Conversation& conversation) const {
  TATARA_TRY(Json messages, ParseMessages(conversation.messages_json));
  Json context = Json::object();
  if (!conversation.variables_json.empty()) {
    const auto variables = ParseJson(conversation.variables_json);
    if (!variables || !variables->is_object()) {
      return Refuse("the template's variables are no JSON object");
    }
    context = *variables;
  }
  Writing writing(*tokenizer_, template_, text::GuardTexts(*tokenizer_, context),
                  text::GuardTexts(*tokenizer_, messages));
  TATARA_TRY(const auto answers, writing.Answers());
  if (answers.empty()) return Refuse("no answer that can be learned from");

  const std::string_view whole = writing.whole();
  const std::string start = TokenTextOrEmpty(*tokenizer_, tokenizer_->start_id());
  ChatIds out;
  std::size_t at = 0;
  const auto add = [&](std::size_t to, bool answer) {
    const auto ids =
        tokenizer_->Encode(whole.substr(at, to - at),
                           {.add_start = at == 0 && !(!start.empty() && whole.starts_with(start)),
                            .parse_special = true,
                            .guarded = true,
                            .continues = at > 0});
    const std::size_t n_counted = answer ? CountedTokens(*tokenizer_, ids) : 0;
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    out.counts.insert(out.counts.end(), n_counted, 1);
    out.counts.resize(out.ids.size(), 0);
    at = to;
  };
  for (const auto& answer : answers) {
    if (answer.from > at) add(answer.from, false);
    add(answer.to, true);
  }
  if (at < whole.size()) {
    add(whole.size(), false);
  } else if (!out.ids.empty() && out.counts.back() == 1 &&
             !tokenizer_->EndsGeneration(out.ids.back()) && tokenizer_->end_id() >= 0) {
    out.ids.push_back(tokenizer_->end_id());
    out.counts.push_back(1);
  }
  return out;
}

}  // namespace tatara::corpus
