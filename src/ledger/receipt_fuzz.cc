// Any bytes as a receipt: refused or right, never a crash; what was not signed is never right.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tatara/ledger/receipt.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto report = tatara::ledger::VerifyReceipt(bytes, {});
  if (!report.ok && report.first_difference.empty()) std::abort();
  return 0;
}
