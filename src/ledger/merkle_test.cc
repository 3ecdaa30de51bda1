// The tree of RFC 6962 over the eight entries whose hashes Certificate Transparency's own programs
// test with, and every proof of trees up to 40 entries, right ones and spoiled ones.

#include "tatara/ledger/merkle.h"

#include <gtest/gtest.h>

#include <string>

namespace tatara::ledger {
namespace {

using namespace std::string_literals;

std::vector<Digest> KnownLeaves() {
  const std::string entries[] = {
      "",
      "\0"s,
      "\x10",
      "\x20\x21",
      "\x30\x31",
      "\x40\x41\x42\x43",
      "\x50\x51\x52\x53\x54\x55\x56\x57",
      "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"};
  std::vector<Digest> leaves;
  for (const std::string& entry : entries) leaves.push_back(LeafHash(AsBytes(entry)));
  return leaves;
}

std::vector<Digest> SomeLeaves(std::uint64_t n) {
  std::vector<Digest> leaves;
  for (std::uint64_t i = 0; i < n; ++i) leaves.push_back(LeafHash(AsBytes(std::to_string(i))));
  return leaves;
}

// RFC 6962, section 2.1, word for word: the oracle of the frontier.
Digest ByDefinition(std::span<const Digest> leaves) {
  if (leaves.empty()) return Sha256Of({});
  if (leaves.size() == 1) return leaves[0];
  std::size_t k = 1;
  while (2 * k < leaves.size()) k *= 2;
  return NodeHash(ByDefinition(leaves.first(k)), ByDefinition(leaves.subspan(k)));
}

TEST(Merkle, RootsAreThoseOfCertificateTransparency) {
  const char* const kRoots[] = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  const std::vector<Digest> leaves = KnownLeaves();
  for (std::size_t n = 0; n <= leaves.size(); ++n) {
    EXPECT_EQ(ToHex(TreeHash(std::span(leaves).first(n))), kRoots[n]) << n;
  }
}

TEST(Merkle, TheFrontierGivesTheDefinitionsRoots) {
  const std::vector<Digest> leaves = SomeLeaves(130);
  TreeFrontier frontier;
  for (std::size_t n = 0; n <= leaves.size(); ++n) {
    EXPECT_EQ(frontier.Root(), ByDefinition(std::span(leaves).first(n))) << n;
    EXPECT_EQ(frontier.size(), n);
    if (n < leaves.size()) frontier.Append(leaves[n]);
  }
}

TEST(Merkle, EveryInclusionProofHoldsAndNoSpoiledOne) {
  for (std::uint64_t n = 1; n <= 40; ++n) {
    const std::vector<Digest> leaves = SomeLeaves(n);
    const Digest root = TreeHash(leaves);
    for (std::uint64_t i = 0; i < n; ++i) {
      auto proof = InclusionProof(leaves, i);
      ASSERT_TRUE(InclusionIsRight(leaves[i], i, n, proof, root)) << n << ' ' << i;
      EXPECT_FALSE(InclusionIsRight(leaves[i], n, n, proof, root));
      for (std::uint64_t other = 0; other < n; ++other) {
        if (other == i) continue;
        EXPECT_FALSE(InclusionIsRight(leaves[other], i, n, proof, root));
      }
      for (Digest& hash : proof) {
        hash[5] ^= std::byte{1};
        EXPECT_FALSE(InclusionIsRight(leaves[i], i, n, proof, root));
        hash[5] ^= std::byte{1};
      }
      proof.push_back(root);
      EXPECT_FALSE(InclusionIsRight(leaves[i], i, n, proof, root));
      proof.resize(proof.size() - 1);
      if (!proof.empty()) {
        proof.pop_back();
        EXPECT_FALSE(InclusionIsRight(leaves[i], i, n, proof, root));
      }
    }
  }
}

TEST(Merkle, EveryConsistencyProofHoldsAndNoSpoiledOne) {
  const std::vector<Digest> leaves = SomeLeaves(40);
  for (std::uint64_t n = 0; n <= 40; ++n) {
    const auto tree = std::span(leaves).first(n);
    const Digest root = TreeHash(tree);
    for (std::uint64_t old = 0; old <= n; ++old) {
      const Digest old_root = TreeHash(tree.first(old));
      auto proof = ConsistencyProof(tree, old);
      ASSERT_TRUE(ConsistencyIsRight(old, old_root, n, root, proof)) << n << ' ' << old;
      if (old == 0) continue;
      Digest other = old_root;
      other[0] ^= std::byte{1};
      EXPECT_FALSE(ConsistencyIsRight(old, other, n, root, proof)) << n << ' ' << old;
      other = root;
      other[31] ^= std::byte{0x80};
      EXPECT_FALSE(ConsistencyIsRight(old, old_root, n, other, proof)) << n << ' ' << old;
      for (Digest& hash : proof) {
        hash[9] ^= std::byte{1};
        EXPECT_FALSE(ConsistencyIsRight(old, old_root, n, root, proof)) << n << ' ' << old;
        hash[9] ^= std::byte{1};
      }
      proof.push_back(root);
      EXPECT_FALSE(ConsistencyIsRight(old, old_root, n, root, proof)) << n << ' ' << old;
    }
    EXPECT_FALSE(ConsistencyIsRight(n + 1, root, n, root, {}));
  }
}

}  // namespace
}  // namespace tatara::ledger
