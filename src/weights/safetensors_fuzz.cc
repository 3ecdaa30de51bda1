// libFuzzer target: any bytes are read or refused, and what is read lies inside them.
#include <cstdint>
#include <span>

#include "safetensors_reader.h"
#include "tatara/base/check.h"
#include "tatara/base/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tatara::weights;
  const auto head = ReadSafetensorsHead(std::as_bytes(std::span(data, size)), "fuzz");
  if (!head.ok()) {
    const std::string text = head.error().text();
    TATARA_CHECK(text.starts_with("fuzz: ") && IsValidUtf8(text));
    return 0;
  }
  for (const auto& [name, tensor] : head->tensors) {
    TATARA_CHECK(IsValidUtf8(name) && tensor.begin >= 8 && tensor.begin <= tensor.end);
    TATARA_CHECK(tensor.end <= size && tensor.n_elements() >= 0);
    TATARA_CHECK(static_cast<std::uint64_t>(tensor.n_elements()) * tensor.type->bits / 8 ==
                 tensor.end - tensor.begin);
  }
  return 0;
}
