#include "tatara/numerics/isa.h"

#include <atomic>
#include <cstdlib>
#include <string>

#include "tatara/base/check.h"

namespace tatara::numerics {
namespace {

// The compiler's run-time test also asks the operating system (XGETBV) whether it saves the
// registers.
bool ProcessorHas(Isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  switch (isa) {
    case Isa::kScalar:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvx512:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vnni");
  }
  return false;
#else
  return isa == Isa::kScalar;
#endif
}

constexpr int kUnset = -1;
std::atomic<int> active{kUnset};

std::string NamesOf(const std::vector<Isa>& isas) {
  std::string names;
  for (const Isa isa : isas) {
    if (!names.empty()) names += ", ";
    names += IsaName(isa);
  }
  return names;
}

// What the environment asks for; the best where it says nothing.
Result<Isa> IsaFromEnvironment() {
  const char* wanted = std::getenv("TATARA_ISA");
  const std::vector<Isa> available = AvailableIsas();
  if (wanted == nullptr || *wanted == '\0') return available.back();
  for (const Isa isa : available) {
    if (IsaName(isa) == wanted) return isa;
  }
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (IsaName(isa) == wanted) {
      return Refuse("TATARA_ISA: this processor lacks '{0}'; it has {1}", wanted,
                    NamesOf(available));
    }
  }
  return Refuse("TATARA_ISA: unknown instruction set '{0}'; known are scalar, avx2, avx512",
                wanted);
}

}  // namespace

std::string_view IsaName(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "?";
}

std::vector<Isa> AvailableIsas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (ProcessorHas(isa)) isas.push_back(isa);
  }
  return isas;
}

Isa ActiveIsa() {
  int isa = active.load(std::memory_order_relaxed);
  if (isa == kUnset) {
    const Result<Isa> wanted = IsaFromEnvironment();
    isa = static_cast<int>(wanted.ok() ? *wanted : AvailableIsas().back());
    active.store(isa, std::memory_order_relaxed);
  }
  return static_cast<Isa>(isa);
}

Result<Isa> SelectIsaFromEnvironment() {
  TATARA_TRY(const Isa isa, IsaFromEnvironment());
  SetActiveIsa(isa);
  return isa;
}

void SetActiveIsa(Isa isa) {
  TATARA_CHECK(ProcessorHas(isa));
  active.store(static_cast<int>(isa), std::memory_order_relaxed);
}

}  // namespace tatara::numerics
