#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "tatara/base/fp_environment.h"
#include "tatara/base/localise.h"
#include "tatara/corpus/tokenizer_training.h"
#include "tatara/numerics/functions.h"
#include "tokenizer_lattice.h"
#include "tokenizer_seeds.h"
#include "tokenizer_vocabulary.h"

namespace tatara::corpus {
namespace {

using numerics::LogF64;

// Sums over words are made in this many parts and added in order, whatever the number of threads.
constexpr std::size_t kShards = 16;
constexpr double kExpectedMin = 0.5;     // pieces that are expected more rarely go
constexpr double kPenaltyStep = 0.0001;  // between characters that lost their piece
constexpr int kRoundsMax = 1000;

// Asymptotic series at x >= 7, from there down by the recurrence (Bernardo 1976, AS 103; written
// around x - 1/2).
double Digamma(double x) {
  double result = 0;
  for (; x < 7; x += 1) result -= 1 / x;
  x -= 0.5;
  const double x2 = 1 / (x * x), x4 = x2 * x2;
  return result + LogF64(x) + 1.0 / 24 * x2 - 7.0 / 960 * x4 + 31.0 / 8064 * x4 * x2 -
         127.0 / 30720 * x4 * x4;
}

class UnigramTrainer {
 public:
  UnigramTrainer(const WordText& words, const UnigramTraining& options)
      : words_(words), options_(options), pool_(options.n_threads) {
    // Shards of about equal length.
    const std::size_t n = words.text.size();
    for (std::size_t shard = 0; shard <= kShards; ++shard) {
      const auto place = static_cast<std::uint32_t>(n * shard / kShards);
      shard_begin_.push_back(static_cast<std::size_t>(
          std::ranges::lower_bound(words.begin.begin(), words.begin.end() - 1, place) -
          words.begin.begin()));
    }
    shard_begin_.back() = words.n_words();
    lattices_.resize(static_cast<std::size_t>(pool_.n_threads()));
  }

  Result<> Run() {
    MakeSeeds();
    const std::string what = Tr("fitting pieces");
    const std::size_t n_seeds = pieces_.size();
    // More than the vocabulary, so that the last choice is between pieces fitted together.
    const auto wanted = static_cast<std::size_t>(options_.vocabulary) * 11 / 10;
    for (int round = 0; round < kRoundsMax; ++round) {
      for (int i = 0; i < options_.sub_iterations; ++i) {
        if (options_.stop != nullptr && options_.stop->IsSet()) {
          return MakeError(ErrorKind::kCancelled, "stopped before the tokenizer was trained");
        }
        Maximise(Expected());
      }
      if (options_.progress != nullptr && n_seeds > wanted) {
        options_.progress->Report(what, n_seeds - std::max(wanted, pieces_.size()),
                                  n_seeds - wanted);
      }
      if (pieces_.size() <= wanted) break;
      Prune(wanted);
    }
    return Ok{};
  }

  // The pieces of the vocabulary, by score descending, `n` of them where there are so many. Every
  // character is among them.
  std::vector<UnigramPiece> Chosen(std::size_t n, const std::vector<std::string>& special) const;

 private:
  std::span<const std::uint32_t> Text(const UnigramPiece& piece) const {
    return std::span(words_.text).subspan(piece.begin, piece.length);
  }
  PieceSet Set() const {
    return PieceSet(words_.text, pieces_, static_cast<std::uint32_t>(words_.characters.size()) - 1);
  }

  // All characters, most frequent first, then substrings; probabilities by how often they occur
  // times their length.
  void MakeSeeds() {
    std::vector<std::uint32_t> place_of(words_.characters.size());
    for (std::uint32_t at = 0; at < words_.text.size(); ++at) place_of[words_.text[at]] = at;
    std::vector<std::uint32_t> ranks;
    for (std::uint32_t rank = 1; rank < words_.characters.size(); ++rank) {
      if (words_.characters[rank] != 0) ranks.push_back(rank);
    }
    std::ranges::sort(ranks, [&](std::uint32_t a, std::uint32_t b) {
      const std::uint64_t n_a = words_.n_of_character[a], n_b = words_.n_of_character[b];
      return n_a != n_b ? n_a > n_b : a > b;
    });
    pieces_.push_back({});  // the unknown piece
    for (const std::uint32_t rank : ranks) {
      pieces_.push_back({place_of[rank], 1, static_cast<double>(words_.n_of_character[rank])});
    }
    const auto seeds_max = static_cast<std::size_t>(options_.seeds_max);
    const std::size_t n_left = seeds_max > ranks.size() ? seeds_max - ranks.size() : 0;
    for (const Seed& seed : FindSeeds(words_, options_.piece_characters_max, n_left, pool_)) {
      pieces_.push_back({seed.begin, seed.length, static_cast<double>(seed.n * seed.length)});
    }
    double sum = 0;
    for (std::size_t i = 1; i < pieces_.size(); ++i) sum += pieces_[i].score;
    const double log_sum = LogF64(sum);
    for (std::size_t i = 1; i < pieces_.size(); ++i) {
      pieces_[i].score = LogF64(pieces_[i].score) - log_sum;
    }
  }

  Lattice& LatticeOf(int thread) { return lattices_[static_cast<std::size_t>(thread)]; }

  // How often each piece is in all words.
  std::vector<double> Expected() {
    const PieceSet set = Set();
    std::vector<std::vector<double>> expected(kShards);
    pool_.For(kShards, [&](std::int64_t item, int thread) {
      const auto shard = static_cast<std::size_t>(item);
      expected[shard].resize(pieces_.size());
      for (std::size_t i = shard_begin_[shard]; i < shard_begin_[shard + 1]; ++i) {
        LatticeOf(thread).AddExpected(set, words_.word(i), static_cast<double>(words_.count[i]),
                                      expected[shard]);
      }
    });
    for (std::size_t shard = 1; shard < kShards; ++shard) {
      for (std::size_t i = 0; i < pieces_.size(); ++i) expected[0][i] += expected[shard][i];
    }
    return std::move(expected[0]);
  }

  // With digamma in the place of the logarithm, which keeps fewer pieces (Liang, Klein 2007, as
  // SentencePiece does).
  void Maximise(const std::vector<double>& expected) {
    double sum = 0;
    std::size_t n = 1;
    for (std::size_t i = 1; i < pieces_.size(); ++i) {
      if (expected[i] < kExpectedMin) continue;
      pieces_[n] = pieces_[i];
      pieces_[n++].score = expected[i];
      sum += expected[i];
    }
    pieces_.resize(n);
    const double log_sum = Digamma(sum);
    for (std::size_t i = 1; i < n; ++i) pieces_[i].score = Digamma(pieces_[i].score) - log_sum;
  }

  // How often each piece is in the words' best writings.
  std::vector<std::uint64_t> Frequencies(const PieceSet& set) {
    std::vector<std::vector<std::uint64_t>> n_of(lattices_.size(),
                                                 std::vector<std::uint64_t>(pieces_.size()));
    pool_.For(kShards, [&](std::int64_t item, int thread) {
      const auto shard = static_cast<std::size_t>(item);
      std::vector<std::uint64_t>& mine = n_of[static_cast<std::size_t>(thread)];
      for (std::size_t i = shard_begin_[shard]; i < shard_begin_[shard + 1]; ++i) {
        for (const std::uint32_t id : LatticeOf(thread).Best(set, words_.word(i))) {
          mine[id] += words_.count[i];
        }
      }
    });
    for (std::size_t thread = 1; thread < n_of.size(); ++thread) {
      for (std::size_t i = 0; i < pieces_.size(); ++i) n_of[0][i] += n_of[thread][i];
    }
    return std::move(n_of[0]);
  }

  // What becomes of a piece, and by how much the words' likelihood falls without it.
  struct Verdict {
    enum { kDrop, kKeep, kMay } what = kDrop;
    double loss = 0;
  };
  struct Totals {
    double pieces = 0, log_pieces = 0, words = 0;
  };
  Verdict Judge(const PieceSet& set, const std::vector<std::uint64_t>& n_of, const Totals& totals,
                std::size_t id, Lattice& lattice) const {
    // How it is written where it is no piece; a character by itself is not.
    const bool single = pieces_[id].length == 1;
    const std::vector<std::uint32_t> none;
    const std::vector<std::uint32_t>& other =
        single ? none : lattice.Best(set, Text(pieces_[id]), static_cast<std::int64_t>(id));
    const bool better = !single && lattice.best_score() > pieces_[id].score;
    if (n_of[id] == 0) return {.what = single ? Verdict::kKeep : Verdict::kDrop};
    if (single || better) return {.what = Verdict::kKeep};
    // Its occurrences become those of the others. Multiplied by the number of all pieces, not by
    // that of the others: so tokenizers has it, as SentencePiece had before its correction, and the
    // pieces that stay hang on it.
    const auto n = static_cast<double>(n_of[id]);
    const double log_sum = LogF64(totals.pieces + n * static_cast<double>(pieces_.size() - 1));
    double other_score = 0;
    for (auto part = other.rbegin(); part != other.rend(); ++part) {
      other_score += LogF64(static_cast<double>(n_of[*part]) + n) - log_sum;
    }
    return {.what = Verdict::kMay,
            .loss = n / totals.words * (LogF64(n) - totals.log_pieces - other_score)};
  }

  // Keeps a share of the pieces, at least `wanted`: those that have no other writing, and of the
  // others those whose loss would be greatest.
  void Prune(std::size_t wanted) {
    const PieceSet set = Set();
    const std::vector<std::uint64_t> n_of = Frequencies(set);
    Totals totals;
    for (const std::uint64_t n : n_of) totals.pieces += static_cast<double>(n);
    totals.log_pieces = LogF64(totals.pieces);
    for (const std::uint64_t n : words_.count) totals.words += static_cast<double>(n);
    std::vector<Verdict> verdicts(pieces_.size());
    constexpr std::size_t kAtATime = 256;
    pool_.For(static_cast<std::int64_t>((pieces_.size() + kAtATime - 1) / kAtATime),
              [&](std::int64_t item, int thread) {
                const std::size_t begin = static_cast<std::size_t>(item) * kAtATime;
                for (std::size_t id = std::max<std::size_t>(begin, 1);
                     id < std::min(pieces_.size(), begin + kAtATime); ++id) {
                  verdicts[id] = Judge(set, n_of, totals, id, LatticeOf(thread));
                }
              });
    std::vector<UnigramPiece> kept = {pieces_[0]};
    std::vector<std::size_t> candidates;
    for (std::size_t id = 1; id < pieces_.size(); ++id) {
      if (verdicts[id].what == Verdict::kKeep) kept.push_back(pieces_[id]);
      if (verdicts[id].what == Verdict::kMay) candidates.push_back(id);
    }
    std::ranges::stable_sort(candidates, [&](std::size_t a, std::size_t b) {
      return verdicts[a].loss > verdicts[b].loss;
    });
    const std::size_t n = std::max(
        wanted, static_cast<std::size_t>(static_cast<double>(pieces_.size()) * options_.shrinking));
    for (const std::size_t id : candidates) {
      if (kept.size() >= n) break;
      kept.push_back(pieces_[id]);
    }
    pieces_ = std::move(kept);
  }

  const WordText& words_;
  const UnigramTraining& options_;
  ThreadPool pool_;
  std::vector<std::size_t> shard_begin_;
  std::vector<Lattice> lattices_;  // one for each thread
  std::vector<UnigramPiece> pieces_;
};

std::vector<UnigramPiece> UnigramTrainer::Chosen(std::size_t n,
                                                 const std::vector<std::string>& special) const {
  double lowest = 0;
  std::vector<const UnigramPiece*> single(words_.characters.size());
  for (std::size_t i = 1; i < pieces_.size(); ++i) {
    lowest = i == 1 ? pieces_[i].score : std::min(lowest, pieces_[i].score);
    if (pieces_[i].length == 1) single[Text(pieces_[i])[0]] = &pieces_[i];
  }
  std::vector<std::uint32_t> place_of(words_.characters.size());
  for (std::uint32_t at = 0; at < words_.text.size(); ++at) place_of[words_.text[at]] = at;
  const std::unordered_set<std::string_view> special_texts(special.begin(), special.end());
  const auto is_special = [&](const UnigramPiece& piece) {
    return special_texts.contains(words_.Written(Text(piece)));
  };
  std::vector<UnigramPiece> chosen;
  double penalty = 0;
  for (std::size_t rank = 1; rank < words_.characters.size(); ++rank) {
    UnigramPiece piece{place_of[rank], 1, lowest + penalty};
    if (single[rank] != nullptr) {
      piece.score = single[rank]->score;
    } else {
      penalty += kPenaltyStep;
    }
    if (!is_special(piece)) chosen.push_back(piece);
  }
  for (std::size_t i = 1; i < pieces_.size() && chosen.size() < n; ++i) {
    if (pieces_[i].length > 1 && !is_special(pieces_[i])) chosen.push_back(pieces_[i]);
  }
  std::ranges::stable_sort(chosen, std::ranges::greater{}, &UnigramPiece::score);
  return chosen;
}

// <0x00> to <0xFF>, as SentencePiece names them.
std::vector<std::string> NamesOfBytes() {
  std::vector<std::string> names;
  for (int byte = 0; byte < 256; ++byte) names.push_back(fmt::format("<0x{:02X}>", byte));
  return names;
}

Result<> CheckUnigram(const UnigramTraining& options) {
  TATARA_RETURN_IF_ERROR(CheckTraining(options));
  if (options.piece_characters_max < 1 || options.piece_characters_max > 64 ||
      options.seeds_max < 1 || options.seeds_max > (1 << 26) || options.sub_iterations < 1 ||
      options.sub_iterations > 64 || !(options.shrinking > 0 && options.shrinking < 1)) {
    return Refuse(
        "unigram: pieces of 1 to 64 characters, 1 to 67108864 seeds, 1 to 64 sub-iterations and a "
        "share above 0 and below 1 are accepted, not {0}, {1}, {2} and {3}",
        options.piece_characters_max, options.seeds_max, options.sub_iterations, options.shrinking);
  }
  if (options.characters_max < 0) {
    return Refuse(
        "unigram: an alphabet of {0} characters is asked for; 1 and more, or 0 for all, "
        "are accepted",
        options.characters_max);
  }
  if (options.byte_fallback) {
    for (const std::string& name : NamesOfBytes()) {
      if (std::ranges::find(options.special, name) == options.special.end()) continue;
      return Refuse("the special token '{0}' is there twice", name);
    }
  }
  return Ok{};
}

// Far below what any text of such a name costs, so that no reader of the vocabulary takes the text
// for the byte.
double ScoreOfBytes(const std::vector<UnigramPiece>& pieces) {
  double lowest = 0;
  for (const UnigramPiece& piece : pieces) lowest = std::min(lowest, piece.score);
  return std::floor(8 * lowest - 64);
}

// The vocabulary as the keys of GGUF.
Metadata KeysOf(const WordText& words, const std::vector<UnigramPiece>& pieces,
                const UnigramTraining& options) {
  std::vector<std::string> tokens = options.special;
  std::vector<double> scores(tokens.size(), 0.0);
  std::vector<std::int64_t> types(tokens.size(), kControlToken);
  const auto unknown = std::ranges::find(tokens, options.unknown) - tokens.begin();
  types[static_cast<std::size_t>(unknown)] = kUnknownToken;
  if (options.byte_fallback) {
    const double score = ScoreOfBytes(pieces);
    for (std::string& name : NamesOfBytes()) {
      tokens.push_back(std::move(name));
      scores.push_back(score);
      types.push_back(kByteToken);
    }
  }
  for (const UnigramPiece& piece : pieces) {
    tokens.push_back(words.Written(std::span(words.text).subspan(piece.begin, piece.length)));
    scores.push_back(static_cast<double>(static_cast<float>(piece.score)));
    types.push_back(kNormalToken);
  }
  Metadata gguf("tokenizer");
  gguf.Set("tokenizer.ggml.model", std::string("t5"));
  gguf.Set("tokenizer.ggml.pre", std::string("default"));
  gguf.Set("tokenizer.ggml.tokens", std::move(tokens));
  gguf.Set("tokenizer.ggml.scores", std::move(scores));
  gguf.Set("tokenizer.ggml.token_type", std::move(types));
  gguf.Set("tokenizer.ggml.unknown_token_id", static_cast<std::int64_t>(unknown));
  gguf.Set("tokenizer.ggml.add_space_prefix", true);
  gguf.Set("tokenizer.ggml.remove_extra_whitespaces", false);
  if (!options.normal_form.empty()) gguf.Set("tokenizer.tatara.normal_form", options.normal_form);
  SetSpecialIds(options, gguf);
  return gguf;
}

}  // namespace

Result<TrainedTokenizer> TrainUnigram(TextStream& texts, const UnigramTraining& given) {
  UnigramTraining options = given;
  if (std::ranges::find(options.special, options.unknown) == options.special.end()) {
    options.special.insert(options.special.begin(), options.unknown);
  }
  TATARA_RETURN_IF_ERROR(CheckUnigram(options));
  const ScopedFpEnvironment environment;
  TATARA_TRY(const text::TextSplitter splitter,
             text::TextSplitter::AtSpaces(options.normal_form, "unigram"));
  TATARA_TRY(WordCounts words, CountWords(texts, splitter, options));
  if (options.characters_max > 0) {
    words = WithinAlphabet(words, static_cast<std::size_t>(options.characters_max));
  }
  if (words.text_bytes() + words.size() > kWordTextMax) {
    return Refuse("the distinct pieces of the texts are {0} bytes long, limit {1}",
                  words.text_bytes(), kWordTextMax);
  }
  const WordText word_text = MakeWordText(words);
  // No piece is written as one of these.
  std::vector<std::string> first = options.special;
  if (options.byte_fallback) {
    for (std::string& name : NamesOfBytes()) first.push_back(std::move(name));
  }
  const std::size_t n_first = first.size() + word_text.characters.size() - 1;
  if (static_cast<std::size_t>(options.vocabulary) < n_first) {
    return VocabularyTooSmall(options.vocabulary, n_first, first.size());
  }
  UnigramTrainer trainer(word_text, options);
  TATARA_RETURN_IF_ERROR(trainer.Run());
  const std::size_t n = static_cast<std::size_t>(options.vocabulary) - first.size();
  return FinishTokenizer(KeysOf(word_text, trainer.Chosen(n, first), options), words);
}

}  // namespace tatara::corpus
