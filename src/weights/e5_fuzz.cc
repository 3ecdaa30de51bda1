// libFuzzer target: any bytes are read or refused, and what is read lies inside them.
#include <cstdint>
#include <span>

#include "e5_reader.h"
#include "tatara/base/check.h"
#include "tatara/base/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tatara::weights;
  const auto head = ReadE5(std::as_bytes(std::span(data, size)), "fuzz");
  if (!head.ok()) {
    const std::string text = head.error().text();
    TATARA_CHECK(text.starts_with("fuzz: ") && IsValidUtf8(text));
    return 0;
  }
  unsigned sum = 0;
  for (const E5Tensor& tensor : head->tensors) {
    const auto at = reinterpret_cast<const std::uint8_t*>(tensor.data.data()) - data;
    TATARA_CHECK(at >= 0 && static_cast<std::size_t>(at) + tensor.data.size() <= size);
    sum += data[at];
  }
  return sum == ~0U ? 1 : 0;
}
