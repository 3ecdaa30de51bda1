#include "tatara/text/answer_parser.h"

#include <algorithm>
#include <utility>

#include "answer/bodies.h"
#include "answer/forms.h"

namespace tatara::text {
namespace {

using answer::Body;
using answer::Form;

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::size_t kHeadBytesMax =
    1024;  // of a name before its arguments, of a message's header
constexpr std::size_t kCompactBytes = 1 << 16;

constexpr std::string_view kStart = "<|start|>", kChannel = "<|channel|>", kMessage = "<|message|>";
constexpr std::string_view kMessageEnds[] = {"<|end|>", "<|call|>", "<|return|>"};

// How much of the end of `text` may be the beginning of `marker`.
std::size_t PartialAtEnd(std::string_view text, std::string_view marker) {
  for (std::size_t n = std::min(text.size(), marker.size() - 1); n > 0; --n) {
    if (text.ends_with(marker.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

void AnswerParts::Append(AnswerParts more) {
  content += more.content;
  thinking += more.thinking;
  calls.insert(calls.end(), std::make_move_iterator(more.calls.begin()),
               std::make_move_iterator(more.calls.end()));
}

// Reads what is certain whatever comes next, and keeps the rest. `text_` from `at_` on has not been
// read; a section that is being read begins there, after its marker.
class AnswerParser::Machine {
 public:
  Machine(AnswerFormat format, const Options& options)
      : format_(std::move(format)),
        texts_(answer::TextParametersOf(options.tools_json)),
        control_markers_(options.control_markers) {
    for (const std::size_t row : format_.rows_) {
      const Form* form = &answer::Forms()[row];
      markers_.push_back({form->open, form});
      if (options.starts_thinking && form->body == Body::kThinking && form_ == nullptr) {
        form_ = form;
        state_ = State::kThinking;
        skips_space_ = true;
      }
    }
    if (format_.harmony_) {
      for (const std::string_view marker : {kStart, kChannel})
        markers_.push_back({marker, nullptr});
      for (const std::string_view marker : kMessageEnds) markers_.push_back({marker, nullptr});
    }
    for (const std::string& marker : control_markers_) {
      const auto is_it = [&](const Marker& known) { return known.text == marker; };
      if (std::none_of(markers_.begin(), markers_.end(), is_it)) {
        markers_.push_back({marker, &kNothing});
      }
    }
    bare_ = format_.bare_calls_;
  }

  AnswerParts Push(std::string_view more) {
    text_ += more;
    while (Step(/*final=*/false)) {
    }
    if (at_ > kCompactBytes) {
      text_.erase(0, at_);
      searched_ -= std::min(searched_, at_);
      at_ = 0;
    }
    return std::exchange(parts_, {});
  }

  AnswerParts Finish() {
    while (Step(/*final=*/true)) {
    }
    if (state_ == State::kText && !skips_space_) parts_.content += held_;
    held_.clear();
    return std::exchange(parts_, {});
  }

 private:
  enum class State { kText, kThinking, kCall, kBare, kHeader, kMessage };
  enum class Message { kContent, kThinking, kCall };
  struct Marker {
    std::string_view text;
    const Form* form;  // null: of a harmony message
  };

  static constexpr Form kNothing = {Body::kDropped, "", "", "", ""};

  std::string_view rest() const { return std::string_view(text_).substr(at_); }

  bool Step(bool final) {
    switch (state_) {
      case State::kText:
        return StepText(final);
      case State::kThinking:
        return StepThinking(final);
      case State::kCall:
        return StepCall(final);
      case State::kBare:
        return StepBare(final);
      case State::kHeader:
        return StepHeader(final);
      case State::kMessage:
        return StepMessage(final);
    }
    return false;
  }

  // Appends to `to` what is not white space that a section may swallow.
  void Emit(std::string_view more, std::string& to) {
    if (skips_space_) {
      const std::size_t first = more.find_first_not_of(kSpace);
      if (first == more.npos) return;
      more.remove_prefix(first);
      skips_space_ = false;
    }
    const std::size_t last = more.find_last_not_of(kSpace);
    if (last == more.npos) {
      held_ += more;
      return;
    }
    to += held_;
    to += more.substr(0, last + 1);
    held_ = more.substr(last + 1);
  }

  void EnterSection(State state) {
    state_ = state;
    searched_ = at_;
    reach_ = {};
  }

  void LeaveSection(std::size_t end) {
    at_ = end;
    state_ = State::kText;
    held_.clear();
    skips_space_ = true;
  }

  void Take(std::vector<ToolCall> calls, std::size_t end) {
    parts_.calls.insert(parts_.calls.end(), std::make_move_iterator(calls.begin()),
                        std::make_move_iterator(calls.end()));
    LeaveSection(end);
  }

  // The section is none: its marker is text.
  bool GiveUp() {
    state_ = State::kText;
    skips_space_ = skipped_before_;
    held_ = held_before_;
    if (!IsControl(marker_)) Emit(marker_, parts_.content);
    return true;
  }
  bool IsControl(std::string_view marker) const {
    return std::find(control_markers_.begin(), control_markers_.end(), marker) !=
           control_markers_.end();
  }

  bool StepText(bool final) {
    const std::string_view unread = rest();
    if (bare_) {
      const std::size_t first = unread.find_first_not_of(kSpace);
      if (first == unread.npos && !final) return false;
      const char c = first == unread.npos ? '\0' : unread[first];
      if (c == ';' && !parts_begun_) bare_ = false;
      if (c == '{') {
        Emit(unread.substr(0, first), parts_.content);
        at_ += first;
        EnterSection(State::kBare);
        return true;
      }
      if (c == ';' && bare_) {  // between two calls
        at_ += first + 1;
        return true;
      }
      bare_ = false;
    }
    std::size_t end = 0;
    const Marker* found = FindMarker(unread, final, end);
    Emit(unread.substr(0, end), parts_.content);
    at_ += end;
    if (found == nullptr) return false;
    Open(*found);
    return true;
  }

  // The first marker in `unread`, at `end`; without one, `end` is where one may be beginning.
  const Marker* FindMarker(std::string_view unread, bool final, std::size_t& end) const {
    for (end = unread.find_first_of("<["); end != unread.npos;
         end = unread.find_first_of("<[", end + 1)) {
      const std::string_view here = unread.substr(end);
      const Marker* longest = nullptr;
      bool may_grow = false;
      for (const Marker& marker : markers_) {
        if (here.starts_with(marker.text)) {
          if (longest == nullptr || marker.text.size() > longest->text.size()) longest = &marker;
        } else if (marker.text.starts_with(here)) {
          may_grow = true;
        }
      }
      if (may_grow && !final) return nullptr;
      if (longest != nullptr) return longest;
    }
    end = unread.size();
    return nullptr;
  }

  void Open(const Marker& marker) {
    marker_ = marker.text;
    at_ += marker.text.size();
    form_ = marker.form;
    skipped_before_ = skips_space_;
    held_before_ = held_;
    if (form_ == nullptr) {
      const bool ends = marker.text != kStart && marker.text != kChannel;
      if (!ends) EnterSection(State::kHeader);
    } else if (form_->body == Body::kThinking) {
      LeaveSection(at_);
      EnterSection(State::kThinking);
    } else if (form_->body != Body::kDropped) {
      EnterSection(State::kCall);
    }
  }

  bool StepThinking(bool final) {
    const std::string_view unread = rest();
    const std::size_t close = unread.find(form_->close);
    if (close != unread.npos) {
      Emit(unread.substr(0, close), parts_.thinking);
      LeaveSection(at_ + close + form_->close.size());
      return true;
    }
    const std::size_t keep = final ? 0 : PartialAtEnd(unread, form_->close);
    Emit(unread.substr(0, unread.size() - keep), parts_.thinking);
    at_ += unread.size() - keep;
    return false;
  }

  // Where a JSON value that a body is or ends with begins; npos: not known yet; 0 is possible.
  static std::size_t JsonBegin(Body body, std::string_view unread) {
    if (body == Body::kFunction) {
      const std::size_t name_end = unread.find('>');
      if (name_end == unread.npos) return unread.npos;
      return unread.find_first_not_of(kSpace, name_end + 1);
    }
    const std::size_t first = unread.find_first_not_of(kSpace);
    if (body != Body::kMistral || first == unread.npos || unread[first] == '[') return first;
    return unread.find('{', first);
  }

  bool StepCall(bool final) {
    if (form_->body == Body::kPythonTag) return StepToEnd(final);
    return form_->close.empty() ? StepSelfEnding(final) : StepClosed(final);
  }

  // Up to the closing marker; one inside a JSON string is none.
  bool StepClosed(bool final) {
    const std::string_view unread = rest();
    const std::size_t json = JsonBegin(form_->body, unread);
    const bool may_be_json = form_->body == Body::kToolCall || form_->body == Body::kFunction;
    const bool skips_strings =
        may_be_json && json != unread.npos && (unread[json] == '{' || unread[json] == '[');
    for (;;) {
      const std::size_t close = unread.find(form_->close, searched_ - at_);
      if (close == unread.npos) break;
      if (close > AnswerFormat::kSectionBytesMax) return GiveUp();
      if (skips_strings && close > json) {
        reach_.Advance(unread.substr(json, close - json));
        if (reach_.in_string()) {
          searched_ = at_ + close + 1;
          continue;
        }
      }
      answer::Calls calls = answer::ReadBody(form_->body, unread.substr(0, close), texts_);
      if (!calls) return GiveUp();
      Take(*std::move(calls), at_ + close + form_->close.size());
      return true;
    }
    if (unread.size() > AnswerFormat::kSectionBytesMax + form_->close.size()) return GiveUp();
    if (!final) {
      const std::size_t kept = std::min(unread.size(), form_->close.size());
      searched_ = std::max(searched_, at_ + unread.size() - kept);
      return false;
    }
    answer::Calls calls = answer::ReadBody(form_->body, unread, texts_);
    if (!calls) return GiveUp();
    Take(*std::move(calls), text_.size());
    return true;
  }

  // Up to the end of its JSON.
  bool StepSelfEnding(bool final) {
    const std::string_view unread = rest();
    const std::size_t json = JsonBegin(form_->body, unread);
    const std::size_t head = json == unread.npos ? unread.size() : json;
    if (head > kHeadBytesMax) return GiveUp();
    if (json == unread.npos) return final ? GiveUp() : false;
    if (unread[json] != '{' && unread[json] != '[') return GiveUp();
    const bool complete = reach_.Advance(unread.substr(json));
    if (reach_.end() > AnswerFormat::kSectionBytesMax) return GiveUp();
    if (!complete) return final ? GiveUp() : false;
    const std::size_t end = json + reach_.end();
    answer::Calls calls = answer::ReadBody(form_->body, unread.substr(0, end), texts_);
    if (!calls) return GiveUp();
    Take(*std::move(calls), at_ + end);
    return true;
  }

  bool StepToEnd(bool final) {
    if (rest().size() > AnswerFormat::kSectionBytesMax) return GiveUp();
    if (!final) return false;
    answer::Calls calls = answer::ReadBody(form_->body, rest(), texts_);
    if (!calls) return GiveUp();
    Take(*std::move(calls), text_.size());
    return true;
  }

  // A JSON object at the beginning of the answer, which is a call where it says so.
  bool StepBare(bool final) {
    const std::string_view unread = rest();
    const bool complete = reach_.Advance(unread);
    const bool too_long = reach_.end() > AnswerFormat::kSectionBytesMax;
    if (!complete && !too_long && !final) return false;
    const std::string_view body = unread.substr(0, reach_.end());
    const bool says_so =
        body.find("\"parameters\"") != body.npos || body.find("\"arguments\"") != body.npos;
    answer::Calls calls;
    if (complete && !too_long && says_so) calls = answer::ReadJsonCalls(body);
    if (calls) {
      parts_begun_ = true;
      Take(*std::move(calls), at_ + body.size());
      return true;
    }
    bare_ = false;
    state_ = State::kText;
    return true;
  }

  // "<|start|>assistant to=functions.NAME<|channel|>commentary json", up to <|message|>.
  bool StepHeader(bool final) {
    const std::string_view unread = rest();
    const std::size_t end = unread.find(kMessage);
    if (end == unread.npos ? unread.size() > kHeadBytesMax + kMessage.size() || final
                           : end > kHeadBytesMax) {
      return GiveUp();
    }
    if (end == unread.npos) return false;
    const std::string header = std::string(marker_) + std::string(unread.substr(0, end));
    const auto word_after = [&](std::string_view key) -> std::string {
      const std::size_t at = header.find(key);
      if (at == header.npos) return {};
      const std::size_t begin = at + key.size();
      return header.substr(begin, header.find_first_of(" <\n", begin) - begin);
    };
    recipient_ = word_after(" to=");
    if (recipient_.empty()) recipient_ = word_after(">to=");
    const std::string channel = word_after(kChannel);
    message_ = !recipient_.empty()     ? Message::kCall
               : channel == "analysis" ? Message::kThinking
                                       : Message::kContent;
    at_ += end + kMessage.size();
    if (message_ != Message::kContent) LeaveSection(at_);
    EnterSection(State::kMessage);
    return true;
  }

  bool StepMessage(bool final) {
    const std::string_view unread = rest();
    std::size_t end = unread.npos, marker_size = 0;
    for (const std::string_view marker : kMessageEnds) {
      const std::size_t at = unread.find(marker, searched_ - at_);
      if (at < end) end = at, marker_size = marker.size();
    }
    if (const std::size_t at = unread.find(kStart, searched_ - at_); at < end) {
      end = at;
      marker_size = 0;  // it begins the next message
    }
    const bool ended = end != unread.npos;
    if (message_ != Message::kCall) {
      std::size_t keep = 0;
      if (!ended && !final) {
        keep = PartialAtEnd(unread, kStart);
        for (const std::string_view marker : kMessageEnds) {
          keep = std::max(keep, PartialAtEnd(unread, marker));
        }
      }
      const std::size_t n = ended ? end : unread.size() - keep;
      Emit(unread.substr(0, n), message_ == Message::kThinking ? parts_.thinking : parts_.content);
      at_ += n;
      searched_ = at_;
      if (ended) EndMessage(at_ + marker_size);
      return ended;
    }
    const bool too_long = (ended ? end : unread.size()) > AnswerFormat::kSectionBytesMax;
    if (!ended && !final && !too_long) {
      searched_ = at_ + unread.size() - std::min<std::size_t>(unread.size(), kMessage.size());
      return false;
    }
    TakeMessageCall(ended ? unread.substr(0, end) : unread, too_long);
    EndMessage(at_ + (ended ? end + marker_size : unread.size()));
    return true;
  }

  void EndMessage(std::size_t end) {
    const bool content = message_ == Message::kContent;
    const std::string held = held_;
    LeaveSection(end);
    if (content) {
      held_ = held;
      skips_space_ = false;
    }
  }

  void TakeMessageCall(std::string_view body, bool too_long) {
    constexpr std::string_view kFunctions = "functions.";
    std::string name = recipient_;
    if (name.starts_with(kFunctions)) name.erase(0, kFunctions.size());
    answer::Calls calls;
    // As a <function=...> body is written.
    if (!too_long)
      calls = answer::ReadBody(Body::kFunction, name + ">" + std::string(body), texts_);
    if (calls) {
      parts_.calls.push_back(std::move(calls->front()));
    } else {
      skips_space_ = false;
      Emit(body, parts_.content);
    }
  }

  AnswerFormat format_;
  answer::TextParameters texts_;
  const std::vector<std::string> control_markers_;
  std::vector<Marker> markers_;
  std::string text_;
  std::size_t at_ = 0, searched_ = 0;
  State state_ = State::kText;
  const Form* form_ = nullptr;
  std::string_view marker_;
  answer::JsonReach reach_;
  AnswerParts parts_;
  std::string held_;          // white space at the end of what was emitted
  bool skips_space_ = false;  // a section has just ended
  std::string held_before_;   // both, before the section that is being read
  bool skipped_before_ = false;
  bool bare_ = false, parts_begun_ = false;
  Message message_ = Message::kContent;
  std::string recipient_;
};

AnswerParser::AnswerParser(AnswerFormat format, Options options)
    : machine_(std::make_unique<Machine>(std::move(format), options)) {}
AnswerParser::AnswerParser(AnswerParser&&) noexcept = default;
AnswerParser& AnswerParser::operator=(AnswerParser&&) noexcept = default;
AnswerParser::~AnswerParser() = default;

AnswerParts AnswerParser::Push(std::string_view text) {
  return machine_->Push(text);
}

AnswerParts AnswerParser::Finish() {
  return machine_->Finish();
}

AnswerParts ParseAnswer(const AnswerFormat& format, std::string_view text,
                        AnswerParser::Options options) {
  AnswerParser parser(format, std::move(options));
  AnswerParts parts = parser.Push(text);
  parts.Append(parser.Finish());
  return parts;
}

}  // namespace tatara::text
