#include "tatara/text/tokenizer.h"

#include "gguf_tokenizer.h"
#include "guard_marks.h"
#include "huggingface_tokenizer.h"
#include "sentencepiece_bpe_tokenizer.h"
#include "tatara/base/utf8.h"

namespace tatara::text {

namespace {

// Of a model that only takes and gives ids.
class AbsentTokenizer final : public Tokenizer {
 public:
  std::vector<std::int32_t> Encode(std::string_view, const EncodeOptions&) const override {
    return {};
  }
  std::string TokenBytes(std::int32_t, bool) const override { return {}; }
  std::string Decode(std::span<const std::int32_t>, bool) const override { return {}; }
  std::int32_t vocabulary_size() const override { return 0; }
  bool IsControl(std::int32_t) const override { return false; }
  bool EndsGeneration(std::int32_t) const override { return false; }
  std::int32_t start_id() const override { return -1; }
  std::int32_t end_id() const override { return -1; }
  std::string TokenText(std::int32_t) const override { return {}; }
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::FromMetadata(const Metadata& metadata,
                                                           Absence absence) {
  if (metadata.Has(kHuggingFaceKey)) return MakeHuggingFaceTokenizer(metadata);
  constexpr std::string_view kModel = "tokenizer.ggml.model";
  if (!metadata.Has(kModel)) {
    if (absence == Absence::kAllowed) return std::make_unique<AbsentTokenizer>();
    return Refuse(
        "{0}: there is no tokenizer (neither tokenizer.json nor the key '{1}'); without one only "
        "token ids go in and out",
        metadata.origin(), kModel);
  }
  TATARA_TRY(const std::string model, metadata.String(kModel));
  if (model == "gpt2") return MakeBpeTokenizer(metadata);
  if (model == "llama") return SentencePieceBpeTokenizer::FromMetadata(metadata);
  if (model == "bert") return MakeWordPieceTokenizer(metadata);
  if (model == "t5") return MakeUnigramTokenizer(metadata);
  if (model == "gemma4") return MakeGemma4Tokenizer(metadata);
  return Refuse("{0}: '{1}' is '{2}', which this program does not know (it knows {3})",
                metadata.origin(), kModel, model, "gpt2, llama, bert, t5, gemma4");
}

std::string Tokenizer::Unguarded(std::string_view text) {
  return guard::TakeOut(text, nullptr);
}

std::string StreamDecoder::Push(std::int32_t id) {
  const bool show = std::find(shown_.begin(), shown_.end(), id) != shown_.end();
  // At the start of a text Decode also removes what the vocabulary's convention put there.
  std::string bytes =
      at_start_ ? tokenizer_->Decode(std::span(&id, 1), show) : tokenizer_->TokenBytes(id, show);
  if (at_start_ && !tokenizer_->TokenBytes(id, show).empty()) at_start_ = false;
  pending_ += bytes;
  std::string out;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Sequence sequence = ReadUtf8(rest);
    if (sequence.truncated) break;  // later bytes may complete it
    out.append(sequence.valid ? rest.substr(0, sequence.length) : kReplacement);
    rest.remove_prefix(sequence.length);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return out;
}

std::string StreamDecoder::Flush() {
  std::string out = ReplaceInvalidUtf8(pending_);
  pending_.clear();
  return out;
}

}  // namespace tatara::text
