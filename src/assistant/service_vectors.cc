// Service::Embed and Service::Rerank: on the thread of an embedder.

#include "service_model.h"
#include "tatara/text/tokenizer.h"

namespace tatara::assistant {
namespace {

Result<EmbedAnswer> RunEmbed(generate::Embedder& embedder, const EmbedCall& call) {
  EmbedAnswer answer{.n_embd = call.dimensions == 0 ? embedder.facts().n_embd : call.dimensions};
  if (!call.texts.empty()) {
    const auto role = call.role == EmbedRole::kQuery     ? generate::TextRole::kQuery
                      : call.role == EmbedRole::kPassage ? generate::TextRole::kPassage
                                                         : generate::TextRole::kPlain;
    TATARA_TRY(answer.vectors,
               embedder.Embed(call.texts, {.role = role, .dimensions = call.dimensions}));
    for (const std::string& text : call.texts) {
      answer.prompt_tokens += static_cast<int>(
          embedder.tokenizer().Encode(text, {.add_start = true, .add_end = true}).size());
    }
  }
  for (const auto& ids : call.id_lists) {
    TATARA_TRY(const auto vector, embedder.EmbedTokens(ids, {.dimensions = call.dimensions}));
    answer.vectors.insert(answer.vectors.end(), vector.begin(), vector.end());
    answer.prompt_tokens += static_cast<int>(ids.size());
  }
  return answer;
}

Result<RerankAnswer> RunRerank(generate::Embedder& embedder, const RerankCall& call) {
  RerankAnswer answer;
  TATARA_TRY(answer.scores, embedder.Rerank(call.query, call.passages));
  const auto count = [&](const std::string& text) {
    return static_cast<int>(embedder.tokenizer().Encode(text, {.add_end = true}).size());
  };
  answer.prompt_tokens = count(call.query);
  for (const std::string& passage : call.passages) answer.prompt_tokens += count(passage);
  return answer;
}

}  // namespace

Result<std::shared_ptr<RunningCall>> Service::Embed(EmbedCall call,
                                                    std::function<void(Result<EmbedAnswer>)> done) {
  TATARA_TRY(const ModelInfo info, Find(call.model, ModelKind::kEmbeds));
  TATARA_TRY(Model* const model, FindModel(info.name));
  auto running = std::make_shared<RunningCall>();
  std::string key = call.caller.key;
  auto posted = model->tasks->Post(
      std::move(key), [model, running, call = std::move(call), done = std::move(done)] {
        if (running->cancelled()) {
          return done(MakeError(ErrorKind::kCancelled, "the caller cancelled the request"));
        }
        auto answer = RunEmbed(*model->embedder, call);
        if (answer.ok()) {
          const std::lock_guard lock(model->mutex);
          model->state.prompt_tokens += answer->prompt_tokens;
          ++model->state.finished;
        }
        done(std::move(answer));
      });
  if (posted.ok()) return running;
  model->CountTurnedAway();
  return posted.error();
}

Result<std::shared_ptr<RunningCall>> Service::Rerank(
    RerankCall call, std::function<void(Result<RerankAnswer>)> done) {
  TATARA_TRY(const ModelInfo info, Find(call.model, ModelKind::kRanks));
  TATARA_TRY(Model* const model, FindModel(info.name));
  auto running = std::make_shared<RunningCall>();
  std::string key = call.caller.key;
  auto posted = model->tasks->Post(
      std::move(key), [model, running, call = std::move(call), done = std::move(done)] {
        if (running->cancelled()) {
          return done(MakeError(ErrorKind::kCancelled, "the caller cancelled the request"));
        }
        done(RunRerank(*model->embedder, call));
      });
  if (posted.ok()) return running;
  model->CountTurnedAway();
  return posted.error();
}

}  // namespace tatara::assistant
