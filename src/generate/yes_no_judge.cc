#include "yes_no_judge.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "tatara/numerics/functions.h"

namespace tatara::generate {
namespace {

constexpr std::string_view kBefore =
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and "
    "the "
    "Instruct provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n"
    "<|im_start|>user\n";
constexpr std::string_view kInstruct =
    "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
    "<Query>: ";
constexpr std::string_view kDocument = "\n<Document>: ";
constexpr std::string_view kAfter = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
constexpr std::string_view kArchitecture = "qwen3";
constexpr std::string_view kHead = "cls.output.weight";

// A store with one matrix and its keys more.
class StoreWithHead final : public weights::TensorStore {
 public:
  StoreWithHead(std::shared_ptr<const weights::TensorStore> store, std::vector<std::byte> rows,
                weights::TensorView view)
      : store_(std::move(store)),
        rows_(std::move(rows)),
        metadata_(store_->metadata()),
        tensors_(store_->tensors()) {
    view.data = rows_;
    const auto at = tensors_.insert_or_assign(std::string(kHead), view).first;
    at->second.name = at->first;
    const std::string prefix = std::string(kArchitecture) + ".";
    metadata_.Set(prefix + "pooling_type", std::uint64_t{4});
    metadata_.Set(prefix + "classifier.output_labels", std::vector<std::string>{"yes", "no"});
  }
  const Metadata& metadata() const override { return metadata_; }
  const std::map<std::string, weights::TensorView, std::less<>>& tensors() const override {
    return tensors_;
  }
  const std::filesystem::path& path() const override { return store_->path(); }

 private:
  std::shared_ptr<const weights::TensorStore> store_;
  std::vector<std::byte> rows_;
  Metadata metadata_;
  std::map<std::string, weights::TensorView, std::less<>> tensors_;
};

}  // namespace

bool IsYesNoJudge(const Metadata& metadata) {
  const auto architecture = metadata.StringOr("general.architecture", "");
  auto name = metadata.StringOr("general.name", "");
  if (!architecture.ok() || *architecture != kArchitecture || !name.ok()) return false;
  if (metadata.Has(std::string(kArchitecture) + ".pooling_type")) return false;
  std::ranges::transform(*name, name->begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return name->find("reranker") != std::string::npos;
}

Result<std::shared_ptr<const weights::TensorStore>> WithYesNoHead(
    std::shared_ptr<const weights::TensorStore> store, const text::Tokenizer& tokenizer) {
  if (!IsYesNoJudge(store->metadata())) return store;
  const weights::TensorView* head = store->Find("output.weight");
  if (head == nullptr) head = store->Find("token_embd.weight");
  if (head == nullptr) return store;  // which the model refuses by name
  std::vector<std::byte> rows;
  const auto row_bytes =
      static_cast<std::size_t>(numerics::StorageBytes(head->dtype, head->n_cols()));
  for (const char* word : {"yes", "no"}) {
    const auto ids = tokenizer.Encode(word, {.add_start = false});
    if (ids.size() != 1 || ids[0] < 0 || ids[0] >= head->n_rows()) {
      return Refuse(
          "{0}: '{1}' is no token of the model's, by which a reranker of this kind answers",
          store->path().string(), word);
    }
    const auto row = head->data.subspan(static_cast<std::size_t>(ids[0]) * row_bytes, row_bytes);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  weights::TensorView view = *head;
  view.n_dims = 2;
  view.shape = {head->n_cols(), 2, 1, 1};
  return std::shared_ptr<const weights::TensorStore>(
      std::make_shared<StoreWithHead>(std::move(store), std::move(rows), view));
}

YesNo YesNoOf(const std::vector<std::string>& class_labels) {
  if (class_labels == std::vector<std::string>{"yes", "no"}) return {.yes = 0, .no = 1};
  if (class_labels == std::vector<std::string>{"no", "yes"}) return {.yes = 1, .no = 0};
  return {};
}

Result<std::vector<std::int32_t>> YesNoPrompt(const text::Tokenizer& tokenizer,
                                              const std::string& query, const std::string& passage,
                                              std::size_t n_max) {
  const auto frame = [&](std::string_view text) {
    return tokenizer.Encode(text, {.add_start = false, .parse_special = true});
  };
  const auto own = [&](const std::string& text) {
    return tokenizer.Encode(std::string(kInstruct) + query + std::string(kDocument) + text,
                            {.add_start = false});
  };
  std::vector<std::int32_t> ids = frame(kBefore);
  const std::vector<std::int32_t> after = frame(kAfter);
  std::vector<std::int32_t> middle = own(passage);
  const std::size_t n_frame = ids.size() + after.size();
  if (n_frame + middle.size() > n_max) {
    const std::size_t n_query = n_frame + own("").size();
    if (n_query + 1 > n_max) {
      return Refuse("the query takes {0} of the {1} tokens that the model reads at once", n_query,
                    n_max);
    }
    middle.resize(n_max - n_frame);
  }
  ids.insert(ids.end(), middle.begin(), middle.end());
  ids.insert(ids.end(), after.begin(), after.end());
  return ids;
}

double YesShare(float yes, float no) {
  return 1 / (1 + numerics::ExpF64(static_cast<double>(no) - static_cast<double>(yes)));
}

}  // namespace tatara::generate
