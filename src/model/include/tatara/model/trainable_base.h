// Training from weights that are there: all of them (full tuning), or an adapter of low rank beside
// frozen ones (LoRA, DoRA, and QLoRA, where the frozen matrices stay as the file has them and are
// dequantised tile by tile while they are multiplied).
//
// With W (n_out x n_in) the frozen matrix, A (rank x n_in), B (n_out x rank), s = alpha / rank:
//   LoRA   y = fma(s, B (A drop(x)), W x)      Hu et al. 2021, arXiv:2106.09685
//   DoRA   y = (magnitude / |W + s B A|) * that, row by row; the norm counts as constant in the
//          gradient; Liu et al. 2024, arXiv:2402.09353, section 4.3
// The same chains as a hot adapter's (model/adapter.h): the tuned model that runs on its f32 path
// gives the trainer's logits, bit for bit. Tiles cut outputs or continue chains over them, so a
// quantised base gives the bits of the same weights held in f32.
//
// Thread safety: free functions. Ownership: a Trainable over a base keeps the store.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/trainable.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::model {

// The shape of a model's weights. Refused, naming what: an architecture that is not trained here,
// keys that ask for something the trainer does not compute, tensors that are missing or too many.
Result<TrainableShape> ShapeOf(const weights::TensorStore& store);

// All weights of the store, dequantised, into the trainable's array; its shape is ShapeOf(store).
Result<> TakeWeights(const weights::TensorStore& store, const Trainable& trainable,
                     std::span<float> weights, ThreadPool& pool);

struct AdapterShape {
  int rank = 8;
  double alpha = 16;
  double dropout = 0;  // of the adapter's input, keyed by place
  bool dora = false;
  // Of the block's matrices by GGUF's names ("attn_q"); empty: all that the family has.
  std::vector<std::string> targets;
  bool quantised_base = false;  // QLoRA
};

// A Trainable whose parameters are the adapter's only: "blk.0.attn_q.weight.lora_a", ".lora_b" and
// for DoRA ".lora_magnitude", in the order of the model's matrices.
Result<std::unique_ptr<Trainable>> MakeAdapterTrainable(
    std::shared_ptr<const weights::TensorStore> base, const AdapterShape& adapter,
    const TrainableOptions& options, ThreadPool& pool);

}  // namespace tatara::model
