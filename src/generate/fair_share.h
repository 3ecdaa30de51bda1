// Who is served next where several callers want one engine.
//
// Every fair key has an account of the tokens that were computed for it. Between keys the account
// with the least goes first (the virtual token counter of Sheng et al., "Fairness in Serving Large
// Language Models", OSDI 2024): one that comes back after a pause is raised to the least of those
// that are active, so that pauses save nothing up. Of the waiting requests of a key the lowest tag
// goes first: the prompt tokens that had been let in when it came, and its own. So short prompts
// overtake long ones, and none is overtaken by more tokens than it has itself.
// Thread safety: one caller.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

namespace tatara::generate {

struct FairAccount {
  std::int64_t served = 0;  // tokens, decoded ones times kDecodeCost
  std::int64_t let_in = 0;  // prompt tokens of requests that were let in
  int n_requests = 0;       // in the engine
  int n_running = 0;        // of them
  std::int64_t order = 0;   // of its first request
};

// What a token that is decoded counts in tokens of a prompt: Qwen2.5-Coder-0.5B takes in 1,235 a
// second and eight sequences write 400 (bench/README.md).
inline constexpr std::int64_t kDecodeCost = 3;

class FairAccounts {
 public:
  static constexpr std::size_t kAccountsMax = 4096;  // without requests; more are forgotten

  // One request more of this key. The account stays where it is until as many have left.
  FairAccount* Enter(std::string_view key);
  void Leave(FairAccount* account);
  std::size_t size() const { return accounts_.size(); }

 private:
  std::int64_t LeastServed() const;  // of those with requests; 0 where there are none
  void Forget();
  std::unordered_map<std::string, std::unique_ptr<FairAccount>> accounts_;
  int n_requests_ = 0;
  std::int64_t n_made_ = 0;
};

// One of those that share a number of tokens out.
struct FairShare {
  std::int64_t served = 0;  // before
  std::int64_t wanted = 0;
  std::int64_t given = 0;
};
// Gives out min(n_tokens, all that is wanted), always to whoever was served least so far; where
// they are even, to the first.
void ShareOut(std::span<FairShare> shares, std::int64_t n_tokens);

}  // namespace tatara::generate
