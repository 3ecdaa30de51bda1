// POST /v1/chat/completions
#include <fmt/format.h>

#include "answer_sink.h"
#include "logprobs.h"

namespace tatara::server {
namespace {

class ChatWriter final : public AnswerWriter {
 public:
  using AnswerWriter::AnswerWriter;

 private:
  std::string_view object_name(bool chunk) const override {
    return chunk ? "chat.completion.chunk" : "chat.completion";
  }
  static Json Chunk(int choice, Json delta) {
    return {{"index", choice},
            {"delta", std::move(delta)},
            {"logprobs", nullptr},
            {"finish_reason", nullptr}};
  }
  Json OpeningChunk(int choice) const override {
    return Chunk(choice, {{"role", "assistant"}, {"content", ""}});
  }
  Json CallJson(int choice, std::size_t index, const assistant::CalledTool& tool) const {
    const std::string id =
        tool.id.empty() ? fmt::format("call_{}_{}_{}", parts_.id.substr(9, 12), choice, index)
                        : tool.id;
    return {{"id", id},
            {"type", "function"},
            {"function", {{"name", tool.name}, {"arguments", tool.arguments}}}};
  }
  std::vector<Json> DeltaChunks(int choice, const assistant::AnswerDelta& delta) override {
    std::vector<Json> chunks;
    Json logprobs = Logprobs(delta.logprobs);
    if (!delta.thinking.empty()) {
      chunks.push_back(Chunk(choice, {{"reasoning_content", delta.thinking}}));
    }
    if (!delta.content.empty()) chunks.push_back(Chunk(choice, {{"content", delta.content}}));
    for (const assistant::CalledTool& tool : delta.calls) {
      n_calls_.resize(parts_.n_choices);
      const std::size_t index = n_calls_[static_cast<std::size_t>(choice)]++;
      Json call = {{"index", index}};
      call.update(CallJson(choice, index, tool));
      Json calls = Json::array();
      calls.push_back(std::move(call));
      Json body = Json::object();
      body["tool_calls"] = std::move(calls);
      chunks.push_back(Chunk(choice, std::move(body)));
    }
    if (!delta.logprobs.empty()) chunks.front()["logprobs"] = std::move(logprobs);
    return chunks;
  }
  Json Logprobs(std::span<const assistant::Logprob> logprobs) const {
    return parts_.with_logprobs ? ChatLogprobs(logprobs) : Json();
  }
  Json EndChunk(const assistant::Choice& choice) override {
    const auto rest = Uncarried(choice);
    return {{"index", choice.index},
            {"delta", Json::object()},
            {"logprobs", rest.empty() ? Json() : Logprobs(rest)},
            {"finish_reason", choice.finish_reason}};
  }
  Json WholeChoice(const assistant::Choice& choice) override {
    Json message = {{"role", "assistant"}, {"content", choice.content}, {"refusal", nullptr}};
    if (!choice.thinking.empty()) message["reasoning_content"] = choice.thinking;
    if (!choice.calls.empty()) {
      if (choice.content.empty()) message["content"] = nullptr;
      Json calls = Json::array();
      for (std::size_t i = 0; i < choice.calls.size(); ++i) {
        calls.push_back(CallJson(choice.index, i, choice.calls[i]));
      }
      message["tool_calls"] = std::move(calls);
    }
    return {{"index", choice.index},
            {"message", std::move(message)},
            {"logprobs", Logprobs(choice.logprobs)},
            {"finish_reason", choice.finish_reason}};
  }

  std::vector<std::size_t> n_calls_;
};

void ReadResponseFormat(Fields& fields) {
  const Json* format = fields.Get("response_format");
  if (format == nullptr) return;
  const std::string path = fields.PathOf("response_format");
  if (!format->is_object()) return fields.Wrong(path, "expected an object");
  Fields inner(*format, path);
  if (!inner.Has("type") || inner.Text("type", "") != "text") {
    fields.Wrong(path, "only {\"type\": \"text\"} is offered yet");
  }
}

void ReadModalities(Fields& fields) {
  const Json* modalities = fields.Get("modalities");
  if (modalities != nullptr && *modalities != Json::array({"text"})) {
    fields.Wrong(fields.PathOf("modalities"), "only [\"text\"] is offered");
  }
}

}  // namespace

void ChatCompletions(ApiCall call) {
  Fields fields(call.body);
  assistant::GenerateCall request{.caller = call.caller, .model = fields.Text(kModel)};
  ReadSampling(fields, request);
  request.chat = ReadConversation(fields);
  const StreamWish wish = ReadStream(fields);
  const auto old_max = fields.Integer(kChatMaxTokens);
  request.tokens_max = static_cast<int>(
      fields.Has(kMaxCompletionTokens.name) ? fields.Integer(kMaxCompletionTokens) : old_max);
  const bool with_logprobs = fields.Flag(kChatLogprobs);
  const auto top = fields.Integer(kTopLogprobs);
  if (fields.Has(kTopLogprobs.name) && !with_logprobs) {
    fields.Wrong("top_logprobs", "needs \"logprobs\": true");
  }
  if (with_logprobs) request.top_logprobs = static_cast<int>(top);
  ReadResponseFormat(fields);
  ReadModalities(fields);
  fields.Accept(kChatAccepted);
  fields.RefuseAll(kChatRefused);
  if (!call.Check(fields)) return;
  const auto info = call.context->service->Find(request.model, assistant::ModelKind::kGenerates);
  if (!info.ok()) return call.Fail(ApiErrorOf(info.error()));
  request.id = "chatcmpl-" + FreshId();
  auto writer = std::make_shared<ChatWriter>(
      AnswerWriter::Parts{.call = call,
                          .wish = wish,
                          .id = request.id,
                          .model = info->name,
                          .with_logprobs = with_logprobs,
                          .n_choices = static_cast<std::size_t>(request.n)});
  Generate(call, std::move(request), std::move(writer));
}

}  // namespace tatara::server
