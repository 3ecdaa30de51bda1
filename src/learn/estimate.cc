#include "tatara/learn/estimate.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <memory>
#include <numeric>

#include "base_model.h"
#include "estimate_measure.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/training_flops.h"

namespace tatara::learn {
namespace {

constexpr double kPassFlopsMax = 6e10;   // of a pass that is measured as it is: about a second
constexpr double kCheckpointBytes = 12;  // a value: its weight and two moments
constexpr double kSecondsOfHour = 3600;

struct Batch {
  double n_shards = 0;         // that are not empty
  std::int64_t n_largest = 0;  // sequences of the largest micro-batch
  double n_passes = 0;         // as if all were of that size
};

Batch BatchOf(const Recipe& recipe) {
  const TrainingRecipe& t = recipe.training;
  Batch batch;
  for (std::int64_t shard = 0; shard < t.virtual_shards; ++shard) {
    const std::int64_t n =
        (shard + 1) * t.batch / t.virtual_shards - shard * t.batch / t.virtual_shards;
    if (n == 0) continue;
    ++batch.n_shards;
    const std::int64_t most =
        recipe.run.micro_batch == 0 ? n : std::min<std::int64_t>(n, recipe.run.micro_batch);
    batch.n_largest = std::max(batch.n_largest, most);
  }
  batch.n_passes = static_cast<double>(t.batch) / static_cast<double>(batch.n_largest);
  return batch;
}

class Estimator {
 public:
  Estimator(Recipe recipe, const EstimateOptions& options)
      : recipe_(std::move(recipe)), options_(options), pool_(options.n_threads) {}

  Result<Estimate> Go() {
    TATARA_RETURN_IF_ERROR(Open());
    Count();
    const ProcessBytes before = MeasureProcess();
    const auto start = std::chrono::steady_clock::now();
    CountTime();
    estimate_.measured_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    CountMemory(before);
    CountCosts();
    estimate_.loss = ExpectLoss(static_cast<double>(estimate_.n_parameters), estimate_.tokens,
                                recipe_.model.n_vocab);
    return estimate_;
  }

 private:
  // The data where it is here: its vocabulary and how much of it validates.
  Result<> Open() {
    if (recipe_.adapter.kind != AdapterKind::kNone) {
      return Refuse("recipe '{0}': what an adapter's training takes is not estimated",
                    recipe_.name);
    }
    TATARA_RETURN_IF_ERROR(ResolveBase(recipe_));
    auto data = OpenData(recipe_, 1);
    if (data.ok()) {
      n_validation_ = static_cast<double>((*data)->n_validation(recipe_.training.context));
      data_ = std::move(*data);
    } else if (recipe_.model.n_vocab == 0) {
      return data.error();
    } else {
      estimate_.notes.push_back(Tr(
          "the data is not here: what it takes in memory and the last validation are not counted"));
    }
    TATARA_TRY(trainable_,
               model::Trainable::Make(recipe_.model, {.recompute = recipe_.run.recompute}));
    return Ok{};
  }

  void Count() {
    const TrainingRecipe& t = recipe_.training;
    const double step_tokens = static_cast<double>(t.batch) * t.context;
    estimate_.n_parameters = trainable_->n_parameters();
    estimate_.tokens = recipe_.estimate.tokens > 0 ? recipe_.estimate.tokens
                                                   : static_cast<double>(t.steps) * step_tokens;
    estimate_.steps = estimate_.tokens / step_tokens;
    estimate_.kernel_flops_per_step = model::TrainingFlops(*trainable_, PassOf(t.batch));
    estimate_.flops = estimate_.kernel_flops_per_step * estimate_.steps;
  }

  model::CountedPass PassOf(std::int64_t n_sequences) const {
    return {.n_sequences = n_sequences,
            .n_tokens = recipe_.training.context,
            .recompute = recipe_.run.recompute,
            .attention_drops = recipe_.training.attention_dropout > 0};
  }

  PassSeconds Measure(const Batch& batch) {
    const std::int64_t context = recipe_.training.context;
    const double flops = model::TrainingFlops(*trainable_, PassOf(batch.n_largest));
    const double bytes =
        4.0 * static_cast<double>(trainable_->n_values() + trainable_->n_gradient_values()) +
        ActivationBytes(batch);
    estimate_.by_kernels =
        options_.by_kernels || flops > kPassFlopsMax || bytes > MachineBytes() / 4;
    return estimate_.by_kernels
               ? MeasureKernels(*trainable_, recipe_.run.recompute, batch.n_largest, context, pool_)
               : MeasurePass(*trainable_, batch.n_largest, context, pool_);
  }

  void CountTime() {
    const Batch batch = BatchOf(recipe_);
    const PassSeconds pass = Measure(batch);
    const auto n_values = static_cast<double>(trainable_->n_values());
    const auto n_gradient = static_cast<double>(trainable_->n_gradient_values());
    const OptimizerSeconds optimizer = MeasureOptimizer(n_values, pool_);
    EstimatedTime& time = estimate_.time;
    time.passes = estimate_.steps * batch.n_passes * pass.train;
    time.optimizer =
        estimate_.steps * (recipe_.training.virtual_shards * n_gradient * optimizer.clear +
                           (recipe_.training.virtual_shards - 1) * n_values * optimizer.add +
                           n_values * optimizer.finish);
    if (recipe_.optimizer.kind == OptimizerKind::kMuon) {
      time.optimizer += estimate_.steps * MeasureMuon(*trainable_, pool_);
    }
    estimate_.flops_per_second = estimate_.flops / time.passes;
    CountWatching(pass.forward);
  }

  // Validations, samples and checkpoints; `forward` is a pass over one sequence.
  void CountWatching(double forward) {
    const RunRecipe& r = recipe_.run;
    const double steps = estimate_.steps, context = recipe_.training.context;
    const double n_validations = std::floor(steps / static_cast<double>(r.validate_every));
    EstimatedTime& time = estimate_.time;
    time.validation =
        forward *
        (n_validations * std::min<double>(r.validation_sequences, n_validation_) + n_validation_);
    // Token i looks at the last `context` tokens again.
    const double n_whole = std::max(0.0, r.sample_tokens - context);
    const double n_growing = std::min<double>(r.sample_tokens, context);
    time.samples = std::floor(steps / static_cast<double>(r.sample_every)) * forward *
                   (n_whole + n_growing * (n_growing + 1) / 2 / context);
    // Every validation may be the best so far, and then is kept.
    const auto both = static_cast<double>(std::lcm(r.validate_every, r.checkpoint_every));
    const double n_checkpoints = 1 + std::floor(steps / static_cast<double>(r.checkpoint_every)) +
                                 (n_validation_ > 0 ? n_validations - std::floor(steps / both) : 0);
    const double disk = MeasureDisk(options_.out.empty() ? "." : options_.out);
    if (disk == 0) {
      estimate_.notes.push_back(
          Tr("{0} can not be written to: what checkpoints take is counted without the disk",
             options_.out.empty() ? "." : options_.out.string()));
    }
    const double values = static_cast<double>(trainable_->n_values());
    time.checkpoints = n_checkpoints * values *
                       (kCheckpointBytes * (disk + MeasureHash()) + sizeof(float) * MeasureHash());
  }

  double ActivationBytes(const Batch& batch) const {
    return trainable_->ActivationBytes(
        static_cast<double>(batch.n_largest) * recipe_.training.context, recipe_.run.recompute);
  }

  void CountMemory(const ProcessBytes& before) {
    const auto n_values = static_cast<double>(trainable_->n_values());
    const double n_gradients =
        std::countr_zero(static_cast<unsigned>(recipe_.training.virtual_shards)) + 1;
    EstimatedMemory& memory = estimate_.memory;
    memory.process = before.now;
    const OptimizerRecipe& o = recipe_.optimizer;
    const double n_averages = o.average == Average::kNone  ? 0
                              : o.average == Average::kEma ? 1
                                                           : 1.0 + o.average_count;
    memory.weights = (12 + 4 * n_averages) * n_values;
    memory.gradients = 4 * n_gradients * static_cast<double>(trainable_->n_gradient_values());
    memory.activations = ActivationBytes(BatchOf(recipe_));
    // The optimizer's file, whole.
    memory.writing = (8 + 4 * n_averages) * n_values;
    memory.process += std::max(0.0, before.peak - memory.all());
    estimate_.machine_bytes = MachineBytes();
  }

  void CountCosts() {
    const EstimateRecipe& e = recipe_.estimate;
    const auto cost = [](double seconds, double watts, double price_kwh, double price_hour) {
      EstimatedCost cost{.seconds = seconds};
      cost.kilowatt_hours = watts * seconds / kSecondsOfHour / 1000;
      cost.money = cost.kilowatt_hours * price_kwh + seconds / kSecondsOfHour * price_hour;
      return cost;
    };
    estimate_.here = cost(estimate_.time.all(), e.watts, e.price_kwh, e.price_hour);
    if (e.devices == 0 || e.device_flops == 0) return;
    // What the field calls utilisation counts a backward pass as two forward ones, and no
    // recomputation.
    const double flops = 3 * estimate_.steps *
                         model::TrainingFlops(*trainable_, {.n_sequences = recipe_.training.batch,
                                                            .n_tokens = recipe_.training.context,
                                                            .backward = false});
    const double seconds = flops / (e.devices * e.device_flops * e.utilisation);
    estimate_.devices =
        cost(seconds, e.devices * e.device_watts, e.price_kwh, e.devices * e.device_price_hour);
  }

  Recipe recipe_;
  const EstimateOptions& options_;
  ThreadPool pool_;
  std::unique_ptr<corpus::TrainingSet> data_;
  std::unique_ptr<model::Trainable> trainable_;
  double n_validation_ = 0;
  Estimate estimate_;
};

}  // namespace

Result<Estimate> EstimateRun(Recipe recipe, const EstimateOptions& options) {
  Estimator estimator(std::move(recipe), options);
  return estimator.Go();
}

}  // namespace tatara::learn
