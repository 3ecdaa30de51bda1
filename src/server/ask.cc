// POST /v1/ask
#include "tatara/assistant/ask.h"

#include <utility>

#include "api.h"
#include "ask_fields.h"
#include "generate_fields.h"
#include "sse.h"
#include "tatara/base/clock.h"

namespace tatara::server {
namespace {

// Where the file lies on this machine is not told.
Json CitationJson(const assistant::Citation& citation) {
  return {{"number", citation.number},
          {"document", citation.document},
          {"document_sha256", citation.document_sha256},
          {"heading", citation.heading},
          {"line_first", citation.line_first},
          {"line_last", citation.line_last},
          {"quote", citation.quote},
          {"quote_checked", true},
          {"file_changed", citation.file_changed},
          {"quote_in_file", citation.quote_in_file}};
}

Json CitationsJson(const std::vector<assistant::Citation>& citations) {
  Json list = Json::array();
  for (const assistant::Citation& citation : citations) list.push_back(CitationJson(citation));
  return list;
}

// All members run in the exchange's turn.
class AskWriter {
 public:
  AskWriter(ApiCall call, bool stream, std::string id, std::string model)
      : call_(std::move(call)),
        stream_(stream),
        id_(std::move(id)),
        model_(std::move(model)),
        created_(SystemClock().UnixSeconds()) {
    call_.headers.emplace_back("x-tatara-receipt", id_);
  }
  bool streams() const { return stream_; }

  void Text(const std::string& text) {
    Begin();
    Json event = Frame("ask.delta");
    event["text"] = text;
    call_.exchange->Write(SseEvent(Dump(event)));
  }
  void Done(const Result<assistant::AskAnswer>& answer) {
    if (!answer.ok()) {
      const ApiError error = ApiErrorOf(answer.error());
      if (!begun_) return call_.Fail(error);
      call_.exchange->Write(SseEvent(ErrorResponse(error).body));
      return call_.exchange->EndStream();
    }
    const Json whole = Whole(*answer);
    if (!stream_) return call_.Answer(whole);
    Begin();
    call_.exchange->Write(SseEvent(Dump(whole)) + std::string(kSseDone));
    call_.exchange->EndStream();
  }

 private:
  void Begin() {
    if (std::exchange(begun_, true)) return;
    Headers headers = call_.headers;
    headers.emplace_back("Cache-Control", "no-cache");
    call_.exchange->BeginStream("text/event-stream", std::move(headers));
  }
  Json Frame(std::string_view object) const {
    return {{"id", id_}, {"object", object}, {"created", created_}, {"model", model_}};
  }
  Json Whole(const assistant::AskAnswer& answer) const {
    Json whole = Frame("ask.answer");
    whole["answer"] = answer.answer;
    whole["supported"] = answer.supported;
    whole["reason"] = answer.supported ? Json() : Json(UnsupportedName(answer.reason));
    whole["citations"] = CitationsJson(answer.citations);
    whole["nearest"] = CitationsJson(answer.nearest);
    whole["usage"] = {{"prompt_tokens", answer.prompt_tokens},
                      {"completion_tokens", answer.answer_tokens},
                      {"total_tokens", answer.prompt_tokens + answer.answer_tokens},
                      {"prompt_tokens_details", {{"cached_tokens", answer.cached_tokens}}}};
    whole["tatara"] = {{"receipt", id_}};
    return whole;
  }

  ApiCall call_;
  const bool stream_;
  const std::string id_, model_;
  const std::int64_t created_;
  bool begun_ = false;
};

}  // namespace

void Ask(ApiCall call) {
  Fields fields(call.body);
  assistant::AskCall request{.caller = call.caller,
                             .model = fields.Text(kModel),
                             .id = "ask-" + FreshId(),
                             .question = fields.Text(kQuestion)};
  if (fields.ok() && request.question.empty()) fields.Wrong("question", "is missing or empty");
  if (fields.Has(kCollection.name)) request.collection = fields.Text(kCollection);
  request.answer_tokens_max = static_cast<int>(fields.Integer(kAskMaxTokens));
  const bool stream = fields.Flag(kStream);
  fields.Text(kUser);
  fields.RefuseAll(kAskRefused);
  if (!call.Check(fields)) return;
  assistant::Service& service = *call.context->service;
  const auto info = service.Find(request.model, assistant::ModelKind::kGenerates);
  if (!info.ok()) return call.Fail(ApiErrorOf(info.error()));
  const auto writer = std::make_shared<AskWriter>(call, stream, request.id, info->name);
  auto running = service.Ask(
      std::move(request),
      [exchange = call.exchange, writer](std::string_view text) {
        if (!writer->streams()) return;
        exchange->Post([writer, text = std::string(text)] { writer->Text(text); });
      },
      [exchange = call.exchange, writer](Result<assistant::AskAnswer> answer) {
        exchange->Post([writer, answer = std::move(answer)] { writer->Done(answer); });
      });
  if (!running.ok()) return call.Fail(ApiErrorOf(running.error()));
  call.exchange->OnGone([running = *running] { running->Cancel(); });
}

}  // namespace tatara::server
