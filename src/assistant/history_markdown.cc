#include <algorithm>
#include <map>

#include "tatara/assistant/history.h"

namespace tatara::assistant {
namespace {

// A line of its own, whatever the text holds.
std::string OneLine(std::string_view text) {
  std::string line;
  for (const char c : text) line += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  return line;
}

std::vector<const HistoryMessage*> ActivePath(const StoredConversation& conversation) {
  std::map<std::string_view, const HistoryMessage*> by_id;
  for (const HistoryMessage& message : conversation.messages) by_id[message.id] = &message;
  std::vector<const HistoryMessage*> path;
  std::string_view at = conversation.active;
  while (!at.empty() && path.size() < conversation.messages.size()) {
    const auto found = by_id.find(at);
    if (found == by_id.end()) break;
    path.push_back(found->second);
    at = found->second->parent;
  }
  std::reverse(path.begin(), path.end());
  return path;
}

}  // namespace

std::string ConversationMarkdown(const StoredConversation& conversation, Language language) {
  const bool japanese = language == Language::kJapanese;
  std::string text = "# " + OneLine(conversation.head.title) + "\n\n";
  text += FormatUtc(conversation.head.created_unix) + "\n";
  for (const HistoryMessage* message : ActivePath(conversation)) {
    if (message->role == "user") {
      text += japanese ? "\n## 質問\n\n" : "\n## Question\n\n";
    } else {
      text += japanese ? "\n## 回答" : "\n## Answer";
      if (!message->model.empty()) text += " (" + OneLine(message->model) + ")";
      text += "\n\n";
    }
    text += message->content;
    if (!text.ends_with('\n')) text += '\n';
    if (!message->receipt.empty()) {
      text += (japanese ? "\n受領書: `" : "\nReceipt: `") + OneLine(message->receipt) + "`\n";
    }
  }
  return text;
}

}  // namespace tatara::assistant
