// libFuzzer target: any bytes are read or refused, and what is read lies inside them.
#include <cstdint>
#include <span>
#include <vector>

#include "gguf_reader.h"
#include "tatara/base/check.h"
#include "tatara/base/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tatara::weights;
  const auto head = ReadGgufHead(std::as_bytes(std::span(data, size)), "fuzz.gguf");
  if (!head.ok()) {
    const std::string text = head.error().text();
    TATARA_CHECK(text.starts_with("fuzz.gguf: ") && IsValidUtf8(text));
    return 0;
  }
  unsigned sum = 0;
  for (const GgufTensor& tensor : head->tensors) {
    TATARA_CHECK(tensor.offset <= size && tensor.n_bytes <= size - tensor.offset);
    TATARA_CHECK(tensor.offset % head->alignment == 0 && IsValidUtf8(tensor.name));
    TATARA_CHECK(tensor.n_bytes > 0);
    sum += data[tensor.offset] + data[tensor.offset + tensor.n_bytes - 1];
  }
  return sum == ~0u ? 1 : 0;
}
