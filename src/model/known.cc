#include "tatara/model/known.h"

#include <algorithm>

#include "architectures.h"
#include "encoder_base.h"

namespace tatara::model {

std::vector<std::string_view> KnownArchitectures() {
  std::vector<std::string_view> names;
  for (const Architecture& architecture : Architectures()) names.push_back(architecture.name);
  for (const EncoderArchitecture& encoder : EncoderArchitectures()) names.push_back(encoder.name);
  std::ranges::sort(names);
  return names;
}

}  // namespace tatara::model
