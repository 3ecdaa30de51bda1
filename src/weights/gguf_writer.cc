#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "ggml_types.h"
#include "gguf_reader.h"
#include "held_store.h"
#include "huggingface/export_files.h"
#include "tatara/base/files.h"
#include "tatara/base/utf8.h"
#include "tatara/weights/gguf_file.h"

namespace tatara::weights {
namespace {

namespace fs = std::filesystem;
using numerics::DType;

constexpr std::uint64_t kAlignment = 32;
constexpr std::int64_t kValuesAtOnce = 1 << 18;
constexpr std::uint32_t kTypesMax = 64;  // above ggml's last number
constexpr std::string_view kOwnPrefix = "tatara.container";
constexpr std::string_view kAlignmentKey = "general.alignment";

// Value types, by their numbers in the specification.
enum ValueType : std::uint32_t {
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
};

class Bytes {
 public:
  template <typename T>
  void Put(T value) {
    std::array<std::byte, sizeof(T)> bytes;
    StoreLe(bytes.data(), value);
    out_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void PutText(std::string_view text) {
    Put(static_cast<std::uint64_t>(text.size()));
    out_ += text;
  }
  void Pad() { out_.resize((out_.size() + kAlignment - 1) / kAlignment * kAlignment, '\0'); }
  const std::string& text() const { return out_; }

 private:
  std::string out_;
};

template <typename T>
ValueType TypeOf(const T& v) {
  if constexpr (std::is_same_v<T, bool>) {
    return kBool;
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return std::in_range<std::int32_t>(v) ? kInt32 : kInt64;
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    return std::in_range<std::uint32_t>(v) ? kUint32 : kUint64;
  } else if constexpr (std::is_same_v<T, double>) {
    return kFloat32;
  } else {
    return kString;
  }
}

template <typename T>
void PutAs(Bytes& out, ValueType type, const T& v) {
  if constexpr (std::is_same_v<T, std::string>) {
    out.PutText(v);
  } else if (type == kBool) {
    out.Put(static_cast<std::uint8_t>(v != 0));
  } else if (type == kInt32) {
    out.Put(static_cast<std::int32_t>(v));
  } else if (type == kUint32) {
    out.Put(static_cast<std::uint32_t>(v));
  } else if (type == kFloat32) {
    out.Put(static_cast<float>(v));
  } else {
    out.Put(v);
  }
}

template <typename T>
void PutArray(Bytes& out, const std::vector<T>& values) {
  ValueType type = TypeOf(T{});
  for (const T& v : values) type = std::max(type, TypeOf(v));
  out.Put<std::uint32_t>(kArray);
  out.Put<std::uint32_t>(type);
  out.Put(static_cast<std::uint64_t>(values.size()));
  for (const T& v : values) PutAs(out, type, v);
}

template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};

void PutValue(Bytes& out, const Metadata::Value& value) {
  std::visit(
      [&](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (IsVector<T>::value) {
          PutArray(out, v);
        } else {
          const ValueType type = TypeOf(v);
          out.Put<std::uint32_t>(type);
          PutAs(out, type, v);
        }
      },
      value);
}

bool IsWritten(std::string_view key) {
  return key != kOwnPrefix && key != kAlignmentKey;
}

// Head of a file up to the description of its tensors.
Bytes HeadOf(const Metadata& keys, std::uint64_t n_tensors) {
  Bytes out;
  for (const char c : std::string_view("GGUF")) out.Put(static_cast<std::uint8_t>(c));
  out.Put<std::uint32_t>(3);
  out.Put(n_tensors);
  std::uint64_t n_keys = 0;
  for (const auto& [key, value] : keys.values()) n_keys += IsWritten(key) ? 1 : 0;
  out.Put(n_keys);
  for (const auto& [key, value] : keys.values()) {
    if (!IsWritten(key)) continue;
    out.PutText(key);
    PutValue(out, value);
  }
  return out;
}

const GgmlType* TypeOfTensor(DType dtype) {
  for (std::uint32_t number = 0; number < kTypesMax; ++number) {
    const GgmlType* type = FindGgmlType(number);
    if (type != nullptr && type->dtype == dtype) return type;
  }
  return nullptr;
}

struct Planned {
  std::string name;
  const TensorView* view = nullptr;
  bool changed = false;
  const GgmlType* type = nullptr;
  std::uint64_t bytes = 0, offset = 0;
};

class Writer {
 public:
  Writer(const TensorStore& store, const GgufExportOptions& options)
      : store_(store), options_(options) {}

  Result<> Plan() {
    for (const auto& [name, view] : store_.tensors()) TATARA_RETURN_IF_ERROR(Add(name, view));
    if (options_.separate_head && store_.Find("output.weight") == nullptr) {
      if (const TensorView* view = store_.Find("token_embd.weight")) {
        TATARA_RETURN_IF_ERROR(Add("output.weight", *view));
      }
    }
    return Ok{};
  }

  Result<GgufExportReport> Write(const fs::path& path) {
    TATARA_TRY(NewFile file, NewFile::Create(path));
    Bytes head = HeadOf(store_.metadata(), plan_.size());
    for (const Planned& tensor : plan_) {
      head.PutText(tensor.name);
      head.Put(static_cast<std::uint32_t>(tensor.view->n_dims));
      for (int i = 0; i < tensor.view->n_dims; ++i) {
        head.Put(static_cast<std::uint64_t>(tensor.view->shape[static_cast<std::size_t>(i)]));
      }
      head.Put(tensor.type->number);
      head.Put(tensor.offset);
    }
    head.Pad();
    TATARA_RETURN_IF_ERROR(file.Write(AsBytes(head.text())));
    for (const Planned& tensor : plan_) TATARA_RETURN_IF_ERROR(WriteTensor(tensor, file));
    TATARA_RETURN_IF_ERROR(file.Finish());
    return report_;
  }

 private:
  Result<> Add(const std::string& name, const TensorView& view) {
    Planned tensor{.name = name, .view = &view};
    tensor.changed = options_.is_changed && options_.is_changed(name);
    const DType dtype = tensor.changed ? DType::kF32 : view.dtype;
    tensor.type = TypeOfTensor(dtype);
    if (tensor.type == nullptr || name.size() > kTensorNameBytesMax) {
      return Refuse("{0}: tensor '{1}' of type {2} can not be written as GGUF",
                    store_.path().string(), Printable(name), numerics::TraitsOf(dtype).name);
    }
    tensor.bytes =
        static_cast<std::uint64_t>(numerics::StorageBytes(dtype, view.n_rows() * view.n_cols()));
    tensor.offset = end_;
    end_ += (tensor.bytes + kAlignment - 1) / kAlignment * kAlignment;
    report_.bytes += tensor.bytes;
    ++report_.n_tensors;
    plan_.push_back(std::move(tensor));
    return Ok{};
  }

  Result<> WriteTensor(const Planned& tensor, NewFile& file) {
    if (tensor.changed) {
      TATARA_RETURN_IF_ERROR(WriteChanged(tensor, file));
    } else {
      TATARA_RETURN_IF_ERROR(file.Write(tensor.view->data.first(tensor.bytes)));
    }
    static constexpr std::array<std::byte, kAlignment> kZeros{};
    TATARA_RETURN_IF_ERROR(
        file.Write(ByteSpan(kZeros).first((kAlignment - tensor.bytes % kAlignment) % kAlignment)));
    done_ += tensor.bytes;
    if (options_.progress != nullptr) options_.progress->Report("export", done_, report_.bytes);
    return Ok{};
  }

  Result<> WriteChanged(const Planned& tensor, NewFile& file) {
    const TensorView& view = *tensor.view;
    const std::int64_t at_once = std::max<std::int64_t>(1, kValuesAtOnce / view.n_cols());
    const auto row_bytes =
        static_cast<std::size_t>(numerics::StorageBytes(view.dtype, view.n_cols()));
    std::vector<float> values;
    for (std::int64_t row = 0; row < view.n_rows(); row += at_once) {
      const std::int64_t n = std::min(at_once, view.n_rows() - row);
      values.resize(static_cast<std::size_t>(n * view.n_cols()));
      numerics::Dequantize(view.dtype,
                           view.data.subspan(static_cast<std::size_t>(row) * row_bytes,
                                             static_cast<std::size_t>(n) * row_bytes),
                           values);
      TATARA_RETURN_IF_ERROR(options_.change_rows(tensor.name, row, values));
      TATARA_RETURN_IF_ERROR(file.Write(std::as_bytes(std::span<const float>(values))));
    }
    return Ok{};
  }

  const TensorStore& store_;
  const GgufExportOptions& options_;
  GgufExportReport report_;
  std::vector<Planned> plan_;
  std::uint64_t end_ = 0, done_ = 0;
};

}  // namespace

Result<GgufExportReport> ExportGguf(const TensorStore& store, const fs::path& path,
                                    const GgufExportOptions& options) {
  std::error_code code;
  if (fs::exists(fs::symlink_status(path, code))) {
    return Refuse("{0}: exists already; name a new file", path.string());
  }
  Writer writer(store, options);
  TATARA_RETURN_IF_ERROR(writer.Plan());
  const fs::path partial = path.parent_path() / ("." + path.filename().string() + ".partial");
  fs::remove(partial, code);
  auto report = writer.Write(partial);
  if (report.ok()) fs::rename(partial, path, code);
  if (!report.ok() || code) {
    std::error_code ignored;
    fs::remove(partial, ignored);
    if (!report.ok()) return report;
    return MakeError(ErrorKind::kIo, "{0}: {1}", path.string(), code.message());
  }
  const fs::path folder = path.parent_path();
  TATARA_RETURN_IF_ERROR(SyncFolder(folder.empty() ? fs::path(".") : folder));
  return report;
}

Result<> WriteGgufKeys(const fs::path& path, const Metadata& keys) {
  Bytes head = HeadOf(keys, 0);
  head.Pad();
  return WriteFileAtomically(path, head.text());
}

}  // namespace tatara::weights
