#include "recipe_sections.h"

namespace tatara::learn {

Result<> TakeEstimate(const toml::table& root, std::string_view path, EstimateRecipe& e) {
  constexpr double kMoneyMax = 1e12;
  Section s(root, path, "estimate");
  s.Take("tokens", e.tokens, 0, 1e18);
  s.Take("watts", e.watts, 0, 1e9);
  s.Take("price_kwh", e.price_kwh, 0, kMoneyMax);
  s.Take("price_hour", e.price_hour, 0, kMoneyMax);
  s.Take("currency", e.currency);
  s.Take("devices", e.devices, 0, 10'000'000);
  s.Take("device_flops", e.device_flops, 0, 1e20);
  s.Take("utilisation", e.utilisation, 0.001, 1);
  s.Take("device_watts", e.device_watts, 0, 1e9);
  s.Take("device_price_hour", e.device_price_hour, 0, kMoneyMax);
  return s.Finish();
}

}  // namespace tatara::learn
