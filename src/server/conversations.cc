// /v1/conversations: the history that the console keeps. The work is done on the history's own
// thread, which may wait for the disk.
#include <utility>

#include "api.h"
#include "conversation_fields.h"
#include "tatara/assistant/history.h"

namespace tatara::server {
namespace {

using assistant::ConversationHead;
using assistant::History;
using assistant::HistoryMessage;

Json HeadJson(const ConversationHead& head) {
  return {{"id", head.id},
          {"object", "conversation"},
          {"title", head.title},
          {"created_at", head.created_unix},
          {"updated_at", head.updated_unix},
          {"n_messages", head.n_messages}};
}

Json TextOrNull(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json MessageJson(const HistoryMessage& message) {
  Json json = {{"id", message.id},
               {"parent", TextOrNull(message.parent)},
               {"role", message.role},
               {"content", message.content}};
  for (const auto& [name, text] :
       {std::pair("reasoning", &message.reasoning), std::pair("model", &message.model),
        std::pair("receipt", &message.receipt), std::pair("finish", &message.finish)}) {
    if (!text->empty()) json[name] = *text;
  }
  if (!message.details.empty()) {
    json["details"] = Json::parse(message.details, nullptr, /*allow_exceptions=*/false);
  }
  json["created_at"] = message.created_unix;
  return json;
}

Json WholeJson(const assistant::StoredConversation& conversation) {
  Json json = HeadJson(conversation.head);
  json["active"] = TextOrNull(conversation.active);
  json["messages"] = Json::array();
  for (const HistoryMessage& message : conversation.messages) {
    json["messages"].push_back(MessageJson(message));
  }
  return json;
}

// Does `work` on the history's thread: it gets the history and the call, and answers.
template <typename Work>
void OnHistory(ApiCall call, Work work) {
  History* history = call.context->history;
  if (history == nullptr) {
    return call.Fail({.status = 404, .message = "this server keeps no history"});
  }
  const auto posted = history->Post(call.caller.key, [history, call, work = std::move(work)] {
    try {
      work(*history, call);
    } catch (const std::exception&) {  // memory, mostly
      call.Fail({.status = 500, .message = "the request could not be handled"});
    }
  });
  if (!posted.ok()) call.Fail(ApiErrorOf(posted.error()));
}

void AnswerHead(const ApiCall& call, const Result<ConversationHead>& head) {
  if (!head.ok()) return call.Fail(ApiErrorOf(head.error()));
  call.Answer(HeadJson(*head));
}

// "ID/more" of the path: the id and what follows it.
std::pair<std::string, std::string> SplitRest(const std::string& rest) {
  const std::size_t slash = rest.find('/');
  if (slash == std::string::npos) return {rest, ""};
  return {rest.substr(0, slash), rest.substr(slash + 1)};
}

void FailNoPath(const ApiCall& call) {
  call.Fail({.status = 404, .message = "there is no such path"});
}

HistoryMessage ReadMessage(Fields& fields) {
  HistoryMessage message{.id = fields.Text(kMessageId),
                         .parent = fields.Text(kParent),
                         .role = fields.OneOf(kMessageRole),
                         .content = fields.Text(kMessageContent),
                         .reasoning = fields.Text(kMessageReasoning),
                         .model = fields.Text(kMessageModel),
                         .receipt = fields.Text(kMessageReceipt),
                         .finish = fields.Text(kMessageFinish),
                         .created_unix = fields.Integer(kMessageCreated)};
  if (const Json* details = fields.Get("details")) {
    if (details->is_object()) {
      message.details = Dump(*details);
    } else {
      fields.Wrong("details", "expected an object");
    }
  }
  return message;
}

void Export(const ApiCall& call, const std::string& id, bool markdown) {
  const bool japanese = call.exchange->request().Header("accept-language").starts_with("ja");
  OnHistory(call, [id, markdown, japanese](History& history, const ApiCall& on) {
    const auto stored = history.Get(on.caller.tenant, id);
    if (!stored.ok()) return on.Fail(ApiErrorOf(stored.error()));
    Headers headers = on.headers;
    headers.emplace_back("Content-Disposition", "attachment; filename=\"" + stored->head.id +
                                                    (markdown ? ".md\"" : ".json\""));
    headers.emplace_back("Cache-Control", "no-store");
    if (markdown) {
      const Language language = japanese ? Language::kJapanese : Language::kEnglish;
      return on.exchange->Send({.content_type = "text/markdown; charset=utf-8",
                                .headers = std::move(headers),
                                .body = assistant::ConversationMarkdown(*stored, language)});
    }
    Json json = {{"format", "tatara-conversation-1"}};
    json.update(WholeJson(*stored));
    on.exchange->Send({.headers = std::move(headers), .body = Dump(json)});
  });
}

void PutMessage(ApiCall call, const std::string& id) {
  Fields fields(call.body);
  HistoryMessage message = ReadMessage(fields);
  if (!call.Check(fields)) return;
  OnHistory(call, [id, message = std::move(message)](History& history, const ApiCall& on) {
    AnswerHead(on, history.Put(on.caller.tenant, id, message));
  });
}

}  // namespace

void ListConversations(ApiCall call) {
  OnHistory(call, [](History& history, const ApiCall& on) {
    const auto heads = history.List(on.caller.tenant, {.limit = assistant::kHistoryPageMax});
    if (!heads.ok()) return on.Fail(ApiErrorOf(heads.error()));
    Json data = Json::array();
    for (const ConversationHead& head : *heads) data.push_back(HeadJson(head));
    on.Answer({{"object", "list"},
               {"data", std::move(data)},
               {"has_more", heads->size() == assistant::kHistoryPageMax}});
  });
}

void CreateConversation(ApiCall call) {
  Fields fields(call.body);
  const std::string title = fields.Text(kTitle);
  if (!call.Check(fields)) return;
  OnHistory(call, [title](History& history, const ApiCall& on) {
    AnswerHead(on, history.Create(on.caller.tenant, title));
  });
}

void DeleteConversations(ApiCall call) {
  OnHistory(call, [](History& history, const ApiCall& on) {
    const auto n = history.DeleteAll(on.caller.tenant);
    if (!n.ok()) return on.Fail(ApiErrorOf(n.error()));
    on.Answer({{"object", "list.deleted"}, {"deleted", *n}});
  });
}

void SearchConversations(ApiCall call) {
  Fields fields(call.body);
  const std::string query = fields.Text(kSearchQuery), after = fields.Text(kAfter);
  const int limit = static_cast<int>(fields.Integer(kLimit));
  if (query.size() > assistant::kSearchBytesMax) {
    fields.Wrong("query", "is longer than is taken");
  } else if (!query.empty() && !after.empty()) {
    fields.Wrong("after", "is only for lists without a query");
  }
  if (!call.Check(fields)) return;
  OnHistory(call, [query, after, limit](History& history, const ApiCall& on) {
    Json data = Json::array();
    if (query.empty()) {
      const auto heads = history.List(on.caller.tenant, {.after = after, .limit = limit});
      if (!heads.ok()) return on.Fail(ApiErrorOf(heads.error()));
      for (const ConversationHead& head : *heads) data.push_back(HeadJson(head));
    } else {
      const auto matches = history.Search(on.caller.tenant, query, limit);
      if (!matches.ok()) return on.Fail(ApiErrorOf(matches.error()));
      for (const auto& match : *matches) {
        data.push_back(HeadJson(match.head));
        data.back()["snippet"] = match.snippet;
      }
    }
    const bool full = data.size() == static_cast<std::size_t>(limit);
    on.Answer({{"object", "list"}, {"data", std::move(data)}, {"has_more", full}});
  });
}

void GetConversation(ApiCall call) {
  const auto [id, more] = SplitRest(call.rest);
  if (more == "export.md" || more == "export.json") return Export(call, id, more == "export.md");
  if (!more.empty()) return FailNoPath(call);
  OnHistory(call, [id = id](History& history, const ApiCall& on) {
    const auto stored = history.Get(on.caller.tenant, id);
    if (!stored.ok()) return on.Fail(ApiErrorOf(stored.error()));
    on.Answer(WholeJson(*stored));
  });
}

void PostConversation(ApiCall call) {
  const auto [id, more] = SplitRest(call.rest);
  if (more == "messages") return PutMessage(std::move(call), id);
  if (!more.empty()) return FailNoPath(call);
  Fields fields(call.body);
  const bool has_title = fields.Has(kTitle.name), has_active = fields.Has(kActive.name);
  const std::string title = fields.Text(kTitle), active = fields.Text(kActive);
  if (!call.Check(fields)) return;
  OnHistory(call, [=, id = id](History& history, const ApiCall& on) {
    AnswerHead(on, history.Update(on.caller.tenant, id,
                                  {.title = has_title ? &title : nullptr,
                                   .active = has_active ? &active : nullptr}));
  });
}

void DeleteConversation(ApiCall call) {
  OnHistory(call, [id = call.rest](History& history, const ApiCall& on) {
    const auto deleted = history.Delete(on.caller.tenant, id);
    if (!deleted.ok()) return on.Fail(ApiErrorOf(deleted.error()));
    on.Answer({{"id", id}, {"object", "conversation.deleted"}, {"deleted", true}});
  });
}

}  // namespace tatara::server
