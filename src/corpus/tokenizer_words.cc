#include "tokenizer_words.h"

#include <algorithm>
#include <memory>
#include <string>

#include "tatara/base/hash.h"
#include "tatara/base/localise.h"
#include "tatara/base/philox.h"
#include "tatara/base/thread_pool.h"
#include "tatara/base/utf8.h"

namespace tatara::corpus {
namespace {

// Texts that one thread takes at a time, and how many such batches are read before all work.
constexpr std::size_t kBatchBytes = std::size_t{1} << 18;
constexpr int kBatchesPerThread = 4;

// Texts, one after the other.
struct Batch {
  std::string bytes;
  std::vector<std::size_t> ends;
};

// False where the texts have ended.
Result<bool> ReadBatch(TextStream& texts, std::string& text, Batch& batch) {
  batch.bytes.clear();
  batch.ends.clear();
  while (batch.bytes.size() < kBatchBytes) {
    TATARA_TRY(const bool more, texts.Next(text));
    if (!more) return false;
    batch.bytes += text;
    batch.ends.push_back(batch.bytes.size());
  }
  return true;
}

}  // namespace

WordCounts::WordCounts(std::uint64_t seed) : seed_(seed), slots_(1 << 12), mask_((1 << 12) - 1) {}

void WordCounts::Add(std::string_view word, std::uint64_t count) {
  const std::uint64_t hash = HashBytes(word, seed_);
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  for (std::size_t at = hash;; ++at) {
    Slot& slot = slots_[at & mask_];
    if (slot.index == kEmpty) {
      slot = {tag, static_cast<std::uint32_t>(words_.size())};
      break;
    }
    if (slot.tag == tag && text(slot.index) == word) {
      words_[slot.index].count += count;
      return;
    }
  }
  words_.push_back({bytes_.size(), hash, count, static_cast<std::uint32_t>(word.size())});
  bytes_.insert(bytes_.end(), word.begin(), word.end());
  if (words_.size() * 2 > slots_.size()) Grow();
}

void WordCounts::Grow() {
  slots_.assign(slots_.size() * 2, Slot{});
  mask_ = slots_.size() - 1;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    std::size_t at = words_[i].hash;
    while (slots_[at & mask_].index != kEmpty) ++at;
    slots_[at & mask_] = {static_cast<std::uint32_t>(words_[i].hash >> 32),
                          static_cast<std::uint32_t>(i)};
  }
}

void WordCounts::Add(const WordCounts& other) {
  for (std::size_t i = 0; i < other.size(); ++i) Add(other.text(i), other.count(i));
}

std::uint64_t WordCounts::bytes() const {
  return bytes_.capacity() + words_.capacity() * sizeof(Word) + slots_.capacity() * sizeof(Slot);
}

std::vector<std::uint32_t> WordCounts::Sorted() const {
  std::vector<std::uint32_t> order(size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
  std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) { return text(a) < text(b); });
  return order;
}

Result<WordCounts> CountWords(TextStream& texts, const text::TextSplitter& splitter,
                              const TokenizerTraining& options) {
  ThreadPool pool(options.n_threads);
  struct Worker {
    WordCounts counts;
    std::string scratch;
  };
  const std::uint64_t seed = FreshSeed();
  std::vector<Worker> workers(static_cast<std::size_t>(pool.n_threads()),
                              Worker{WordCounts(seed), {}});
  std::vector<Batch> batches(workers.size() * kBatchesPerThread);
  std::string text;
  const std::string what = Tr("counting pieces");
  for (bool more = true; more;) {
    std::int64_t n_read = 0;
    while (more && n_read < std::ssize(batches)) {
      TATARA_TRY(more, ReadBatch(texts, text, batches[static_cast<std::size_t>(n_read)]));
      ++n_read;
    }
    pool.For(n_read, [&](std::int64_t item, int thread) {
      const Batch& batch = batches[static_cast<std::size_t>(item)];
      Worker& worker = workers[static_cast<std::size_t>(thread)];
      std::size_t begin = 0;
      for (const std::size_t end : batch.ends) {
        splitter.Split(std::string_view(batch.bytes).substr(begin, end - begin), worker.scratch,
                       [&](std::string_view piece) { worker.counts.Add(piece); });
        begin = end;
      }
    });
    std::uint64_t bytes = 0;
    for (const Worker& worker : workers) bytes += worker.counts.bytes();
    if (bytes > options.memory_bytes_max) {
      return Refuse(
          "the distinct pieces of the texts take {0} bytes, limit {1} (after {2} bytes of "
          "text); raise the limit or train on less",
          bytes, options.memory_bytes_max, texts.bytes_read());
    }
    if (options.progress != nullptr) {
      options.progress->Report(what, texts.bytes_read(), texts.bytes_total());
    }
    if (options.stop != nullptr && options.stop->IsSet()) {
      return MakeError(ErrorKind::kCancelled, "stopped before the tokenizer was trained");
    }
  }
  for (std::size_t i = 1; i < workers.size(); ++i) {
    workers[0].counts.Add(workers[i].counts);
    workers[i].counts = WordCounts(seed);
  }
  return std::move(workers[0].counts);
}

WordCounts WithinAlphabet(const WordCounts& words, std::size_t n_max) {
  constexpr char32_t kMark = 0x2581;
  std::vector<std::uint64_t> n_of(0x110000);
  const auto for_each = [](std::string_view word, auto visit) {
    for (std::size_t at = 0; at < word.size();) {
      const Utf8Sequence character = ReadUtf8(word.substr(at));
      visit(character.code_point, at, at + character.length);
      at += character.length;
    }
  };
  for (std::size_t i = 0; i < words.size(); ++i) {
    for_each(words.text(i),
             [&](char32_t c, std::size_t, std::size_t) { n_of[c] += words.count(i); });
  }
  std::vector<char32_t> characters;
  for (char32_t c = 0; c < n_of.size(); ++c) {
    if (n_of[c] > 0) characters.push_back(c);
  }
  std::ranges::stable_sort(characters, [&](char32_t a, char32_t b) {
    return (a == kMark) != (b == kMark) ? a == kMark : n_of[a] > n_of[b];
  });
  for (std::size_t i = n_max; i < characters.size(); ++i) n_of[characters[i]] = 0;

  WordCounts made(FreshSeed());
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words.text(i);
    std::size_t begin = 0;
    const auto add_until = [&](std::size_t end) {
      if (end > begin) made.Add(word.substr(begin, end - begin), words.count(i));
    };
    for_each(word, [&](char32_t c, std::size_t at, std::size_t end) {
      if (n_of[c] > 0) return;
      add_until(at);
      begin = end;
    });
    add_until(word.size());
  }
  return made;
}

}  // namespace tatara::corpus
