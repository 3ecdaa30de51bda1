// One run's weights, optimiser and place in the data, and the step that moves them.
//
// A step's batch is cut into virtual shards of consecutive sequences; a shard's gradient is a chain
// over its tokens, carried on across micro-batches, which never cross a shard; shards are added in
// a fixed tree of neighbours; then one division by the number of targets. So threads, instruction
// sets and micro-batches change no bit (rule 12).
//
// Sequence i of step s is number s * batch + i of the training set (corpus/training_set.h), and
// later by as many as were left out (spikes.h).
//
// Thread safety: one caller. Ownership: borrows the data, owns the rest.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/progress.h"
#include "tatara/base/thread_pool.h"
#include "tatara/corpus/training_set.h"
#include "tatara/learn/moments.h"
#include "tatara/learn/recipe.h"
#include "tatara/learn/workers.h"
#include "tatara/model/trainable.h"

namespace tatara::learn {

struct StepReport {
  std::int64_t step = 0;  // that was done, from 1
  double loss = 0;        // mean over the step's targets, before the update
  double gradient_norm = 0;
  double learning_rate = 0;
  std::int64_t n_tokens = 0;  // of all steps so far, with this one
  // Where something was suspect: nothing was updated. Skipped: the step counts as done. Roll back:
  // the caller is to load the checkpoint; the state only knows how far the data were used.
  enum class Event { kNone, kSkipped, kRollBack } event = Event::kNone;
  Spike spike;
};

struct TrainerState {
  std::int64_t step = 0;         // steps done
  std::int64_t n_sequences = 0;  // drawn so far: the place in the data
  SpikeHistory spikes;
  std::vector<float> weights;
  Moments first_moment, second_moment;
  // Where the recipe asks for it (optimizer.average): the averaged weights, and of LAWA the copies
  // that it is made of, oldest first.
  std::vector<float> average;
  std::vector<std::vector<float>> copies;

  // What is validated, sampled and taken away.
  const std::vector<float>& result() const { return average.empty() ? weights : average; }
};

// Mean validation loss over one source's targets.
struct SourceLoss {
  std::string source;
  double loss = 0;
};

class Optimizer;

class Trainer {
 public:
  ~Trainer();
  // Starting weights by the seed. Refuses data of more tokens than the model's vocabulary has, and
  // of no sequence as long as the context. `data` outlives the trainer.
  // Where `workers` is not null, this process does its part of each step and borrows it.
  static Result<std::unique_ptr<Trainer>> Make(const Recipe& recipe,
                                               const corpus::TrainingSet& data, ThreadPool& pool,
                                               Workers* workers = nullptr);
  // As after Make.
  Result<> Restart(ThreadPool& pool);

  const model::Trainable& trainable() const { return *trainable_; }
  // Of the phase that the state is in; the recipe itself where it has none. A phase's last step is
  // still in it: the next step goes over to the next one.
  const Recipe& recipe() const;
  bool IsPhaseEnd() const;
  const model::Trainable& last_trainable() const { return *trainables_.back(); }
  // The steps before this phase.
  std::int64_t first_step() const { return first_step_; }
  // Where a rollback goes to: the last multiple of run.checkpoint_every, or where the phase began.
  std::int64_t RollBackStep() const;
  // The largest of the phases.
  std::int64_t n_parameters_max() const { return n_parameters_max_; }
  // Goes over to the phase that step `step` is the end of or in; the weights are to be loaded.
  void EnterPhaseOf(std::int64_t step);
  void SetState(TrainerState state);
  const TrainerState& state() const { return state_; }
  TrainerState& state() { return state_; }

  // Copies that LAWA holds after that step.
  std::int64_t CopiesAt(std::int64_t step) const;
  std::int64_t CopiesMax() const;

  // A suspect step (spikes.h) is refused, naming the step and a layer or parameter, or handled by
  // policy; the weights are then those before the step.
  Result<StepReport> Step(ThreadPool& pool);

  // Mean loss over the validation sequences' targets; at most `sequences_max` sequences, spread
  // evenly. 0 where there are none.
  // `by_source`, where it is not null, gets the means of each source that has a sequence among them
  // (TrainingSet::sources), where there are several.
  Result<double> Validate(std::int64_t sequences_max, ThreadPool& pool,
                          std::vector<SourceLoss>* by_source = nullptr);

  // Continues `prompt` by n tokens at temperature 0.8, drawn by (seed, step, place).
  std::vector<std::int32_t> Sample(std::vector<std::int32_t> prompt, int n, ThreadPool& pool,
                                   const StopFlag* stop = nullptr);

  // SHA-256 over all weights, tensor after tensor, as the contract writes them; where weights are
  // averaged, of the averaged ones and then the others.
  std::string Digest() const;
  // Of all weights, in f64.
  double WeightNorm() const;

 private:
  Trainer(const Recipe& recipe, const corpus::TrainingSet& data);
  Result<> DrawBatch();
  Result<> CheckPhase(const Recipe& phase, const model::Trainable& trainable);
  void EnterNextPhase();
  void Reserve();
  std::int64_t FirstSequence(int shard) const;
  model::TrainingBatch Batch(std::int64_t first, std::int64_t end) const;  // those sequences
  model::TrainingDropout Dropout() const;
  double ShardInParts(int shard, std::span<float> gradient, ThreadPool& pool);
  double ShardsAtOnce(int first, int n, std::span<float> gradient, ThreadPool& pool);
  Result<double> Gradient(ThreadPool& pool);  // into gradients_[0]; returns the summed loss
  void Merge(const std::vector<float>& from, std::vector<float>& into, ThreadPool& pool);
  Result<> AddOthers(double& loss, ThreadPool& pool);
  void Locate(Spike& spike, ThreadPool& pool);
  Result<StepReport> HandleSpike(StepReport report);
  double GradientNorm(ThreadPool& pool);

  Recipe recipe_;
  std::size_t phase_ = 0;
  std::int64_t first_step_ = 0, tokens_before_ = 0;  // of the phases before
  std::int64_t n_parameters_max_ = 0;
  // A phase each, or one; phases of an adapter share theirs.
  std::vector<std::shared_ptr<model::Trainable>> trainables_;
  const corpus::TrainingSet& data_;
  Workers* workers_ = nullptr;
  std::vector<float> received_;
  model::Trainable* trainable_ = nullptr;
  TrainerState state_;
  std::vector<std::int32_t> tokens_, targets_, first_keys_;
  std::int64_t n_targets_ = 0;                 // that count, of this step
  std::vector<std::vector<float>> gradients_;  // a stack of partial sums of the tree
  std::vector<double> norms_;
  std::unique_ptr<Optimizer> optimizer_;
};

}  // namespace tatara::learn
