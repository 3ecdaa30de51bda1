// From generated ids to the text that may be shown: whole UTF-8 sequences only, cut before a stop
// string, holding back what may still become one. Thread safety: one object per sequence, one
// caller.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/text/tokenizer.h"

namespace tatara::generate {

// The text ends before the stop string whose last byte comes first; of several that end there,
// before the longest. This depends on the text alone, not on how tokens cut it.
class StopFilter {
 public:
  explicit StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // What became final by `text`. After a stop string nothing more comes.
  std::string Push(std::string_view text);
  // What was held back, when no more text comes.
  std::string Flush();
  bool stopped() const { return stopped_; }

 private:
  std::size_t HeldBack() const;

  std::vector<std::string> stops_;
  std::string held_;  // no stop string, but the longest end that may become one
  bool stopped_ = false;
};

class TextOutput {
 public:
  TextOutput(const text::Tokenizer& tokenizer, std::vector<std::string> stops,
             std::vector<std::int32_t> shown_tokens = {})
      : decoder_(tokenizer), filter_(std::move(stops)) {
    decoder_.Show(std::move(shown_tokens));
  }

  std::string Push(std::int32_t id) { return filter_.Push(decoder_.Push(id)); }
  std::string Flush() {
    std::string out = filter_.Push(decoder_.Flush());
    return out + filter_.Flush();
  }
  bool stopped() const { return filter_.stopped(); }

 private:
  text::StreamDecoder decoder_;
  StopFilter filter_;
};

}  // namespace tatara::generate
