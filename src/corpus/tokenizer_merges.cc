#include "tokenizer_merges.h"

#include <algorithm>
#include <array>

#include "tatara/base/localise.h"

namespace tatara::corpus {
namespace {

constexpr std::size_t kReportEvery = 64;                      // merges
constexpr std::size_t kTokenBytesMax = std::size_t{1} << 15;  // as it is written

std::size_t HashOf(std::uint64_t pair) {
  const auto product =
      static_cast<unsigned __int128>(pair ^ 0x9E3779B97F4A7C15u) * 0xA0761D6478BD642Fu;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

void PairCounts::Reserve(std::size_t n) {
  std::size_t size = std::max<std::size_t>(slots_.size(), 1 << 10);
  while ((n_ + n) * 2 > size) size *= 2;
  if (size == slots_.size()) return;
  std::vector<Slot> old(size);
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.pair == kNone) continue;
    std::size_t at = HashOf(slot.pair);
    while (slots_[at & (size - 1)].pair != kNone) ++at;
    slots_[at & (size - 1)] = slot;
  }
}

std::int64_t& PairCounts::operator[](std::uint64_t pair) {
  for (std::size_t at = HashOf(pair);; ++at) {
    Slot& slot = slots_[at & (slots_.size() - 1)];
    if (slot.pair == pair) return slot.count;
    if (slot.pair != kNone) continue;
    slot.pair = pair;
    ++n_;
    return slot.count;
  }
}

std::uint32_t& MergeTrainer::ByNeighbour::operator()(std::int32_t id, std::uint32_t merge,
                                                     std::uint32_t otherwise) {
  const auto at = static_cast<std::size_t>(id);
  if (at >= seen_.size()) seen_.resize(at + at / 2 + 1024);
  Seen& seen = seen_[at];
  if (seen.merge != merge) seen = {merge, otherwise};
  return seen.value;
}

MergeTrainer::MergeTrainer(const WordCounts& words, std::vector<std::string> tokens,
                           const std::vector<std::int32_t>& id_of_byte, std::size_t n_special)
    : tokens_(std::move(tokens)), n_special_(n_special), length_(tokens_.size(), 0) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    id_of_.emplace(tokens_[i], static_cast<std::int32_t>(i));
  }
  for (const std::int32_t id : id_of_byte) length_[static_cast<std::size_t>(id)] = 1;
  LayOut(words, id_of_byte);
  CountPairs();
}

void MergeTrainer::LayOut(const WordCounts& words, const std::vector<std::int32_t>& id_of_byte) {
  // A word of one byte has no pair.
  std::uint64_t n = 1;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words.text(i).size() > 1) n += words.text(i).size() + 1;
  }
  symbols_.reserve(n);
  word_at_.reserve(n);
  symbols_.push_back(kBoundary);
  word_at_.push_back(0);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view text = words.text(i);
    if (text.size() < 2) continue;
    const auto word = static_cast<std::uint32_t>(weight_.size());
    weight_.push_back(static_cast<std::int64_t>(words.count(i)));
    for (const char c : text) symbols_.push_back(id_of_byte[static_cast<unsigned char>(c)]);
    symbols_.push_back(kBoundary);
    word_at_.resize(symbols_.size(), word);
  }
}

void MergeTrainer::CountPairs() {
  // Ids of bytes are few, but special tokens may come before them.
  std::unordered_map<std::uint64_t, std::uint32_t> touched_of;
  const auto n_ids = tokens_.size();
  std::vector<std::uint32_t> dense(n_ids * n_ids <= (1u << 20) ? n_ids * n_ids : 0, ~0u);
  const auto find = [&](std::int32_t left, std::int32_t right) -> std::uint32_t& {
    if (!dense.empty()) {
      return dense[static_cast<std::size_t>(left) * n_ids + static_cast<std::size_t>(right)];
    }
    return touched_of.try_emplace(PairOf(left, right), ~0u).first->second;
  };
  counts_.Reserve(std::min<std::size_t>(symbols_.size(), std::size_t{1} << 16));
  for (std::size_t i = 1; i + 1 < symbols_.size(); ++i) {
    const std::int32_t left = symbols_[i], right = symbols_[i + 1];
    if (left == kBoundary || right == kBoundary) continue;
    std::uint32_t& known = find(left, right);
    if (known == ~0u) known = Touch(PairOf(left, right));
    Count(known, static_cast<std::uint32_t>(i), weight_[word_at_[i]]);
  }
  QueueTouched();
}

Result<> MergeTrainer::Run(const BpeTraining& options) {
  const std::string what = Tr("merging pairs");
  const auto wanted = static_cast<std::size_t>(options.vocabulary);
  const std::size_t n_before = tokens_.size();
  for (std::size_t n = 0; tokens_.size() < wanted && !queue_.empty(); ++n) {
    if (n % kReportEvery == 0) {
      if (options.stop != nullptr && options.stop->IsSet()) {
        return MakeError(ErrorKind::kCancelled, "stopped before the tokenizer was trained");
      }
      if (options.progress != nullptr) {
        options.progress->Report(what, tokens_.size() - n_before, wanted - n_before);
      }
    }
    Entry top = queue_.top();
    queue_.pop();
    if (const std::int64_t count = counts_[top.pair]; top.count != count) {
      top.count = count;
      queue_.push(top);
      continue;
    }
    if (top.count < std::max<std::int64_t>(options.min_frequency, 1)) break;
    const auto left = static_cast<std::int32_t>(top.pair >> 32);
    const auto right = static_cast<std::int32_t>(top.pair & 0xFFFFFFFFu);
    const std::int32_t id = IdOfJoined(left, right);
    if (id < 0) continue;
    merges_.emplace_back(left, right);
    Merge(top, id);
  }
  return Ok{};
}

std::int32_t MergeTrainer::IdOfJoined(std::int32_t left, std::int32_t right) {
  std::string joined =
      tokens_[static_cast<std::size_t>(left)] + tokens_[static_cast<std::size_t>(right)];
  if (joined.size() > kTokenBytesMax) return -1;
  const auto next = static_cast<std::int32_t>(tokens_.size());
  const auto [found, is_new] = id_of_.try_emplace(joined, next);
  if (!is_new) {
    return static_cast<std::size_t>(found->second) < n_special_ ? -1 : found->second;
  }
  tokens_.push_back(std::move(joined));
  length_.push_back(length_[static_cast<std::size_t>(left)] +
                    length_[static_cast<std::size_t>(right)]);
  return next;
}

std::uint32_t MergeTrainer::Touch(std::uint64_t pair) {
  touched_.push_back({pair, &counts_[pair]});
  return static_cast<std::uint32_t>(touched_.size() - 1);
}

void MergeTrainer::Count(std::uint32_t touched, std::uint32_t place, std::int64_t weight) {
  *touched_[touched].count += weight;
  ++touched_[touched].n;
  made_.emplace_back(touched, place);
}

void MergeTrainer::Merge(const Entry& entry, std::int32_t id) {
  ++merge_;
  // Each neighbour has at most four pairs.
  counts_.Reserve(4 * std::min<std::size_t>(entry.n, tokens_.size()));
  const auto left = static_cast<std::int32_t>(entry.pair >> 32);
  const auto right = static_cast<std::int32_t>(entry.pair & 0xFFFFFFFFu);
  const std::uint32_t length = length_[static_cast<std::size_t>(left)];
  for (std::uint64_t i = entry.begin; i < entry.begin + entry.n; ++i) {
    const std::uint32_t place = places_[i];
    if (symbols_[place] == left && symbols_[place + length] == right)
      MergeAt(place, left, right, id);
  }
  QueueTouched();
}

void MergeTrainer::MergeAt(std::uint32_t place, std::int32_t left, std::int32_t right,
                           std::int32_t id) {
  const auto length = [&](std::int32_t of) { return length_[static_cast<std::size_t>(of)]; };
  const std::uint32_t middle = place + length(left), end = middle + length(right);
  const std::int64_t weight = weight_[word_at_[place]];
  const std::int32_t before = symbols_[place - 1], behind = symbols_[end];
  const auto known = [&](ByNeighbour& by, std::int32_t neighbour, std::int32_t a, std::int32_t b) {
    std::uint32_t& touched = by(neighbour, merge_, ~0u);
    if (touched == ~0u) touched = Touch(PairOf(a, b));
    return touched;
  };
  if (before >= 0) {
    *touched_[known(before_lost_, before, before, left)].count -= weight;
    Count(known(before_made_, before, before, id), place - length(before), weight);
  }
  symbols_[middle - 1] = kInside;
  symbols_[middle] = kInside;
  symbols_[place] = id;
  symbols_[end - 1] = id;
  if (behind >= 0) {
    *touched_[known(behind_lost_, behind, right, behind)].count -= weight;
    // Two of the new token side by side are one pair, whichever came first.
    ByNeighbour& made = behind == id ? before_made_ : behind_made_;
    Count(known(made, behind, id, behind), place, weight);
  }
}

// Places of one pair stay ascending inside a word: they were made in that order.
void MergeTrainer::QueueTouched() {
  std::uint64_t end = places_.size();
  for (Touched& touched : touched_) {
    touched.next = end;
    end += touched.n;
  }
  places_.resize(end);
  for (const auto& [touched, place] : made_) places_[touched_[touched].next++] = place;
  for (const Touched& touched : touched_) {
    if (touched.n == 0 || *touched.count <= 0) continue;
    queue_.push({*touched.count, touched.pair, touched.next - touched.n, touched.n, n_entries_++});
  }
  touched_.clear();
  made_.clear();
}

std::vector<std::pair<std::int32_t, std::int32_t>> MergeTrainer::Merges() const {
  std::unordered_map<std::uint64_t, std::size_t> last;
  for (std::size_t i = 0; i < merges_.size(); ++i) {
    last[PairOf(merges_[i].first, merges_[i].second)] = i;
  }
  std::vector<std::pair<std::int32_t, std::int32_t>> kept;
  for (std::size_t i = 0; i < merges_.size(); ++i) {
    if (last[PairOf(merges_[i].first, merges_[i].second)] == i) kept.push_back(merges_[i]);
  }
  return kept;
}

}  // namespace tatara::corpus
