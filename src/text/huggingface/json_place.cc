#include "huggingface/json_place.h"

#include "tatara/base/localise.h"

namespace tatara::text {
namespace {

const nlohmann::json kNull;

}  // namespace

Error JsonPlace::Expected(std::string_view what) const {
  return Refuse("{0}: expected {1}", Named(), Tr(what));
}

Error JsonPlace::Unknown(std::string_view what, std::string_view found) const {
  constexpr std::size_t kShownBytesMax = 200;
  return Refuse("{0}: the {1} '{2}' is one that this program does not know", Named(), Tr(what),
                found.substr(0, kShownBytesMax));
}

Result<JsonPlace> JsonPlace::Member(std::string_view key) const {
  if (!value_->is_object()) return Expected(MarkText("an object"));
  const auto found = value_->find(key);
  std::string path = path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  return JsonPlace(found == value_->end() ? kNull : *found, origin_, std::move(path));
}

JsonPlace JsonPlace::Element(std::size_t index) const {
  return JsonPlace((*value_)[index], origin_, path_ + "[" + std::to_string(index) + "]");
}

Result<std::string> JsonPlace::String(std::string_view key) const {
  TATARA_TRY(const JsonPlace member, Member(key));
  if (!member.value().is_string()) return member.Expected(MarkText("a string"));
  return member.value().get<std::string>();
}

Result<std::string> JsonPlace::StringOr(std::string_view key, std::string_view otherwise) const {
  TATARA_TRY(const JsonPlace member, Member(key));
  if (member.IsNull()) return std::string(otherwise);
  return String(key);
}

Result<bool> JsonPlace::BoolOr(std::string_view key, bool otherwise) const {
  TATARA_TRY(const JsonPlace member, Member(key));
  if (member.IsNull()) return otherwise;
  if (!member.value().is_boolean()) return member.Expected(MarkText("true or false"));
  return member.value().get<bool>();
}

Result<std::int64_t> JsonPlace::Int(std::string_view key) const {
  TATARA_TRY(const JsonPlace member, Member(key));
  if (!member.value().is_number_integer()) return member.Expected(MarkText("an integer"));
  if (member.value().is_number_unsigned() &&
      member.value().get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
    return member.Expected(MarkText("an integer of 63 bits"));
  }
  return member.value().get<std::int64_t>();
}

Result<std::int64_t> JsonPlace::IntOr(std::string_view key, std::int64_t otherwise) const {
  TATARA_TRY(const JsonPlace member, Member(key));
  if (member.IsNull()) return otherwise;
  return Int(key);
}

Result<std::vector<JsonPlace>> JsonPlace::List(std::string_view key, std::size_t n_max) const {
  TATARA_TRY(const JsonPlace member, Member(key));
  std::vector<JsonPlace> elements;
  if (member.IsNull()) return elements;
  if (!member.value().is_array()) return member.Expected(MarkText("an array"));
  if (member.value().size() > n_max) {
    return Refuse("{0}: {1} elements, limit {2}", member.Named(), member.value().size(), n_max);
  }
  elements.reserve(member.value().size());
  for (std::size_t i = 0; i < member.value().size(); ++i) elements.push_back(member.Element(i));
  return elements;
}

}  // namespace tatara::text
