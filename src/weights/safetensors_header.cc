#include "safetensors_header.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "safetensors_reader.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

// Where the reader stands; each event is accepted in one of these places only.
enum class Place {
  kStart,
  kTop,
  kEntry,
  kDtype,
  kShape,
  kShapeItems,
  kOffsets,
  kOffsetItems,
  kMetadata,
  kMetadataValue,
  kDone
};

class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(std::string_view origin, std::map<std::string, std::string>& metadata)
      : origin_(origin), metadata_(metadata) {}

  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return Unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return Unexpected("a fraction"); }
  bool binary(binary_t&) override { return Unexpected("bytes"); }
  bool number_unsigned(number_unsigned_t value) override;
  bool string(string_t& value) override;
  bool start_object(std::size_t) override;
  bool end_object() override;
  bool start_array(std::size_t) override;
  bool end_array() override;
  bool key(string_t& name) override;
  bool parse_error(std::size_t at, const std::string&,
                   const nlohmann::detail::exception&) override {
    return Fail(Refuse("{0}: the header is no valid JSON at byte {1}", origin_, 8 + at));
  }

  std::optional<Error> error;
  std::vector<SafetensorsEntry> entries;

 private:
  bool Fail(Error what) {
    if (!error) error = std::move(what);
    return false;
  }
  bool Unexpected(const char* what) {
    return Fail(Refuse("{0}: the header has {1} where it may not be (in '{2}')", origin_, what,
                       entries.empty() ? "" : Printable(entries.back().name)));
  }
  bool EntryKey(const string_t& name);
  bool FinishEntry();

  std::string_view origin_;
  std::map<std::string, std::string>& metadata_;
  Place place_ = Place::kStart;
  std::string metadata_key_;
  std::vector<std::uint64_t> offsets_;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false, has_metadata_ = false;
};

bool HeaderReader::number_unsigned(number_unsigned_t value) {
  if (place_ == Place::kShapeItems) {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) ||
        entries.back().shape.size() == kSafetensorsDimsMax) {
      return Unexpected("a dimension too large or too many");
    }
    entries.back().shape.push_back(static_cast<std::int64_t>(value));
    return true;
  }
  if (place_ == Place::kOffsetItems && offsets_.size() < 2) {
    offsets_.push_back(value);
    return true;
  }
  return Unexpected("a number");
}

bool HeaderReader::string(string_t& value) {
  if (place_ == Place::kDtype) {
    entries.back().dtype = value;
    place_ = Place::kEntry;
    return true;
  }
  if (place_ == Place::kMetadataValue) {
    metadata_[metadata_key_] = value;
    place_ = Place::kMetadata;
    return true;
  }
  return Unexpected("a text");
}

bool HeaderReader::start_object(std::size_t) {
  if (place_ == Place::kStart) {
    place_ = Place::kTop;
    return true;
  }
  // key() put the place of what follows a top key.
  if ((place_ == Place::kEntry || place_ == Place::kMetadata) && !has_dtype_ && !has_shape_ &&
      !has_offsets_) {
    return true;
  }
  return Unexpected("an object");
}

bool HeaderReader::FinishEntry() {
  if (!has_dtype_ || !has_shape_ || !has_offsets_ || offsets_.size() != 2) {
    return Fail(Refuse("{0}: tensor '{1}' needs 'dtype', 'shape' and two 'data_offsets'", origin_,
                       Printable(entries.back().name)));
  }
  entries.back().begin = offsets_[0];
  entries.back().end = offsets_[1];
  return true;
}

bool HeaderReader::end_object() {
  if (place_ == Place::kTop) {
    place_ = Place::kDone;
    return true;
  }
  if (place_ == Place::kEntry && !FinishEntry()) return false;
  place_ = Place::kTop;
  return true;
}

bool HeaderReader::start_array(std::size_t) {
  if (place_ == Place::kShape) {
    place_ = Place::kShapeItems;
    return true;
  }
  if (place_ == Place::kOffsets) {
    place_ = Place::kOffsetItems;
    return true;
  }
  return Unexpected("an array");
}

bool HeaderReader::end_array() {
  place_ = Place::kEntry;
  return true;
}

bool HeaderReader::EntryKey(const string_t& name) {
  const auto once = [&](bool& seen, Place place) {
    if (seen) return Unexpected("a key twice");
    seen = true;
    place_ = place;
    return true;
  };
  if (name == "dtype") return once(has_dtype_, Place::kDtype);
  if (name == "shape") return once(has_shape_, Place::kShape);
  if (name == "data_offsets") return once(has_offsets_, Place::kOffsets);
  return Unexpected("an unknown key");
}

bool HeaderReader::key(string_t& name) {
  if (place_ == Place::kEntry) return EntryKey(name);
  if (place_ == Place::kMetadata) {
    if (metadata_.contains(name) || metadata_.size() == kSafetensorsMetadataMax) {
      return Unexpected("a metadata key twice, or too many of them");
    }
    metadata_key_ = name;
    place_ = Place::kMetadataValue;
    return true;
  }
  if (place_ != Place::kTop) return Unexpected("a key");
  has_dtype_ = has_shape_ = has_offsets_ = false;
  offsets_.clear();
  if (name == "__metadata__") {
    if (has_metadata_) return Unexpected("a key twice");
    has_metadata_ = true;
    place_ = Place::kMetadata;
    return true;
  }
  if (name.empty() || name.size() > kSafetensorsNameBytesMax || !IsValidUtf8(name)) {
    return Fail(Refuse("{0}: a tensor's name is empty, longer than {1} bytes, or not UTF-8: '{2}'",
                       origin_, kSafetensorsNameBytesMax, Printable(name)));
  }
  if (entries.size() == kSafetensorsTensorsMax) {
    return Fail(Refuse("{0}: more than {1} tensors", origin_, kSafetensorsTensorsMax));
  }
  entries.emplace_back().name = name;
  place_ = Place::kEntry;
  return true;
}

}  // namespace

Result<std::vector<SafetensorsEntry>> ParseSafetensorsHeader(
    std::string_view json, std::string_view origin, std::map<std::string, std::string>& metadata) {
  HeaderReader reader(origin, metadata);
  const bool whole = nlohmann::json::sax_parse(json, &reader);
  if (reader.error) return *std::move(reader.error);
  if (!whole) return Refuse("{0}: the header is no valid JSON at byte {1}", origin, 8);
  return std::move(reader.entries);
}

}  // namespace tatara::weights
