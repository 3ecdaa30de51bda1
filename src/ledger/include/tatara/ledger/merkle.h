// The Merkle tree of RFC 6962, section 2.1: hashes, proofs that an entry is in a tree and that a
// tree is the beginning of a larger one, and their verification (RFC 9162, sections 2.1.3.2 and
// 2.1.4.2, which state the same proofs' checks).
//
// Thread safety: free functions and values.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tatara/base/bytes.h"
#include "tatara/base/sha256.h"

namespace tatara::ledger {

Digest LeafHash(ByteSpan entry);                           // SHA-256(0x00 || entry)
Digest NodeHash(const Digest& left, const Digest& right);  // SHA-256(0x01 || left || right)
Digest TreeHash(std::span<const Digest> leaves);           // of none: SHA-256 of nothing

// The root of a tree that grows, without its leaves: one hash for each bit of the size.
class TreeFrontier {
 public:
  void Append(const Digest& leaf);
  std::uint64_t size() const { return size_; }
  Digest Root() const;

 private:
  std::uint64_t size_ = 0;
  std::vector<Digest> whole_;  // roots of the complete subtrees, the largest first
};

// `leaves` are those of the whole tree; index < leaves.size().
std::vector<Digest> InclusionProof(std::span<const Digest> leaves, std::uint64_t index);
// That the first old_size leaves are the beginning of the tree; old_size <= leaves.size().
std::vector<Digest> ConsistencyProof(std::span<const Digest> leaves, std::uint64_t old_size);

bool InclusionIsRight(const Digest& leaf, std::uint64_t index, std::uint64_t size,
                      std::span<const Digest> proof, const Digest& root);
bool ConsistencyIsRight(std::uint64_t old_size, const Digest& old_root, std::uint64_t size,
                        const Digest& root, std::span<const Digest> proof);

}  // namespace tatara::ledger
