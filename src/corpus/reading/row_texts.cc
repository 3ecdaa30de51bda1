#include "tatara/corpus/row_texts.h"

#include <utility>

#include "json_text.h"

namespace tatara::corpus {
namespace {

class RowTexts final : public TextStream {
 public:
  RowTexts(const PrepareOptions& options, const FoundFiles& found)
      : options_(options), files_(found.files) {
    for (const PreparedFile& file : files_) {
      inputs_.push_back({file.shown, file.sha256, file.n_bytes});
      bytes_total_ += file.n_bytes;
    }
  }

  Result<bool> Next(std::string& text) override {
    while (waiting_.empty()) {
      if (rows_ == nullptr) {
        if (next_ == files_.size()) return false;
        TATARA_TRY(rows_, OpenRows(files_[next_].path, Reading()));
      }
      TATARA_TRY(const RowReader::Next row, rows_->Read());
      if (std::holds_alternative<std::monostate>(row)) {
        bytes_read_ += files_[next_++].n_bytes;
        rows_ = nullptr;
      } else if (const auto* found = std::get_if<Row>(&row)) {
        Take(*found);
      }
    }
    text = std::move(waiting_.back());
    waiting_.pop_back();
    return true;
  }

  std::uint64_t bytes_read() const override { return bytes_read_; }
  std::uint64_t bytes_total() const override { return bytes_total_; }
  const std::vector<Input>& inputs() const override { return inputs_; }

 private:
  const ReadingOptions& Reading() const { return options_.sources[files_[next_].source].reading; }

  void Take(const Row& row) {
    auto record = Interpret(row, Reading());
    if (!std::holds_alternative<Record>(record)) return;
    AppendTexts(Normalised(std::move(std::get<Record>(record))), waiting_);
  }

  const PrepareOptions& options_;
  std::vector<PreparedFile> files_;
  std::vector<Input> inputs_;
  std::size_t next_ = 0;
  std::unique_ptr<RowReader> rows_;
  std::vector<std::string> waiting_;
  std::uint64_t bytes_read_ = 0, bytes_total_ = 0;
};

}  // namespace

void AppendTexts(Record record, std::vector<std::string>& texts) {
  if (auto* text = std::get_if<std::string>(&record)) {
    texts.push_back(std::move(*text));
    return;
  }
  const auto messages = ParseJson(std::get<Conversation>(record).messages_json);
  if (!messages || !messages->is_array()) return;
  for (const Json& message : *messages) {
    const auto content = message.find("content");
    if (content != message.end() && content->is_string()) {
      texts.push_back(content->get<std::string>());
    }
  }
}

std::unique_ptr<TextStream> TextsOf(const PrepareOptions& options, const FoundFiles& found) {
  return std::make_unique<RowTexts>(options, found);
}

}  // namespace tatara::corpus
