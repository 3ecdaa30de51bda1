// POST /v1/completions
#include <fmt/format.h>

#include "answer_sink.h"
#include "logprobs.h"

namespace tatara::server {
namespace {

class CompletionWriter final : public AnswerWriter {
 public:
  CompletionWriter(Parts parts, std::vector<std::string> echoes, int n)
      : AnswerWriter(std::move(parts)), echoes_(std::move(echoes)), n_(n) {}

 private:
  std::string_view object_name(bool) const override { return "text_completion"; }
  static Json Chunk(int choice, std::string text) {
    return {{"index", choice},
            {"text", std::move(text)},
            {"logprobs", nullptr},
            {"finish_reason", nullptr}};
  }
  // What the prompt adds to a choice's text.
  std::string Echo(int choice) const {
    return echoes_.empty() ? "" : echoes_[static_cast<std::size_t>(choice / n_)];
  }
  Json OpeningChunk(int choice) const override {
    const std::string echo = Echo(choice);
    return echo.empty() ? Json() : Chunk(choice, echo);
  }
  std::vector<Json> DeltaChunks(int choice, const assistant::AnswerDelta& delta) override {
    Json chunk = Chunk(choice, delta.content);
    if (!delta.logprobs.empty()) chunk["logprobs"] = Logprobs(choice, delta.logprobs);
    return {std::move(chunk)};
  }
  // Of tokens that follow those that came before.
  Json Logprobs(int choice, std::span<const assistant::Logprob> logprobs) {
    if (!parts_.with_logprobs) return {};
    offsets_.resize(parts_.n_choices);
    std::size_t& offset = offsets_[static_cast<std::size_t>(choice)];
    Json json = CompletionLogprobs(logprobs, offset);
    offset += Length(logprobs);
    return json;
  }
  Json EndChunk(const assistant::Choice& choice) override {
    const auto rest = Uncarried(choice);
    return {{"index", choice.index},
            {"text", ""},
            {"logprobs", rest.empty() ? Json() : Logprobs(choice.index, rest)},
            {"finish_reason", choice.finish_reason}};
  }
  Json WholeChoice(const assistant::Choice& choice) override {
    const std::string echo = Echo(choice.index);
    Json logprobs = choice.prompt_logprobs.empty()
                        ? Logprobs(choice.index, choice.logprobs)
                        : EchoLogprobs(choice.prompt_logprobs, choice.logprobs, echo);
    return {{"index", choice.index},
            {"text", echo + choice.content},
            {"logprobs", std::move(logprobs)},
            {"finish_reason", choice.finish_reason}};
  }

  const std::vector<std::string> echoes_;  // one a prompt; none where not asked for
  const int n_;
  std::vector<std::size_t> offsets_;  // in characters, one a choice
};

}  // namespace

void Completions(ApiCall call) {
  Fields fields(call.body);
  assistant::GenerateCall request{.caller = call.caller, .model = fields.Text(kModel)};
  ReadSampling(fields, request);
  ReadTextsOrIds(fields, "prompt", assistant::kCallChoicesMax, request.texts, request.id_lists);
  const StreamWish wish = ReadStream(fields);
  request.tokens_max = static_cast<int>(fields.Integer(kMaxTokens));
  const bool with_logprobs = fields.Has(kLogprobs.name);
  if (with_logprobs) request.top_logprobs = static_cast<int>(fields.Integer(kLogprobs));
  const bool echo = fields.Flag(kEcho);
  request.suffix = fields.Text(kSuffix);
  request.prompt_logprobs = echo && with_logprobs;
  request.generates_nothing = request.tokens_max == 0;
  if (request.generates_nothing && !request.prompt_logprobs) {
    fields.Wrong("max_tokens", "0 goes with echo and logprobs");
  }
  if (request.prompt_logprobs && wish.stream) {
    fields.Wrong("stream", "with echo and logprobs is not offered by this server yet");
  }
  if (request.prompt_logprobs && !request.suffix.empty()) {
    fields.Wrong("suffix", "with echo and logprobs is not offered by this server yet");
  }
  if (!request.suffix.empty() && !request.id_lists.empty()) {
    fields.Wrong("suffix", "goes with prompts that are texts");
  }
  if (fields.Has(kBestOf.name) && fields.Integer(kBestOf) != request.n) {
    fields.Wrong("best_of", "another number than n is not offered by this server yet");
  }
  fields.RefuseAll(kCompletionsRefused);
  if (!call.Check(fields)) return;
  const auto info = call.context->service->Find(request.model, assistant::ModelKind::kGenerates);
  if (!info.ok()) return call.Fail(ApiErrorOf(info.error()));
  if (!request.suffix.empty() && !info->fills_holes) {
    return call.Fail({.message = "suffix: this model's vocabulary has no tokens for filling in the "
                                 "middle",
                      .param = "suffix"});
  }
  std::vector<std::string> echoes;
  if (echo) {
    echoes = request.texts;
    for (const auto& ids : request.id_lists) {
      auto text = call.context->service->Detokenize(info->name, ids);
      if (!text.ok()) return call.Fail(ApiErrorOf(text.error()));
      echoes.push_back(std::move(text).value());
    }
  }
  request.id = "cmpl-" + FreshId();
  const std::size_t n_prompts = request.texts.size() + request.id_lists.size();
  auto writer = std::make_shared<CompletionWriter>(
      AnswerWriter::Parts{.call = call,
                          .wish = wish,
                          .id = request.id,
                          .model = info->name,
                          .with_logprobs = with_logprobs,
                          .n_choices = n_prompts * static_cast<std::size_t>(request.n)},
      std::move(echoes), request.n);
  Generate(call, std::move(request), std::move(writer));
}

}  // namespace tatara::server
