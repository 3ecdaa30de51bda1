// libFuzzer target: keys and tensors of every architecture, spoiled. Whatever a file says, its
// model is refused or runs. The models are the tiny ones of the test data (TATARA_TEST_DATA), each
// with a few changes read from the input; load_fuzz does the same to models of its own making.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "changed_store.h"
#include "fuzz_input.h"
#include "tatara/base/check.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/encoder.h"
#include "tatara/model/model.h"

namespace {

using tatara::Metadata;
using namespace tatara::model;  // NOLINT: a program of one file
using tatara::model::test::FuzzInput;
using tatara::model::test::kOddNumbers;
using tatara::test::ChangedStore;
using StorePtr = std::shared_ptr<const tatara::weights::TensorStore>;

constexpr std::array kStrings = {"none", "linear", "yarn", "longrope", "llama3", "", "\n\xff"};
// Keys that a model may have and the tiny ones mostly have not.
constexpr std::array kMoreKeys = {
    "rope.scaling.type", "rope.scaling.factor",          "rope.scaling.original_context_length",
    "logit_scale",       "attn_logit_softcapping",       "attention.sliding_window",
    "expert_count",      "attention.temperature_length", "pooling_type",
    "residual_scale",    "attention.head_count_kv",      "rope.dimension_sections"};

std::vector<StorePtr> OpenAll() {
  const char* data = std::getenv("TATARA_TEST_DATA");
  const std::filesystem::path folder =
      std::filesystem::path(data == nullptr ? "../shared/data" : data) / "golden/arch";
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".gguf") files.push_back(entry.path());
  }
  std::ranges::sort(files);  // an input means the same model everywhere
  std::vector<StorePtr> stores;
  for (const auto& file : files) {
    auto store = tatara::weights::OpenTensorStore(file);
    TATARA_CHECK(store.ok());
    stores.push_back(std::move(store).value());
  }
  TATARA_CHECK(!stores.empty());
  return stores;
}

Metadata::Value AnyValue(FuzzInput& in) {
  switch (in.Byte() % 8) {
    case 0:
      return std::uint64_t{in.Byte()};
    case 1:
      return std::uint64_t{in.Byte()} << (in.Byte() % 57);
    case 2:
      return -std::int64_t{in.Byte()};
    case 3:
      return in.Pick(kOddNumbers);
    case 4:
      return std::string(kStrings[in.Byte() % kStrings.size()]);
    case 5:
      return (in.Byte() & 1) != 0;
    case 6: {
      std::vector<double> values(in.Byte() % 6);
      for (double& v : values) v = in.Pick(kOddNumbers);
      return values;
    }
    default: {
      std::vector<std::int64_t> values(in.Byte() % 8);
      for (std::int64_t& v : values) v = static_cast<std::int8_t>(in.Byte());
      return values;
    }
  }
}

template <typename Map>
const std::string& KeyAt(const Map& map, std::size_t index) {
  auto it = map.begin();
  std::advance(it, static_cast<std::ptrdiff_t>(index));
  return it->first;
}

void SpoilShape(FuzzInput& in, tatara::weights::TensorView& view) {
  // The data stays as long as it is, so a shape may only be as big or smaller.
  const std::int64_t before = view.shape[0] * view.shape[1] * view.shape[2] * view.shape[3];
  auto shape = view.shape;
  switch (in.Byte() % 3) {
    case 0:
      std::swap(shape[0], shape[1]);
      break;
    case 1:
      std::swap(shape[1], shape[2]);
      break;
    default:
      shape[in.Byte() % 3] = 1 + in.Byte() % 64;
  }
  const std::int64_t block = tatara::numerics::TraitsOf(view.dtype).block_elements;
  const std::int64_t after = shape[0] * shape[1] * shape[2] * shape[3];
  if (after > before || shape[0] % block != 0) return;
  view.shape = shape;
  view.n_dims = shape[2] > 1 ? 3 : (shape[1] > 1 ? 2 : 1);
  view.data =
      view.data.first(static_cast<std::size_t>(tatara::numerics::StorageBytes(view.dtype, after)));
}

void Spoil(FuzzInput& in, const std::string& architecture, ChangedStore& store) {
  const auto& keys = store.metadata().values();
  switch (in.Byte() % 6) {
    case 0:
    case 1:
      store.Set(KeyAt(keys, in.Below(keys.size())), AnyValue(in));
      return;
    case 2:
      store.Set(architecture + "." + kMoreKeys[in.Byte() % kMoreKeys.size()], AnyValue(in));
      return;
    case 3:
      if (!store.tensors().empty())
        store.Remove(std::string(KeyAt(store.tensors(), in.Below(store.tensors().size()))));
      return;
    case 4:
      if (!store.tensors().empty())
        SpoilShape(in,
                   store.At(std::string(KeyAt(store.tensors(), in.Below(store.tensors().size())))));
      return;
    default: {  // one tensor in another's place, or under a name that only some models have
      if (store.tensors().empty()) return;
      constexpr std::array kNames = {"output.weight",     "rope_freqs.weight",
                                     "blk.0.attn_q.bias", "blk.0.attn_sinks.weight",
                                     "cls.weight",        "blk.0.ffn_gate_shexp.weight"};
      const auto view =
          store.At(std::string(KeyAt(store.tensors(), in.Below(store.tensors().size()))));
      const std::size_t to = in.Below(store.tensors().size() + kNames.size());
      store.Add(
          to < kNames.size() ? std::string(kNames[to]) : KeyAt(store.tensors(), to - kNames.size()),
          view);
    }
  }
}

void RunDecoder(Model& model, tatara::ThreadPool& pool) {
  const int page_tokens = model.info().page_tokens;
  if (KvPool::BytesPerPage(model.info().cache, model.cache_type(), page_tokens) > (1U << 26))
    return;
  const auto kv = KvPool::Make(model.info().cache, model.cache_type(), 2, page_tokens);
  if (!kv.ok()) return;
  const std::int64_t start = page_tokens - 2;  // over a page's end
  const std::vector<int> pages = {1, 0};
  std::vector<float> logits(2 * static_cast<std::size_t>(model.info().n_vocab));
  std::vector<std::int32_t> before(static_cast<std::size_t>(start), 1 % model.info().n_vocab);
  const std::vector<std::int32_t> tokens = {0, model.info().n_vocab - 1, 0}, rows = {0, 2};
  // Recurrent layers want every token from the first one on.
  const SequenceSlice first{before, 0, pages, {}}, then{tokens, start, pages, rows};
  if (start > 0) model.Forward({&first, 1}, **kv, pool, {});
  model.Forward({&then, 1}, **kv, pool, logits);
}

void RunEncoder(Encoder& encoder, tatara::ThreadPool& pool) {
  const std::vector<std::int32_t> tokens = {0, encoder.info().n_vocab - 1, 0};
  const EncoderInput input{std::span(tokens).first(static_cast<std::size_t>(
                               std::min<std::int64_t>(3, encoder.info().n_ctx))),
                           1};
  const Pooling pooling = encoder.info().pooling;
  const auto rows = static_cast<std::size_t>(Encoder::OutputRows({&input, 1}, pooling));
  std::vector<float> out(rows * static_cast<std::size_t>(encoder.info().n_embd));
  static_cast<void>(encoder.Encode({&input, 1}, pooling, pool, out));
  if (encoder.info().n_classes == 0) return;
  std::vector<float> scores(static_cast<std::size_t>(encoder.info().n_classes));
  static_cast<void>(encoder.Classify({&input, 1}, pool, scores));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<StorePtr> kStores = OpenAll();
  static tatara::ThreadPool pool(1);
  FuzzInput in(data, std::min<std::size_t>(size, 64));
  const StorePtr& original = kStores[in.Byte() % kStores.size()];
  const auto store = std::make_shared<ChangedStore>(original);
  const std::string architecture = original->metadata().String("general.architecture").value();
  while (!in.empty()) Spoil(in, architecture, *store);
  const auto activations =
      size % 2 == 0 ? tatara::numerics::Activations::kInt8 : tatara::numerics::Activations::kF32;
  const bool encodes = Encoder::IsEncoder(store->metadata());
  if (encodes) {
    const auto encoder = Encoder::Load(store, {.activations = activations}, pool);
    if (encoder.ok()) RunEncoder(**encoder, pool);
    return 0;
  }
  const auto model = Model::Load(store, {.activations = activations}, pool);
  if (model.ok()) RunDecoder(**model, pool);
  return 0;
}
