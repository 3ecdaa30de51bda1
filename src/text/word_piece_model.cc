#include "word_piece_model.h"

#include <algorithm>
#include <utility>

#include "piece_cache.h"
#include "tatara/base/utf8.h"

namespace tatara::text {

struct WordPieceModel::Work : TextModel::Workspace {
  PieceCache cache;
  std::string tried;
};

WordPieceModel::WordPieceModel(const Vocabulary& vocabulary, Options options)
    : options_(std::move(options)) {
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.type(id) != TokenType::kNormal) continue;
    token_bytes_max_ = std::max(token_bytes_max_, vocabulary.text(id).size());
  }
}

std::unique_ptr<TextModel::Workspace> WordPieceModel::MakeWorkspace() const {
  return std::make_unique<Work>();
}

void WordPieceModel::Encode(const Vocabulary& vocabulary, std::string_view piece,
                            Workspace& workspace, std::vector<std::int32_t>& ids) const {
  Work& work = static_cast<Work&>(workspace);
  if (piece.size() <= PieceCache::kBytesMax) {
    if (const auto known = work.cache.Find(piece); !known.empty()) {
      ids.insert(ids.end(), known.begin(), known.end());
      return;
    }
  }
  const std::size_t n_before = ids.size();
  std::size_t n_characters = 0;
  for (const char c : piece) n_characters += (c & '\xC0') != '\x80';
  if (n_characters > options_.word_characters_max || !Cover(vocabulary, piece, work.tried, ids)) {
    ids.resize(n_before);
    if (options_.unknown_id >= 0) ids.push_back(options_.unknown_id);
  }
  work.cache.Put(piece, std::span(ids).subspan(n_before));
}

bool WordPieceModel::Cover(const Vocabulary& vocabulary, std::string_view word, std::string& tried,
                           std::vector<std::int32_t>& ids) const {
  for (bool first = true; !word.empty(); first = false) {
    const std::string& prefix = first ? options_.first_prefix : options_.continuing_prefix;
    tried = prefix;
    tried += word.substr(0, std::min(word.size(), token_bytes_max_));
    std::int32_t id = -1;
    for (; tried.size() > prefix.size(); tried.pop_back()) {
      if (tried.size() - prefix.size() < word.size() &&
          (word[tried.size() - prefix.size()] & '\xC0') == '\x80') {
        continue;  // inside a character
      }
      id = vocabulary.Find(tried);
      if (id >= 0 && vocabulary.type(id) == TokenType::kNormal) break;
      id = -1;
    }
    if (id < 0) return false;
    ids.push_back(id);
    word.remove_prefix(tried.size() - prefix.size());
  }
  return true;
}

}  // namespace tatara::text
