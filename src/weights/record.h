// record.json beside a model's files: what was pulled, from where, when, under which licence.
// Thread safety: free functions, no state.
#pragma once

#include <filesystem>
#include <string>

#include "tatara/base/error.h"
#include "tatara/weights/model_store.h"

namespace tatara::weights {

inline constexpr std::string_view kRecordName = "record.json";

std::string RecordText(const LocalModel& model);

// kNotFound where the folder or its record is missing; refused where the record is damaged.
Result<LocalModel> ReadRecord(const std::filesystem::path& folder);

// Size, modification time and inode as they are now; the model's other fields stay.
Result<> NoteFileStatus(const std::filesystem::path& folder, LocalFile& file);

// Size, modification time and inode are those of the record.
bool IsUnchanged(const std::filesystem::path& folder, const LocalFile& file);

}  // namespace tatara::weights
