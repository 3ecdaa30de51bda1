// What the document says of /v1/conversations.
#include "conversation_fields.h"
#include "openapi.h"

namespace tatara::server {
namespace {

ObjectSchema HeadSchema() {
  return ObjectSchema()
      .Needed("id", TextSchema())
      .Needed("object", ConstSchema("conversation"))
      .Needed("title", TextSchema())
      .Needed("created_at", WholeSchema("Seconds since 1970."))
      .Needed("updated_at", WholeSchema("Seconds since 1970."))
      .Needed("n_messages", WholeSchema());
}

Json MessageSchema() {
  return ObjectSchema()
      .Needed("id", TextSchema())
      .Needed("parent", OrNull(TextSchema("Null: it begins the conversation.")))
      .Needed("role", EnumSchema({"user", "assistant"}))
      .Needed("content", TextSchema())
      .Optional("reasoning", TextSchema())
      .Optional("model", TextSchema())
      .Optional("receipt", TextSchema())
      .Optional("finish", TextSchema())
      .Optional("details", {{"type", "object"}})
      .Needed("created_at", WholeSchema("Seconds since 1970."))
      .Done();
}

Json ListOf(Json entry) {
  return ObjectSchema()
      .Needed("object", ConstSchema("list"))
      .Needed("data", ListSchema(std::move(entry)))
      .Needed("has_more", FlagSchema())
      .Done();
}

void DescribeAll(OpenApi& api) {
  api.Add({.method = "GET",
           .path = "/v1/conversations",
           .id = "listConversations",
           .tag = "history",
           .says = "The conversations of the caller's tenant, latest changed first.",
           .answer = ListOf(Ref("Conversation"))});
  api.Add({.method = "POST",
           .path = "/v1/conversations",
           .id = "createConversation",
           .tag = "history",
           .says = "A new one, empty.",
           .request = ObjectSchema().Take(kTitle).Done(),
           .answer = Ref("Conversation")});
  api.Add({.method = "DELETE",
           .path = "/v1/conversations",
           .id = "deleteConversations",
           .tag = "history",
           .says = "Deletes all of them, for good.",
           .answer = ObjectSchema()
                         .Needed("object", ConstSchema("list.deleted"))
                         .Needed("deleted", WholeSchema("How many."))
                         .Done()});
  api.Add({.method = "POST",
           .path = "/v1/conversations/search",
           .id = "searchConversations",
           .tag = "history",
           .says = "Those whose messages or title have all words; width, case and kana are alike.",
           .request = ObjectSchema().Take(kSearchQuery).Take(kAfter).Take(kLimit).Done(),
           .answer = ListOf(HeadSchema().Optional("snippet", TextSchema()).Done())});
}

void DescribeOne(OpenApi& api) {
  api.Add({.method = "GET",
           .path = "/v1/conversations/{id}",
           .id = "getConversation",
           .tag = "history",
           .says = "One with its messages.",
           .answer = HeadSchema()
                         .Needed("active", OrNull(TextSchema("The message where it was left.")))
                         .Needed("messages", ListSchema(Ref("HistoryMessage")))
                         .Done()});
  api.Add({.method = "POST",
           .path = "/v1/conversations/{id}",
           .id = "changeConversation",
           .tag = "history",
           .says = "Another title, or another message where it was left.",
           .request = ObjectSchema().Take(kTitle).Take(kActive).Done(),
           .answer = Ref("Conversation")});
  api.Add({.method = "DELETE",
           .path = "/v1/conversations/{id}",
           .id = "deleteConversation",
           .tag = "history",
           .says = "Deletes it, for good.",
           .answer = ObjectSchema()
                         .Needed("id", TextSchema())
                         .Needed("object", ConstSchema("conversation.deleted"))
                         .Needed("deleted", FlagSchema())
                         .Done()});
}

void DescribeParts(OpenApi& api) {
  ObjectSchema message;
  message.Require(kMessageId).Take(kParent).Take(kMessageRole).Take(kMessageContent);
  message.Take(kMessageReasoning).Take(kMessageModel).Take(kMessageReceipt).Take(kMessageFinish);
  message.Optional("details", OrNull({{"type", "object"}})).Take(kMessageCreated);
  api.Add({.method = "POST",
           .path = "/v1/conversations/{id}/messages",
           .id = "putMessage",
           .tag = "history",
           .says = "Adds a message, or puts it in the place of the one with its id.",
           .request = message.Done(),
           .answer = Ref("Conversation")});
  api.Add({.method = "GET",
           .path = "/v1/conversations/{id}/export.md",
           .id = "exportMarkdown",
           .tag = "history",
           .says = "The path to the active message, as Markdown.",
           .answer_type = "text/markdown"});
  api.Add({.method = "GET",
           .path = "/v1/conversations/{id}/export.json",
           .id = "exportJson",
           .tag = "history",
           .says = "All of it, to keep.",
           .answer = {{"type", "object"}}});
}

}  // namespace

void DescribeConversations(OpenApi& api) {
  api.AddSchema("Conversation", HeadSchema().Done());
  api.AddSchema("HistoryMessage", MessageSchema());
  DescribeAll(api);
  DescribeOne(api);
  DescribeParts(api);
}

}  // namespace tatara::server
