// Service::Generate: from a call to the requests of an engine.

#include <algorithm>

#include "generate_job.h"
#include "receipt_store.h"
#include "service_model.h"
#include "tatara/base/philox.h"
#include "tatara/text/tokenizer.h"

namespace tatara::assistant {
namespace {

// Whole numbers up to this survive a reader that holds numbers as doubles.
constexpr int kSeedBits = 53;

generate::SamplingParams ParamsOf(const SamplingWish& wish, std::uint64_t seed) {
  return {.temperature = wish.temperature,
          .top_k = wish.top_k,
          .top_p = wish.top_p,
          .min_p = wish.min_p,
          .repetition_penalty = wish.repetition_penalty,
          .presence_penalty = wish.presence_penalty,
          .frequency_penalty = wish.frequency_penalty,
          .logit_bias = wish.logit_bias,
          .seed = seed};
}

// Those of the format's markers that are control tokens, which a model's text leaves out unless
// they are asked for.
struct ControlMarkers {
  std::vector<std::int32_t> ids;
  std::vector<std::string> texts;
};
ControlMarkers ControlMarkersOf(const text::Tokenizer& tokenizer,
                                const text::AnswerFormat& format) {
  ControlMarkers found;
  for (std::string& marker : format.Markers()) {
    const auto ids = tokenizer.Encode(marker, {.add_start = false, .parse_special = true});
    if (ids.size() != 1 || !tokenizer.IsControl(ids.front())) continue;
    found.ids.push_back(ids.front());
    found.texts.push_back(std::move(marker));
  }
  return found;
}

}  // namespace

Result<std::shared_ptr<RunningCall>> Service::Generate(GenerateCall call,
                                                       std::shared_ptr<GenerateSink> sink) {
  TATARA_TRY(const ModelInfo info, Find(call.model, ModelKind::kGenerates));
  TATARA_TRY(Model* const model, FindModel(info.name));
  const generate::Engine& engine = model->engine->engine();

  // Every prompt with the text it was made of.
  std::vector<std::pair<std::vector<std::int32_t>, generate::PromptOrigin>> prompts;
  const auto add = [&](std::vector<std::int32_t> ids, generate::PromptForm form, std::string text) {
    prompts.emplace_back(std::move(ids),
                         generate::PromptOrigin{info.name, info.sha256, form, std::move(text)});
  };
  GenerateJob::Parts parts;
  std::vector<std::int32_t> shown_tokens;
  if (call.chat) {
    TATARA_TRY(std::string rendered, Render(engine, *call.chat));
    auto format = text::AnswerFormat::FromTemplate(engine.chat_template_source());
    if (call.chat->tools_json.empty()) format = format.WithoutCalls();
    ControlMarkers control = ControlMarkersOf(engine.tokenizer(), format);
    shown_tokens = std::move(control.ids);
    parts.parsing = {.starts_thinking = format.PromptThinks(rendered),
                     .tools_json = call.chat->tools_json,
                     .control_markers = std::move(control.texts)};
    parts.format = std::move(format);
    auto ids = engine.EncodeRendered(rendered);
    add(std::move(ids), generate::PromptForm::kChat, std::move(rendered));
  }
  if (!call.suffix.empty()) {
    if (!info.fills_holes) {
      return Refuse("the vocabulary of '{0}' has no tokens for filling in the middle", info.name);
    }
    if (!call.id_lists.empty()) return Refuse("a suffix goes with prompts that are texts");
    for (const std::string& text : std::exchange(call.texts, {})) {
      call.id_lists.push_back(engine.tokenizer().EncodeFill(text, call.suffix));
    }
  }
  for (std::string& text : call.texts) {
    auto ids = engine.tokenizer().Encode(text, {.add_start = true});
    add(std::move(ids), generate::PromptForm::kText, std::move(text));
  }
  for (auto& ids : call.id_lists) add(std::move(ids), generate::PromptForm::kIds, {});
  if (prompts.empty()) return Refuse("there is no prompt");
  if (call.n < 1 || prompts.size() > static_cast<std::size_t>(kCallChoicesMax / call.n)) {
    return Refuse("{0} prompts with {1} choices each; at most {2} choices in all", prompts.size(),
                  call.n, kCallChoicesMax);
  }

  auto running = std::make_shared<RunningCall>();
  running->seed = call.sampling.seed.value_or(FreshSeed() >> (64 - kSeedBits));
  const generate::SamplingParams sampling = ParamsOf(call.sampling, running->seed);
  TATARA_RETURN_IF_ERROR(sampling.Check());
  auto job = std::make_shared<EngineJob>();
  for (const auto& [ids, origin] : prompts) {
    if (ids.empty()) return Refuse("the prompt is empty and this model has no start token");
    const std::int64_t room = info.context_tokens - static_cast<std::int64_t>(ids.size());
    const int tokens_least = call.generates_nothing ? 0 : std::max(call.tokens_max, 1);
    if (room < tokens_least) {
      return Refuse("the prompt has {0} tokens and {1} are to be generated; the context has {2}",
                    ids.size(), tokens_least, info.context_tokens);
    }
    for (int k = 0; k < call.n; ++k) {
      generate::Request request{.prompt = ids, .sampling = sampling, .stop = call.stop};
      request.tokens_max = call.tokens_max > 0 ? call.tokens_max : static_cast<int>(room);
      if (call.generates_nothing) request.tokens_max = 0;
      request.top_logprobs = call.top_logprobs;
      if (call.prompt_logprobs) request.prompt_logprobs = call.top_logprobs;
      request.ignore_end = call.ignore_end;
      request.choice = static_cast<std::uint32_t>(k);
      request.shown_tokens = shown_tokens;
      request.cache_scope = call.caller.tenant;
      request.fair_key = call.caller.key;
      job->requests.push_back(std::move(request));
      parts.origins.push_back(origin);
    }
  }
  parts.call = running;
  parts.sink = std::move(sink);
  parts.tokenizer = &engine.tokenizer();
  parts.requests = job->requests;
  parts.clock = options_.clock;
  parts.model = info.name;
  parts.receipt_id = std::move(call.id);
  parts.keep = [this, model, caller = call.caller](const std::string& id,
                                                   const RunReceipt& receipt) {
    KeepReceipt(*model, caller, id, receipt);
  };
  parts.measure = [model](const generate::Completion& completion) { model->Measure(completion); };
  parts.measure_gap = [model](double seconds) {
    const std::lock_guard lock(model->mutex);
    model->state.inter_token.Add(seconds);
  };
  auto answer = std::make_shared<GenerateJob>(std::move(parts));
  job->call = running;
  job->key = call.caller.key;
  job->deadline_ns = options_.clock->MonotonicNanoseconds() +
                     static_cast<std::int64_t>(options_.deadline_seconds * 1e9);
  job->on_text = [answer](std::size_t i, std::string_view text) { answer->OnText(i, text); };
  job->on_logprob = [answer](std::size_t i, const generate::TokenLogprob& logprob) {
    answer->OnLogprob(i, logprob);
  };
  job->on_done = [answer](std::size_t i, Result<generate::Completion> result) {
    answer->OnEnd(i, std::move(result));
  };
  if (auto posted = model->engine->Post(std::move(job)); !posted.ok()) {
    model->CountTurnedAway();
    return posted.error();
  }
  return running;
}

}  // namespace tatara::assistant
