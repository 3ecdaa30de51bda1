#include "tatara/ledger/merkle.h"

#include <bit>

#include "tatara/base/check.h"

namespace tatara::ledger {
namespace {

// The size of a tree's left part: the largest power of two below n. n >= 2.
std::uint64_t LeftSize(std::uint64_t n) {
  return std::bit_floor(n - 1);
}

void AppendInclusion(std::span<const Digest> leaves, std::uint64_t index,
                     std::vector<Digest>& proof) {
  if (leaves.size() <= 1) return;
  const std::uint64_t left = LeftSize(leaves.size());
  if (index < left) {
    AppendInclusion(leaves.first(left), index, proof);
    proof.push_back(TreeHash(leaves.subspan(left)));
  } else {
    AppendInclusion(leaves.subspan(left), index - left, proof);
    proof.push_back(TreeHash(leaves.first(left)));
  }
}

// `known`: the verifier has the hash of these leaves' first old_size already.
void AppendConsistency(std::span<const Digest> leaves, std::uint64_t old_size, bool known,
                       std::vector<Digest>& proof) {
  if (old_size == leaves.size()) {
    if (!known) proof.push_back(TreeHash(leaves));
    return;
  }
  const std::uint64_t left = LeftSize(leaves.size());
  if (old_size <= left) {
    AppendConsistency(leaves.first(left), old_size, known, proof);
    proof.push_back(TreeHash(leaves.subspan(left)));
  } else {
    AppendConsistency(leaves.subspan(left), old_size - left, false, proof);
    proof.push_back(TreeHash(leaves.first(left)));
  }
}

}  // namespace

Digest LeafHash(ByteSpan entry) {
  constexpr std::byte kLeaf{0};
  return Sha256().Update(ByteSpan(&kLeaf, 1)).Update(entry).Finish();
}

Digest NodeHash(const Digest& left, const Digest& right) {
  constexpr std::byte kNode{1};
  return Sha256().Update(ByteSpan(&kNode, 1)).Update(left).Update(right).Finish();
}

Digest TreeHash(std::span<const Digest> leaves) {
  TreeFrontier frontier;
  for (const Digest& leaf : leaves) frontier.Append(leaf);
  return frontier.Root();
}

void TreeFrontier::Append(const Digest& leaf) {
  Digest hash = leaf;
  for (std::uint64_t rest = size_; (rest & 1) != 0; rest >>= 1) {  // two of a size become one
    hash = NodeHash(whole_.back(), hash);
    whole_.pop_back();
  }
  whole_.push_back(hash);
  ++size_;
}

Digest TreeFrontier::Root() const {
  if (whole_.empty()) return Sha256Of({});
  Digest root = whole_.back();
  for (std::size_t i = whole_.size() - 1; i-- > 0;) root = NodeHash(whole_[i], root);
  return root;
}

std::vector<Digest> InclusionProof(std::span<const Digest> leaves, std::uint64_t index) {
  TATARA_CHECK(index < leaves.size());
  std::vector<Digest> proof;
  AppendInclusion(leaves, index, proof);
  return proof;
}

std::vector<Digest> ConsistencyProof(std::span<const Digest> leaves, std::uint64_t old_size) {
  TATARA_CHECK(old_size <= leaves.size());
  std::vector<Digest> proof;
  if (old_size > 0) AppendConsistency(leaves, old_size, true, proof);
  return proof;
}

bool InclusionIsRight(const Digest& leaf, std::uint64_t index, std::uint64_t size,
                      std::span<const Digest> proof, const Digest& root) {
  if (index >= size) return false;
  // `at` is the node's place in its row and `last` the row's last place.
  std::uint64_t at = index, last = size - 1;
  Digest hash = leaf;
  for (const Digest& other : proof) {
    if (last == 0) return false;  // a proof that goes on above the root
    if ((at & 1) != 0 || at == last) {
      hash = NodeHash(other, hash);
      while ((at & 1) == 0 && at != 0) at >>= 1, last >>= 1;  // no sibling in those rows
    } else {
      hash = NodeHash(hash, other);
    }
    at >>= 1, last >>= 1;
  }
  return last == 0 && hash == root;
}

bool ConsistencyIsRight(std::uint64_t old_size, const Digest& old_root, std::uint64_t size,
                        const Digest& root, std::span<const Digest> proof) {
  if (old_size > size) return false;
  if (old_size == size) return proof.empty() && old_root == root;
  if (old_size == 0) return proof.empty();  // everything goes on from nothing
  std::uint64_t at = old_size - 1, last = size - 1;
  while ((at & 1) != 0) at >>= 1, last >>= 1;
  // Where the old tree is one whole subtree of the new one, its root is where the proof begins.
  const bool whole = std::has_single_bit(old_size);
  if (!whole && proof.empty()) return false;
  Digest old_hash = whole ? old_root : proof.front(), hash = old_hash;
  for (const Digest& other : proof.subspan(whole ? 0 : 1)) {
    if (last == 0) return false;
    if ((at & 1) != 0 || at == last) {
      old_hash = NodeHash(other, old_hash);
      hash = NodeHash(other, hash);
      while ((at & 1) == 0 && at != 0) at >>= 1, last >>= 1;
    } else {
      hash = NodeHash(hash, other);
    }
    at >>= 1, last >>= 1;
  }
  return last == 0 && old_hash == old_root && hash == root;
}

}  // namespace tatara::ledger
