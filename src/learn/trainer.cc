#include "tatara/learn/trainer.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "base_model.h"
#include "grow.h"
#include "optimizer.h"
#include "passes.h"
#include "pieces.h"
#include "tatara/base/check.h"
#include "tatara/base/huge_pages.h"
#include "tatara/base/philox.h"
#include "tatara/numerics/digest.h"
#include "tatara/numerics/ops.h"
#include "tatara/numerics/training.h"

namespace tatara::learn {
namespace {

constexpr double kSampleTemperature = 0.8;

// Weights, two moments and the stack of gradients; activations of the largest pass; the batch.
double MemoryBytes(const Recipe& recipe, const model::Trainable& trainable) {
  const TrainingRecipe& t = recipe.training;
  const OptimizerRecipe& o = recipe.optimizer;
  const double averages = o.average == Average::kNone  ? 0
                          : o.average == Average::kEma ? 1
                                                       : 1.0 + o.average_count;
  return (4.0 + 4.0 * averages) * static_cast<double>(trainable.n_values()) +
         MomentBytes(o, trainable) + PlanPasses(recipe, trainable, t.virtual_shards).bytes() +
         8.0 * t.batch * t.context;
}

// The places of a batch that dropout tells apart (model/trainable.h).
// Of the matrices that adapters stand beside.
double WidestInput(const model::TrainableShape& s) {
  const int n_ff = s.n_ff == 0 ? 4 * s.n_embd : s.n_ff;
  return std::max({s.n_embd, n_ff, s.n_heads * s.head_dim});
}

Result<> CheckDropout(const Recipe& recipe) {
  const TrainingRecipe& t = recipe.training;
  const double sequences = static_cast<double>(t.batch) * t.context;
  const double places =
      std::max({t.dropout > 0 ? sequences * recipe.model.n_embd : 0,
                t.attention_dropout > 0 ? sequences * recipe.model.n_heads * t.context : 0,
                recipe.adapter.shape.dropout > 0 ? sequences * WidestInput(recipe.model) : 0});
  if (places < 0x1p43) return Ok{};
  return Refuse("recipe '{0}': a batch has {1} places for dropout, fewer than {2} are accepted",
                recipe.name, places, 0x1p43);
}

double MachineBytes() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

void DigestOf(const std::vector<model::Parameter>& parameters, const std::vector<float>& values,
              Sha256& digest) {
  for (const model::Parameter& p : parameters) {
    numerics::UpdateWithF32(digest, {values.data() + p.offset, static_cast<std::size_t>(p.size())});
  }
}

}  // namespace

Trainer::Trainer(const Recipe& recipe, const corpus::TrainingSet& data)
    : recipe_(recipe), data_(data), optimizer_(std::make_unique<Optimizer>()) {}
Trainer::~Trainer() = default;

Result<std::unique_ptr<Trainer>> Trainer::Make(const Recipe& recipe,
                                               const corpus::TrainingSet& data, ThreadPool& pool,
                                               Workers* workers) {
  std::unique_ptr<Trainer> trainer(new Trainer(recipe, data));
  Recipe& own = trainer->recipe_;
  for (Recipe& phase : own.phases) phase.model.n_vocab = own.model.n_vocab;
  const std::size_t n_phases = std::max<std::size_t>(1, own.phases.size());
  for (std::size_t i = 0; i < n_phases; ++i) {
    const Recipe& phase = own.phases.empty() ? own : own.phases[i];
    std::shared_ptr<model::Trainable> made;
    const bool same = i > 0 && phase.training.storage == own.phases[i - 1].training.storage;
    if (same && own.adapter.kind != AdapterKind::kNone) {
      made = trainer->trainables_.back();
    } else {
      TATARA_TRY(made, MakeTrainable(phase, pool));
    }
    TATARA_RETURN_IF_ERROR(trainer->CheckPhase(phase, *made));
    if (i > 0) TATARA_RETURN_IF_ERROR(CheckGrowth(*trainer->trainables_.back(), *made, phase.name));
    trainer->n_parameters_max_ = std::max(trainer->n_parameters_max_, made->n_parameters());
    trainer->trainables_.push_back(std::move(made));
  }
  if (workers != nullptr && workers->count() > recipe.training.virtual_shards) {
    return Refuse("{0} processes can not divide {1} virtual shards (training.virtual_shards)",
                  workers->count(), recipe.training.virtual_shards);
  }
  trainer->workers_ = workers;
  TATARA_RETURN_IF_ERROR(trainer->Restart(pool));
  return trainer;
}

Result<> Trainer::CheckPhase(const Recipe& phase, const model::Trainable& trainable) {
  const double needed = MemoryBytes(phase, trainable) + FrozenBytes(phase, trainable);
  if (needed > MachineBytes()) {
    return Refuse(
        "recipe '{0}' needs about {1} GB of memory, this machine has {2} GB; a smaller "
        "run.micro_batch or run.recompute = true take less",
        phase.name, std::floor(needed * 1e-9 + 1), std::floor(MachineBytes() * 1e-9));
  }
  TATARA_RETURN_IF_ERROR(CheckDropout(phase));
  TATARA_RETURN_IF_ERROR(data_.CheckContext(phase.training.context));
  if (phase.training.virtual_shards != recipe_.training.virtual_shards) {
    return Refuse("phase '{0}': all phases have the same training.virtual_shards", phase.name);
  }
  if (data_.n_vocab() > phase.model.n_vocab) {
    return Refuse("the data's vocabulary has {0} tokens, the model's {1}", data_.n_vocab(),
                  phase.model.n_vocab);
  }
  return Ok{};
}

const Recipe& Trainer::recipe() const {
  return recipe_.phases.empty() ? recipe_ : recipe_.phases[phase_];
}

bool Trainer::IsPhaseEnd() const {
  return state_.step == first_step_ + recipe().training.steps;
}

std::int64_t Trainer::RollBackStep() const {
  const std::int64_t every = recipe_.run.checkpoint_every;
  if (IsPhaseEnd()) return state_.step;  // has a checkpoint always
  return std::max(first_step_, state_.step / every * every);
}

// Memory for the phase's weights; what is in it is to be filled in.
void Trainer::Reserve() {
  gradients_.clear();
  trainable_ = trainables_[phase_].get();
  const auto n = static_cast<std::size_t>(trainable_->n_values());
  ReserveHugePages(state_.weights, n);
  state_.weights.assign(n, 0.0F);
  MakeMoments(recipe().optimizer, *trainable_, state_);
  state_.average.assign(recipe().optimizer.average == Average::kNone ? 0 : n, 0.0F);
  state_.copies.clear();
  state_.spikes.losses.clear();
  state_.spikes.norms.clear();
}

void Trainer::EnterPhaseOf(std::int64_t step) {
  phase_ = 0;
  first_step_ = tokens_before_ = 0;
  for (; phase_ + 1 < recipe_.phases.size(); ++phase_) {
    const TrainingRecipe& t = recipe_.phases[phase_].training;
    if (step <= first_step_ + t.steps) break;
    first_step_ += t.steps;
    tokens_before_ += t.steps * t.batch * t.context;
  }
  Reserve();
}

void Trainer::SetState(TrainerState state) {
  EnterPhaseOf(state.step);
  state_ = std::move(state);
}

void Trainer::EnterNextPhase() {
  const std::size_t last = phase_;
  const std::vector<float> weights = state_.result();
  // The memory of its passes is given back: one that was just made has none yet.
  if (recipe_.adapter.kind == AdapterKind::kNone) {
    auto made = model::Trainable::Make(trainable_->shape(), OptionsOf(recipe_.phases[last]));
    TATARA_CHECK(made.ok());
    trainables_[last] = std::move(made).value();
  }
  EnterPhaseOf(state_.step + 1);
  Grow(*trainables_[last], weights, *trainable_, recipe().training.new_blocks, state_.weights);
  if (!state_.average.empty()) state_.average = state_.weights;
}

Result<> Trainer::Restart(ThreadPool& pool) {
  state_ = {};
  EnterPhaseOf(0);
  const Recipe& first = recipe();
  TATARA_RETURN_IF_ERROR(StartWeights(first, *trainable_, state_.weights, pool));
  if (!state_.average.empty()) state_.average = state_.weights;
  return Ok{};
}

std::int64_t Trainer::CopiesAt(std::int64_t step) const {
  const OptimizerRecipe& o = recipe().optimizer;
  if (o.average != Average::kLawa) return 0;
  return std::min<std::int64_t>(o.average_count, (step - first_step_) / o.average_every);
}

std::int64_t Trainer::CopiesMax() const {
  const OptimizerRecipe& o = recipe().optimizer;
  return o.average == Average::kLawa ? o.average_count : 0;
}

Result<> Trainer::DrawBatch() {
  const TrainingRecipe& t = recipe().training;
  const auto batch = static_cast<std::size_t>(t.batch),
             context = static_cast<std::size_t>(t.context);
  for (auto* values : {&tokens_, &targets_, &first_keys_}) values->resize(batch * context);
  for (std::size_t i = 0; i < batch; ++i) {
    const auto part = [&](std::vector<std::int32_t>& values) {
      return std::span(values).subspan(i * context, context);
    };
    TATARA_RETURN_IF_ERROR(data_.Training(t.seed,
                                          static_cast<std::uint64_t>(state_.n_sequences) + i,
                                          {part(tokens_), part(targets_), part(first_keys_)}));
  }
  n_targets_ = std::ranges::count_if(targets_, [](std::int32_t target) { return target >= 0; });
  if (n_targets_ > 0) return Ok{};
  return Refuse("step {0}: no token of its sequences counts", state_.step + 1);
}

// Before shard * batch / shards.
std::int64_t Trainer::FirstSequence(int shard) const {
  const TrainingRecipe& t = recipe().training;
  return std::int64_t{shard} * t.batch / t.virtual_shards;
}

model::TrainingBatch Trainer::Batch(std::int64_t first, std::int64_t end) const {
  const auto context = static_cast<std::size_t>(recipe().training.context);
  const auto part = [&](const std::vector<std::int32_t>& values) {
    return std::span(values).subspan(static_cast<std::size_t>(first) * context,
                                     static_cast<std::size_t>(end - first) * context);
  };
  return {.n_sequences = end - first,
          .n_tokens = recipe().training.context,
          .tokens = part(tokens_),
          .targets = part(targets_),
          .first_keys = part(first_keys_),
          .first_sequence = first};
}

model::TrainingDropout Trainer::Dropout() const {
  const TrainingRecipe& t = recipe().training;
  return {t.dropout, t.seed, static_cast<std::uint64_t>(state_.step), t.attention_dropout};
}

// A shard in passes of run.micro_batch sequences; returns its loss.
double Trainer::ShardInParts(int shard, std::span<float> gradient, ThreadPool& pool) {
  double loss = 0;
  ForPieces(static_cast<std::int64_t>(gradient.size()), pool,
            [&](std::size_t from, std::size_t size) {
              std::fill_n(gradient.begin() + static_cast<std::ptrdiff_t>(from), size, 0.0F);
            });
  const std::int64_t end = FirstSequence(shard + 1);
  const int micro_batch = recipe().run.micro_batch;
  const std::int64_t most = micro_batch == 0 ? recipe().training.batch : micro_batch;
  for (std::int64_t at = FirstSequence(shard); at < end; at += most) {
    trainable_->LossAndGradient(Batch(at, std::min(end, at + most)), state_.weights, Dropout(),
                                gradient, loss, pool);
  }
  trainable_->FinishGradient(gradient);
  return loss;
}

// Whole shards, a branch of the tree; returns the branch's loss.
double Trainer::ShardsAtOnce(int first, int n, std::span<float> gradient, ThreadPool& pool) {
  const std::int64_t from = FirstSequence(first), end = FirstSequence(first + n);
  if (from == end) {
    std::ranges::fill(gradient, 0.0F);
    return 0;
  }
  std::vector<std::int64_t> ends;
  for (int i = 1; i <= n; ++i) ends.push_back(FirstSequence(first + i) - from);
  std::vector<double> losses(ends.size());
  trainable_->GradientOfShards(Batch(from, end), ends, state_.weights, Dropout(), gradient, losses,
                               pool);
  for (std::size_t apart = 1; apart < losses.size(); apart *= 2) {
    for (std::size_t i = 0; i < losses.size(); i += 2 * apart) losses[i] += losses[i + apart];
  }
  return losses[0];
}

// The tree over neighbours, by a stack: after branch i as many partial sums are merged as i + 1 has
// trailing zeros. Losses go the same way. A worker's shards are a whole branch of the tree.
Result<double> Trainer::Gradient(ThreadPool& pool) {
  const int n_workers = workers_ == nullptr ? 1 : workers_->count();
  const int n_shards = recipe().training.virtual_shards / n_workers;
  const int first_shard = workers_ == nullptr ? 0 : workers_->rank() * n_shards;
  const PassPlan plan = PlanPasses(recipe(), *trainable_, n_shards);
  const int at_once = std::max(1, plan.shards);
  std::vector<double> losses;
  for (int branch = 0; branch < n_shards / at_once; ++branch) {
    if (gradients_.size() == losses.size()) {
      const auto n = static_cast<std::size_t>(plan.gradient_values);
      ReserveHugePages(gradients_.emplace_back(), n);
      gradients_.back().resize(n);
    }
    const int shard = first_shard + branch * at_once;
    std::vector<float>& gradient = gradients_[losses.size()];
    losses.push_back(plan.shards == 0 ? ShardInParts(shard, gradient, pool)
                                      : ShardsAtOnce(shard, at_once, gradient, pool));
    for (int merges = std::countr_zero(static_cast<unsigned>(branch) + 1); merges > 0; --merges) {
      Merge(gradients_[losses.size() - 1], gradients_[losses.size() - 2], pool);
      losses[losses.size() - 2] += losses.back();
      losses.pop_back();
    }
  }
  TATARA_RETURN_IF_ERROR(AddOthers(losses.front(), pool));
  return losses.front();
}

void Trainer::Merge(const std::vector<float>& from, std::vector<float>& into, ThreadPool& pool) {
  ForPieces(trainable_->n_values(), pool, [&](std::size_t first, std::size_t size) {
    numerics::Add(std::span(from).subspan(first, size), std::span(into).subspan(first, size));
  });
}

// The rest of the tree: in round i workers whose numbers differ in bit i exchange the sums of their
// branches. An addition's two sides may be swapped without changing its bits, so all end with one
// sum.
Result<> Trainer::AddOthers(double& loss, ThreadPool& pool) {
  if (workers_ == nullptr) return Ok{};
  const std::size_t n = gradients_[0].size();
  received_.resize(n);
  for (int bit = 1; bit < workers_->count(); bit *= 2) {
    const int other = workers_->rank() ^ bit;
    double their_loss = 0;
    TATARA_RETURN_IF_ERROR(workers_->Exchange(other, std::as_bytes(std::span(&loss, 1)),
                                              std::as_writable_bytes(std::span(&their_loss, 1))));
    TATARA_RETURN_IF_ERROR(workers_->Exchange(other, std::as_bytes(std::span(gradients_[0])),
                                              std::as_writable_bytes(std::span(received_))));
    loss += their_loss;
    Merge(received_, gradients_[0], pool);
  }
  return Ok{};
}

// The norm of the mean gradient. AdamW divides the sum itself, where it has it in a cache; for Muon
// the mean is written. A norm's squares are added by pieces (numerics/training.h).
double Trainer::GradientNorm(ThreadPool& pool) {
  const std::vector<model::Parameter>& parameters = trainable_->parameters();
  const auto divisor = static_cast<float>(n_targets_);
  const bool writes = recipe().optimizer.kind == OptimizerKind::kMuon;
  struct Stretch {
    std::size_t first, size, sums;
  };
  std::vector<Stretch> stretches;
  std::size_t n_sums = 0;
  for (const model::Parameter& p : parameters) {
    for (std::int64_t at = 0; at < p.size(); at += kPiece) {
      const auto size = static_cast<std::size_t>(std::min(kPiece, p.size() - at));
      stretches.push_back({static_cast<std::size_t>(p.offset + at), size, n_sums});
      n_sums += (size + numerics::kSquaresPiece - 1) / numerics::kSquaresPiece;
    }
  }
  std::vector<double> sums(n_sums);
  pool.For(std::ssize(stretches), [&](std::int64_t item, int) {
    const Stretch& s = stretches[static_cast<std::size_t>(item)];
    for (std::size_t i = 0; i < s.size; i += numerics::kSquaresPiece) {
      const std::span<float> piece =
          std::span(gradients_[0])
              .subspan(s.first + i, std::min(numerics::kSquaresPiece, s.size - i));
      std::array<float, numerics::kSquaresPiece> mean;
      const std::span<float> to = writes ? piece : std::span(mean).first(piece.size());
      if (!writes) std::ranges::copy(piece, to.begin());
      numerics::Divide(divisor, to);
      sums[s.sums + i / numerics::kSquaresPiece] = numerics::SumOfSquaresF64(to);
    }
  });
  norms_.assign(parameters.size(), 0.0);
  std::size_t at = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto size = static_cast<std::size_t>(parameters[i].size());
    const std::size_t end = at + (size + numerics::kSquaresPiece - 1) / numerics::kSquaresPiece;
    for (; at < end; ++at) norms_[i] += sums[at];
  }
  double sum = 0;
  for (const double squares : norms_) sum += squares;
  return std::sqrt(sum);
}

// On the way forward the first layer that gave something not finite; on the way back, which runs
// from the last parameter to the first, the last one whose gradient is not finite; else the
// parameter with the largest gradient.
void Trainer::Locate(Spike& spike, ThreadPool& pool) {
  const std::vector<model::Parameter>& parameters = trainable_->parameters();
  if (spike.what == "loss" && !std::isfinite(spike.value)) {
    spike.parameter = trainable_->FirstNotFinite({.n_sequences = recipe().training.batch,
                                                  .n_tokens = recipe().training.context,
                                                  .tokens = tokens_,
                                                  .targets = targets_,
                                                  .first_keys = first_keys_},
                                                 state_.weights, pool);
    if (!spike.parameter.empty()) return;
  }
  std::size_t at = 0;
  for (std::size_t i = 0; i < norms_.size(); ++i) {
    if (!std::isfinite(norms_[i]) || (std::isfinite(norms_[at]) && norms_[i] > norms_[at])) at = i;
  }
  spike.parameter = parameters[at].name;
}

Result<StepReport> Trainer::HandleSpike(StepReport report) {
  const SpikeRecipe& policy = recipe_.run.spikes;
  const Spike& spike = report.spike;
  if (policy.on_spike == OnSpike::kStop || state_.spikes.n_events >= policy.events_max) {
    if (!std::isfinite(spike.value)) {
      return Refuse("step {0}: {1} is not finite, first in '{2}'; the weights of step {3} are kept",
                    report.step, spike.what, spike.parameter, state_.step);
    }
    return Refuse(
        "step {0}: {1} is {2}, above {3}, most of it in '{4}'; the weights of step {5} are kept",
        report.step, spike.what, spike.value, spike.limit, spike.parameter, state_.step);
  }
  ++state_.spikes.n_events;
  state_.n_sequences += recipe().training.batch;
  if (policy.on_spike == OnSpike::kSkip) {
    ++state_.step;
    report.event = StepReport::Event::kSkipped;
  } else {
    report.event = StepReport::Event::kRollBack;
  }
  return report;
}

Result<StepReport> Trainer::Step(ThreadPool& pool) {
  if (IsPhaseEnd() && phase_ + 1 < recipe_.phases.size()) EnterNextPhase();
  TATARA_RETURN_IF_ERROR(DrawBatch());
  TATARA_TRY(const double loss_sum, Gradient(pool));
  StepReport report{.step = state_.step + 1,
                    .loss = loss_sum / static_cast<double>(n_targets_),
                    .gradient_norm = GradientNorm(pool),
                    .learning_rate = LearningRate(recipe().optimizer, recipe().training.steps,
                                                  state_.step - first_step_)};
  const TrainingRecipe& t = recipe().training;
  report.n_tokens = tokens_before_ + (report.step - first_step_) * t.batch * t.context;
  const SpikeRecipe& spikes = recipe_.run.spikes;
  if (auto spike = FindSpike(spikes, state_.spikes, report.loss, report.gradient_norm)) {
    Locate(*spike, pool);
    report.spike = std::move(*spike);
    return HandleSpike(std::move(report));
  }
  Remember(spikes, report.loss, report.gradient_norm, state_.spikes);
  const double clip = recipe().optimizer.clip;
  const double scale = clip > 0 && report.gradient_norm > clip ? clip / report.gradient_norm : 1.0;
  optimizer_->Update(
      recipe().optimizer, *trainable_,
      {.step = state_.step - first_step_ + 1,
       .rate = report.learning_rate,
       .gradient_divisor =
           recipe().optimizer.kind == OptimizerKind::kAdamW ? static_cast<float>(n_targets_) : 1.0F,
       .gradient_scale = scale,
       .seed = recipe().training.seed,
       .run_step = static_cast<std::uint32_t>(state_.step)},
      gradients_[0], state_, pool);
  ++state_.step;
  state_.n_sequences += recipe().training.batch;
  UpdateAverage(recipe().optimizer, state_.step - first_step_, state_, pool);
  return report;
}

Result<double> Trainer::Validate(std::int64_t sequences_max, ThreadPool& pool,
                                 std::vector<SourceLoss>* by_source) {
  const std::int64_t context = recipe().training.context;
  const std::int64_t n_sequences = data_.n_validation(context);
  const std::int64_t n_taken = std::min(n_sequences, sequences_max);
  const auto size = static_cast<std::size_t>(context);
  std::vector<std::int32_t> tokens(size), targets(size), first_keys(size);
  double loss = 0;
  std::int64_t n_targets = 0;
  const std::vector<std::string> names = data_.sources();
  std::vector<double> losses(names.size()), counts(names.size());
  for (std::int64_t i = 0; i < n_taken; ++i) {
    const std::int64_t number = i * n_sequences / n_taken;
    TATARA_RETURN_IF_ERROR(data_.Validation(number, {tokens, targets, first_keys}));
    const auto n = std::ranges::count_if(targets, [](std::int32_t target) { return target >= 0; });
    const double before = loss;
    n_targets += n;
    trainable_->Loss({.n_sequences = 1,
                      .n_tokens = context,
                      .tokens = tokens,
                      .targets = targets,
                      .first_keys = first_keys},
                     state_.result(), loss, pool);
    const auto source = static_cast<std::size_t>(data_.ValidationSource(number, context));
    if (source >= names.size()) continue;
    losses[source] += loss - before;
    counts[source] += static_cast<double>(n);
  }
  for (std::size_t i = 0; by_source != nullptr && names.size() > 1 && i < names.size(); ++i) {
    if (counts[i] > 0) by_source->push_back({names[i], losses[i] / counts[i]});
  }
  return n_targets == 0 ? 0 : loss / static_cast<double>(n_targets);
}

std::vector<std::int32_t> Trainer::Sample(std::vector<std::int32_t> text, int n, ThreadPool& pool,
                                          const StopFlag* stop) {
  const auto n_vocab = static_cast<std::size_t>(recipe_.model.n_vocab);
  const auto context = static_cast<std::size_t>(recipe().training.context);
  std::vector<float> logits;
  std::vector<double> weights(n_vocab);
  if (text.empty()) text.push_back(0);
  for (int i = 0; i < n && !(stop != nullptr && stop->IsSet()); ++i) {
    const std::size_t seen = std::min(text.size(), context);
    logits.resize(seen * n_vocab);
    trainable_->Logits({.n_sequences = 1,
                        .n_tokens = static_cast<std::int64_t>(seen),
                        .tokens = std::span(text).last(seen)},
                       state_.result(), logits, pool);
    const std::span<const float> last = std::span<const float>(logits).last(n_vocab);
    const auto max = static_cast<double>(numerics::Max(last));
    for (std::size_t j = 0; j < n_vocab; ++j) weights[j] = (last[j] - max) / kSampleTemperature;
    numerics::ExpRowF64(weights);
    double total = 0;
    for (const double w : weights) total += w;
    const double u = RandomUnit({.seed = recipe_.training.seed,
                                 .purpose = RandomPurpose::kSample,
                                 .choice = static_cast<std::uint32_t>(state_.step),
                                 .position = static_cast<std::uint64_t>(i)});
    double sum = 0;
    std::size_t chosen = 0;
    while (chosen + 1 < n_vocab && !((sum += weights[chosen]) > u * total)) ++chosen;
    text.push_back(static_cast<std::int32_t>(chosen));
  }
  return text;
}

double Trainer::WeightNorm() const {
  double sum = 0;
  for (const model::Parameter& p : trainable_->parameters()) {
    sum += numerics::SumOfSquaresF64(
        {state_.result().data() + p.offset, static_cast<std::size_t>(p.size())});
  }
  return std::sqrt(sum);
}

std::string Trainer::Digest() const {
  Sha256 digest;
  DigestOf(trainable_->parameters(), state_.result(), digest);
  if (!state_.average.empty()) DigestOf(trainable_->parameters(), state_.weights, digest);
  return ToHex(digest.Finish());
}

}  // namespace tatara::learn
