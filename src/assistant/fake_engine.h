// An engine without a model: bytes are tokens, and a function of the prompt's text writes the
// answer.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tatara/generate/engine.h"
#include "tatara/text/chat_template.h"
#include "tatara/text/tokenizer.h"

namespace tatara::assistant {

// Ids 0..255 are bytes; 256 is the control token "<|end|>"; then three words that are one token
// each, as in real vocabularies.
class ByteTokenizer : public text::Tokenizer {
 public:
  static constexpr std::int32_t kEnd = 256;
  static constexpr std::string_view kEndText = "<|end|>";

  static constexpr std::int32_t kFirstWord = 257;
  static constexpr std::string_view kWords[] = {"はい", "いいえ", "【"};

  std::vector<std::int32_t> Encode(std::string_view text,
                                   const text::EncodeOptions& options) const override {
    std::vector<std::int32_t> ids;
    for (std::size_t i = 0; i < text.size();) {
      std::int32_t id = static_cast<unsigned char>(text[i]);
      std::size_t length = 1;
      if (options.parse_special && text.substr(i).starts_with(kEndText)) {
        id = kEnd;
        length = kEndText.size();
      }
      for (std::size_t w = 0; w < std::size(kWords); ++w) {
        if (!text.substr(i).starts_with(kWords[w])) continue;
        id = kFirstWord + static_cast<std::int32_t>(w);
        length = kWords[w].size();
      }
      ids.push_back(id);
      i += length;
    }
    return ids;
  }
  std::string TokenBytes(std::int32_t id, bool show_special) const override {
    if (id == kEnd) return show_special ? std::string(kEndText) : "";
    if (id >= kFirstWord) return std::string(kWords[id - kFirstWord]);
    return std::string(1, static_cast<char>(id));
  }
  std::string Decode(std::span<const std::int32_t> ids, bool show_special) const override {
    std::string text;
    for (const std::int32_t id : ids) text += TokenBytes(id, show_special);
    return text;
  }
  std::int32_t vocabulary_size() const override { return 260; }
  bool IsControl(std::int32_t id) const override { return id == kEnd; }
  bool EndsGeneration(std::int32_t id) const override { return id == kEnd; }
  std::int32_t start_id() const override { return -1; }
  std::int32_t end_id() const override { return kEnd; }
  std::string TokenText(std::int32_t id) const override { return TokenBytes(id, true); }
};

class FakeEngine : public generate::Engine {
 public:
  struct Answer {
    std::string text;
    double refusal_logprob = -9;
    double check_margin = 5;  // ln(p(yes) / p(no)) where it is asked to look again
  };
  // Of the last user message.
  std::function<Answer(const std::string& last)> model = [](const std::string&) {
    return Answer{};
  };
  std::vector<std::string> prompts;  // decoded, one a request
  generate::ModelFacts facts_{.path = "fake", .context_tokens = 100'000};
  bool has_template = true;

  FakeEngine() : template_(std::move(text::ChatTemplate::Parse("{{ messages }}")).value()) {}

  const generate::ModelFacts& facts() const override { return facts_; }
  const text::Tokenizer& tokenizer() const override { return tokenizer_; }
  const text::ChatTemplate* chat_template() const override {
    return has_template ? &template_ : nullptr;
  }
  const generate::EngineCounters& counters() const override { return counters_; }

  Result<std::string> RenderChat(std::string_view messages_json, std::string_view) const override {
    std::string rendered;
    for (const auto& message : nlohmann::json::parse(messages_json)) {
      rendered += message["role"].get<std::string>() + "\x02" +
                  message["content"].get<std::string>() + std::string(ByteTokenizer::kEndText);
    }
    return rendered + "assistant\x02";
  }
  std::vector<std::int32_t> EncodeRendered(std::string_view rendered) const override {
    return tokenizer_.Encode(rendered, {.add_start = false, .parse_special = true});
  }

  Result<generate::RequestId> Submit(
      generate::Request request, generate::OnText on_text,
      std::function<void(Result<generate::Completion>)> done) override {
    queue_.push_back({std::move(request), std::move(on_text), std::move(done)});
    return static_cast<generate::RequestId>(queue_.size());
  }
  void Cancel(generate::RequestId) override {}

  bool Step() override {
    if (queue_.empty()) return false;
    Job job = std::move(queue_.front());
    queue_.pop_front();
    prompts.push_back(tokenizer_.Decode(job.request.prompt, true));
    const std::string& prompt = prompts.back();
    const std::size_t user = prompt.rfind("user\x02");
    const std::size_t end = prompt.rfind(ByteTokenizer::kEndText);
    const Answer answer =
        model(user == std::string::npos ? "" : prompt.substr(user + 5, end - user - 5));

    generate::Completion completion{.prompt_tokens = static_cast<int>(job.request.prompt.size())};
    if (job.request.top_logprobs > 0) {
      generate::TokenLogprob first;
      first.top = {{tokenizer_.Encode("【", {}).front(), answer.refusal_logprob}};
      for (const char* yes : {"はい", "Yes"})
        first.top.emplace_back(tokenizer_.Encode(yes, {}).front(), -2 + answer.check_margin);
      for (const char* no : {"いいえ", "No"})
        first.top.emplace_back(tokenizer_.Encode(no, {}).front(), -2.0);
      completion.logprobs.push_back(first);
    }
    // Byte by byte, but whole characters only, as the engine promises.
    std::string piece;
    for (std::size_t i = 0; i < answer.text.size(); ++i) {
      if (static_cast<int>(completion.token_ids.size()) >= job.request.tokens_max) {
        completion.finish_reason = generate::FinishReason::kLength;
        break;
      }
      completion.token_ids.push_back(static_cast<unsigned char>(answer.text[i]));
      piece += answer.text[i];
      const bool whole = i + 1 == answer.text.size() ||
                         (static_cast<unsigned char>(answer.text[i + 1]) & 0xC0) != 0x80;
      if (!whole) continue;
      completion.text += piece;
      const bool go_on = !job.on_text || job.on_text(piece);
      piece.clear();
      if (!go_on) {
        completion.finish_reason = generate::FinishReason::kCancelled;
        break;
      }
    }
    job.done(std::move(completion));
    return true;
  }

  Result<std::vector<float>> Logits(std::span<const std::int32_t>) override {
    return std::vector<float>(260);
  }
  Result<std::vector<float>> AllLogits(std::span<const std::int32_t>) override {
    return std::vector<float>();
  }

 private:
  struct Job {
    generate::Request request;
    generate::OnText on_text;
    std::function<void(Result<generate::Completion>)> done;
  };
  ByteTokenizer tokenizer_;
  text::ChatTemplate template_;
  generate::EngineCounters counters_;
  std::deque<Job> queue_;
};

}  // namespace tatara::assistant
