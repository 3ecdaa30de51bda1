// Questions that nothing was trained on, asked of a model and scored by the facts that an answer
// must have. Thread safety: free functions; an engine is stepped by one caller.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/generate/engine.h"
#include "tatara/learn/recipe.h"

namespace tatara::learn {

struct HeldOutQuestion {
  std::string question;
  std::string answer;             // the fact, for people
  std::vector<std::string> keys;  // an answer is right where it has all of them
};

// Tokens that question and answer may have together.
constexpr int kHeldOutContext = 2048;

// The recipe's tune.held_out, beside the recipe or under TATARA_TEST_DATA.
Result<std::filesystem::path> FindHeldOut(const Recipe& recipe);

// JSON Lines of {"question", "answer", "keys"}; refused by line.
Result<std::vector<HeldOutQuestion>> ReadHeldOut(const std::filesystem::path& path);

// In any case of ASCII letters, not inside a longer word or number: "8" is not in "8.8", "red" not
// in "hundred". What is written without spaces, as Japanese is, has no longer words: "8 mm" is in
// "8 mmです".
bool HasKey(std::string_view answer, std::string_view key);

// Wilson's interval of 95 % for a proportion (E. B. Wilson, JASA 22, 1927).
struct Proportion {
  std::int64_t n_right = 0, n = 0;
  double low = 0, high = 1;
};
Proportion WilsonInterval(std::int64_t n_right, std::int64_t n);

struct HeldOutAnswer {
  std::string answer;
  bool right = false;
};
struct HeldOutScore {
  Proportion right;
  std::vector<HeldOutAnswer> answers;  // as the questions
};

struct HeldOutOptions {
  int tokens_max = 0;                // of an answer
  std::string adapter;               // the name of a hot one, or empty
  ProgressSink* progress = nullptr;  // in questions; may be null
  const StopFlag* stop = nullptr;    // ends with kCancelled; may be null
};

// Each question alone, as a user's first message, answered greedily.
Result<HeldOutScore> ScoreHeldOut(std::span<const HeldOutQuestion> questions,
                                  const HeldOutOptions& options, generate::Engine& engine);

}  // namespace tatara::learn
