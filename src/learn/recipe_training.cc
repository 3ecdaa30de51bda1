#include <limits>

#include "recipe_sections.h"

namespace tatara::learn {
namespace {

constexpr Choice<OnSpike> kOnSpike[] = {
    {"stop", OnSpike::kStop}, {"skip", OnSpike::kSkip}, {"rollback", OnSpike::kRollBack}};

constexpr Choice<NewBlocks> kNewBlocks[] = {{"copy", NewBlocks::kCopy},
                                            {"identity", NewBlocks::kIdentity}};

}  // namespace

Result<> TakeTraining(const toml::table& root, std::string_view path, TrainingRecipe& t) {
  Section s(root, path, "training");
  s.Take("seed", t.seed, 0, std::numeric_limits<std::int64_t>::max());
  s.Take("steps", t.steps, 1, kStepsMax);
  s.Take("batch", t.batch, 1, 1 << 20);
  s.Take("context", t.context, 1, 1 << 20);
  s.Take("virtual_shards", t.virtual_shards, 1, 1024);
  s.Take("dropout", t.dropout, 0, 0.99);
  s.Take("attention_dropout", t.attention_dropout, 0, 0.99);
  std::string new_blocks = "copy", storage = "f32";
  s.Take("new_blocks", new_blocks);
  s.Take("storage", storage);
  TATARA_RETURN_IF_ERROR(s.Finish());
  TATARA_TRY(t.storage, Choose(path, "training.storage", storage, kStorages));
  TATARA_TRY(t.new_blocks, Choose(path, "training.new_blocks", new_blocks, kNewBlocks));
  if ((t.virtual_shards & (t.virtual_shards - 1)) != 0) {
    return Refuse("{0}: training.virtual_shards is {1}; a power of two is expected", path,
                  t.virtual_shards);
  }
  return Ok{};
}

void AddTrainingExtras(const TrainingRecipe& t, CanonicalExtras& extras) {
  extras.Add("training.attention_dropout", t.attention_dropout, 0.0);
  extras.Add("training.new_blocks", kNewBlocks[static_cast<int>(t.new_blocks)].name,
             kNewBlocks[0].name);
  extras.Add("training.storage", kStorages[static_cast<int>(t.storage)].name, kStorages[0].name);
}

Result<> TakeRun(const toml::table& root, std::string_view path, RunRecipe& r) {
  Section s(root, path, "run");
  s.Take("micro_batch", r.micro_batch, 0, 1 << 20);
  s.Take("recompute", r.recompute);
  s.Take("validate_every", r.validate_every, 1, kStepsMax);
  s.Take("validation_sequences", r.validation_sequences, 1, 1 << 24);
  s.Take("checkpoint_every", r.checkpoint_every, 1, kStepsMax);
  s.Take("checkpoints_kept", r.checkpoints_kept, 1, 1000);
  s.Take("digest_every", r.digest_every, 0, kStepsMax);
  s.Take("sample_every", r.sample_every, 1, kStepsMax);
  s.Take("sample_tokens", r.sample_tokens, 0, 10000);
  s.Take("checkpoint_bytes_max", r.checkpoint_bytes_max, 0,
         std::numeric_limits<std::int64_t>::max());
  std::string on_spike = "stop";
  s.Take("on_spike", on_spike);
  s.Take("spike_sigma", r.spikes.sigma, 0, 1e6);
  s.Take("spike_window", r.spikes.window, 2, 10000);
  s.Take("spikes_max", r.spikes.events_max, 0, 1 << 20);
  TATARA_RETURN_IF_ERROR(s.Finish());
  TATARA_TRY(r.spikes.on_spike, Choose(path, "run.on_spike", on_spike, kOnSpike));
  return Ok{};
}

// What stops a run changes no weight; what goes on does, and rolling back by where checkpoints are.
void AddRunExtras(const RunRecipe& r, CanonicalExtras& extras) {
  const SpikeRecipe none;
  if (r.spikes.on_spike == OnSpike::kStop) return;
  extras.Add("run.on_spike", kOnSpike[static_cast<int>(r.spikes.on_spike)].name, kOnSpike[0].name);
  extras.Add("run.spike_sigma", r.spikes.sigma, none.sigma);
  extras.Add("run.spike_window", r.spikes.window, none.window);
  extras.Add("run.spikes_max", r.spikes.events_max, none.events_max);
  if (r.spikes.on_spike == OnSpike::kRollBack) {
    extras.Add<std::int64_t>("run.checkpoint_every", r.checkpoint_every, 0);
  }
}

}  // namespace tatara::learn
