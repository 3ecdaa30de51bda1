// Server-sent events (WHATWG HTML, section 9.2): one event of a text.
#pragma once

#include <string>
#include <string_view>

namespace tatara::server {

inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";

// A line end within the text begins another data line, which the reader joins again.
inline std::string SseEvent(std::string_view text) {
  std::string event = "data: ";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      if (i + 1 < text.size() && text[i + 1] == '\n') continue;
      event += "\ndata: ";
    } else if (text[i] == '\n') {
      event += "\ndata: ";
    } else {
      event += text[i];
    }
  }
  return event + "\n\n";
}

}  // namespace tatara::server
