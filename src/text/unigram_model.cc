#include "unigram_model.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "hash_tables.h"
#include "piece_cache.h"
#include "tatara/base/utf8.h"

namespace tatara::text {
namespace {

constexpr double kUnknownPenalty = 10;
constexpr std::size_t kNeighbourBits = std::size_t{1} << 21;

std::size_t NeighbourIndex(char32_t left, char32_t right) {
  const std::uint64_t pair = static_cast<std::uint64_t>(left) << 32 | right;
  return MixWords(pair ^ 0x9E3779B97F4A7C15u, 0xA0761D6478BD642Fu) & (kNeighbourBits - 1);
}

}  // namespace

struct UnigramModel::Work : TextModel::Workspace {
  struct Best {
    double score;
    std::uint32_t begin;
    std::int32_t id;  // -1: not reached
  };
  PieceCache cache;                 // of stretches without unknown characters
  std::vector<Best> best;           // of the text before each byte
  std::vector<std::uint32_t> path;  // ends of the tokens, last first

  void Trim() override {
    if (best.capacity() * sizeof(Best) > kKeptBytesMax) std::vector<Best>().swap(best);
    if (path.capacity() * sizeof path[0] > kKeptBytesMax) std::vector<std::uint32_t>().swap(path);
  }
};

Result<std::unique_ptr<UnigramModel>> UnigramModel::Make(const Vocabulary& vocabulary,
                                                         std::span<const double> scores,
                                                         const Options& options) {
  constexpr std::string_view kScores = "tokenizer.ggml.scores";
  std::unique_ptr<UnigramModel> made(new UnigramModel(options));
  if (scores.size() != static_cast<std::size_t>(vocabulary.size())) {
    return Refuse("{0}: '{1}' has {2} entries, '{3}' has {4}", vocabulary.origin(), kScores,
                  scores.size(), "tokenizer.ggml.tokens", vocabulary.size());
  }
  std::vector<std::pair<std::string_view, std::int32_t>> found;
  made->score_.assign(scores.begin(), scores.end());
  made->neighbours_.assign(kNeighbourBits, false);
  double lowest = 0;
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    double& score = made->score_[static_cast<std::size_t>(id)];
    const std::string_view text = vocabulary.text(id);
    const TokenType type = vocabulary.type(id);
    if (!std::isfinite(score)) {
      return Refuse("{0}: '{1}' entry {2} is {3}, expected a finite number", vocabulary.origin(),
                    kScores, id, score);
    }
    if (type == TokenType::kNormal) lowest = std::min(lowest, score);
    if (type == TokenType::kUserDefined) score = 0;
    const bool used = type == TokenType::kNormal || type == TokenType::kUserDefined;
    if (!used || text.empty() || !IsValidUtf8(text)) continue;
    if (text.size() > kTokenBytesMax) {
      return Refuse("{0}: '{1}' entry {2} is {3} bytes long, limit {4}", vocabulary.origin(),
                    "tokenizer.ggml.tokens", id, text.size(), kTokenBytesMax);
    }
    found.emplace_back(text, id);
    char32_t left = 0;
    bool first = true;
    for (std::string_view rest = text; !rest.empty(); first = false) {
      const Utf8Sequence character = ReadUtf8(rest);
      if (!first) made->neighbours_[NeighbourIndex(left, character.code_point)] = true;
      left = character.code_point;
      rest.remove_prefix(character.length);
    }
  }
  made->unknown_score_ = lowest - kUnknownPenalty;
  made->tokens_ = SpecialTokens(std::move(found));
  if (options.byte_fallback) {
    constexpr char kHex[] = "0123456789ABCDEF";
    for (int byte = 0; byte < 256; ++byte) {
      const std::string name = {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
      const std::int32_t id = vocabulary.Find(name);
      if (id >= 0) made->id_of_byte_.push_back(id);
    }
    if (made->id_of_byte_.size() < 256) made->id_of_byte_.clear();
  }
  return made;
}

std::unique_ptr<TextModel::Workspace> UnigramModel::MakeWorkspace() const {
  return std::make_unique<Work>();
}

// Cut where no token can reach across; unknown characters that are fused are not cut apart.
void UnigramModel::Encode(const Vocabulary&, std::string_view piece, Workspace& workspace,
                          std::vector<std::int32_t>& ids) const {
  Work& work = static_cast<Work&>(workspace);
  const std::size_t n_before = ids.size();
  std::size_t begin = 0;
  Utf8Sequence left = ReadUtf8(piece);
  for (std::size_t at = left.length; at < piece.size();) {
    const Utf8Sequence right = ReadUtf8(piece.substr(at));
    const bool joined = neighbours_[NeighbourIndex(left.code_point, right.code_point)];
    if (!joined || at - begin >= kStretchBytesMax) {
      EncodeStretch(piece.substr(begin, at - begin), n_before, work, ids);
      begin = at;
    }
    at += right.length;
    left = right;
  }
  EncodeStretch(piece.substr(begin), n_before, work, ids);
  work.Trim();
}

void UnigramModel::AppendUnknown(std::string_view text, std::size_t n_before,
                                 std::vector<std::int32_t>& ids) const {
  if (!id_of_byte_.empty()) {
    for (const char c : text) ids.push_back(id_of_byte_[static_cast<unsigned char>(c)]);
    return;
  }
  if (options_.unknown_id < 0) return;
  const bool follows = ids.size() > n_before && ids.back() == options_.unknown_id;
  if (follows && options_.fuse_unknown) return;
  ids.push_back(options_.unknown_id);
}

void UnigramModel::EncodeStretch(std::string_view text, std::size_t n_before, Work& work,
                                 std::vector<std::int32_t>& ids) const {
  constexpr std::int32_t kUnknown = std::numeric_limits<std::int32_t>::max();
  if (text.size() <= PieceCache::kBytesMax) {
    if (const auto known = work.cache.Find(text); !known.empty()) {
      ids.insert(ids.end(), known.begin(), known.end());
      return;
    }
  }
  const std::size_t n_stretch = ids.size();
  bool has_unknown = false;
  std::vector<Work::Best>& best = work.best;
  best.assign(text.size() + 1, {0, 0, -1});
  for (std::size_t at = 0; at < text.size();) {
    const double before = best[at].score;
    const std::size_t length = ReadUtf8(text.substr(at)).length;
    bool alone = false;
    const auto offer = [&](std::size_t end, double score, std::int32_t id) {
      Work::Best& known = best[end];
      if (known.id < 0 || score > known.score) {
        known = {score, static_cast<std::uint32_t>(at), id};
      }
    };
    tokens_.ForEachAt(text, at, [&](std::size_t token_length, std::int32_t id) {
      alone |= token_length == length;
      offer(at + token_length, before + score_[static_cast<std::size_t>(id)], id);
    });
    if (!alone) offer(at + length, before + unknown_score_, kUnknown);
    at += length;
  }
  work.path.clear();
  for (std::size_t end = text.size(); end > 0; end = best[end].begin) {
    work.path.push_back(static_cast<std::uint32_t>(end));
  }
  for (auto end = work.path.rbegin(); end != work.path.rend(); ++end) {
    const Work::Best& step = best[*end];
    if (step.id == kUnknown) {
      has_unknown = true;
      AppendUnknown(text.substr(step.begin, *end - step.begin), n_before, ids);
    } else {
      ids.push_back(step.id);
    }
  }
  if (!has_unknown) work.cache.Put(text, std::span(ids).subspan(n_stretch));
}

}  // namespace tatara::text
