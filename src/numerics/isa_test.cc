#include "tatara/numerics/isa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace tatara::numerics {
namespace {

// Sets TATARA_ISA for a scope and puts environment and choice back.
class ScopedIsaVariable {
 public:
  explicit ScopedIsaVariable(const char* value) : active_(ActiveIsa()) {
    if (const char* old = std::getenv("TATARA_ISA")) old_ = old;
    setenv("TATARA_ISA", value, 1);
  }
  ~ScopedIsaVariable() {
    old_.empty() ? unsetenv("TATARA_ISA") : setenv("TATARA_ISA", old_.c_str(), 1);
    SetActiveIsa(active_);
  }

 private:
  Isa active_;
  std::string old_;
};

TEST(Isa, ScalarIsAlwaysAvailableAndSetsAscend) {
  const auto isas = AvailableIsas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::kScalar);
  for (std::size_t i = 1; i < isas.size(); ++i) EXPECT_LT(isas[i - 1], isas[i]);
}

TEST(Isa, EnvironmentForcesEachAvailableSet) {
  for (const Isa isa : AvailableIsas()) {
    const ScopedIsaVariable scope(std::string(IsaName(isa)).c_str());
    const auto selected = SelectIsaFromEnvironment();
    ASSERT_TRUE(selected.ok());
    EXPECT_EQ(*selected, isa);
    EXPECT_EQ(ActiveIsa(), isa);
  }
}

TEST(Isa, UnknownNameIsRefusedWithTheKnownOnes) {
  const ScopedIsaVariable scope("sse9");
  const auto selected = SelectIsaFromEnvironment();
  ASSERT_FALSE(selected.ok());
  EXPECT_EQ(selected.error().kind(), ErrorKind::kRefused);
  EXPECT_NE(selected.error().text().find("'sse9'"), std::string::npos);
}

TEST(Isa, AForcedSetThatTheProcessorLacksIsRefused) {
  const auto isas = AvailableIsas();
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
    if (std::find(isas.begin(), isas.end(), isa) != isas.end()) continue;
    const ScopedIsaVariable scope(std::string(IsaName(isa)).c_str());
    EXPECT_FALSE(SelectIsaFromEnvironment().ok());
  }
}

}  // namespace
}  // namespace tatara::numerics
