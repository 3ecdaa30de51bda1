#include "tatara/learn/probe.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base_model.h"
#include "tatara/base/thread_pool.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/learn/run_folder.h"
#include "tatara/learn/trainer.h"
#include "tatara/numerics/training.h"
#include "tatara/text/tokenizer.h"

namespace tatara::learn {
namespace {

constexpr std::size_t kPromptTokensMax = 1 << 16;

// "blk.3.attn_q.weight" belongs to "blk.3", "token_embd.weight" to itself.
std::string PartOf(const std::string& tensor) {
  if (!tensor.starts_with("blk.")) return tensor;
  return tensor.substr(0, tensor.find('.', 4));
}

void AddNorms(const Trainer& trainer, ProbedCheckpoint& to) {
  double all = 0;
  for (const model::Parameter& p : trainer.trainable().parameters()) {
    const double squares = numerics::SumOfSquaresF64(
        std::span(trainer.state().result())
            .subspan(static_cast<std::size_t>(p.offset), static_cast<std::size_t>(p.size())));
    const std::string part = PartOf(p.name);
    if (to.part_norms.empty() || to.part_norms.back().first != part) {
      to.part_norms.emplace_back(part, 0);
    }
    to.part_norms.back().second += squares;
    all += squares;
  }
  for (auto& [name, squares] : to.part_norms) squares = std::sqrt(squares);
  to.weight_norm = std::sqrt(all);
}

using Ids = std::vector<std::int32_t>;

Result<std::vector<Ids>> Encode(const corpus::TrainingSet& data,
                                const std::vector<std::string>& prompts) {
  std::vector<Ids> encoded;
  if (prompts.empty()) return encoded;
  TATARA_TRY(const auto tokenizer, text::Tokenizer::FromMetadata(data.TokenizerKeys()));
  for (const std::string& prompt : prompts) {
    Ids ids = tokenizer->Encode(prompt, {});
    std::erase_if(ids, [&](std::int32_t id) { return id < 0 || id >= data.n_vocab(); });
    if (ids.size() > kPromptTokensMax) {
      return Refuse("a prompt has {0} tokens, the most is {1}", ids.size(), kPromptTokensMax);
    }
    encoded.push_back(std::move(ids));
  }
  return encoded;
}

Result<> CheckStop(const StopFlag* stop) {
  if (stop == nullptr || !stop->IsSet()) return Ok{};
  return MakeError(ErrorKind::kCancelled, "stopped");
}

}  // namespace

Result<std::vector<ProbedCheckpoint>> ProbeCheckpoints(const std::filesystem::path& path,
                                                       const ProbeOptions& options) {
  TATARA_TRY(RunFolder run, ReadRunFolder(path));
  TATARA_TRY(const auto data,
             OpenData(run.recipe, {.n_threads = options.n_threads, .stop = options.stop}));
  ThreadPool pool(options.n_threads);
  TATARA_TRY(const auto trainer, Trainer::Make(run.recipe, *data, pool));
  TATARA_TRY(const std::vector<Ids> prompts, Encode(*data, options.prompts));
  CheckpointInfo expected;
  expected.recipe_digest = RecipeDigest(run.recipe);
  expected.data_digest = data->digest();
  std::vector<ProbedCheckpoint> probed;
  for (const std::int64_t step : run.checkpoints) {
    TATARA_RETURN_IF_ERROR(CheckStop(options.stop));
    const auto folder = CheckpointPath(path, step);
    TATARA_TRY([[maybe_unused]] const auto info, LoadCheckpoint(folder, expected, *trainer));
    TATARA_TRY(const CheckpointDigests digests, ReadCheckpointDigests(folder));
    ProbedCheckpoint one{.step = step, .weights_sha256 = digests.weights};
    AddNorms(*trainer, one);
    for (const Ids& prompt : prompts) {
      Ids all = trainer->Sample(prompt, options.n_tokens, pool, options.stop);
      TATARA_RETURN_IF_ERROR(CheckStop(options.stop));
      one.texts.push_back(data->Decode(std::span(all).subspan(prompt.size())));
    }
    probed.push_back(std::move(one));
  }
  return probed;
}

}  // namespace tatara::learn
