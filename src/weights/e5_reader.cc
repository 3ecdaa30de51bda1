#include "e5_reader.h"

#include <cmath>
#include <map>

#include "gguf_cursor.h"
#include "held_store.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

using numerics::DType;

struct Sizes {
  std::int32_t hidden, layers, heads, ff, rows, positions, types;
  float epsilon;
  std::int32_t pieces, bos, eos, pad, unk;
  std::uint64_t text_bytes;
};

Result<std::int32_t> ReadCount(GgufCursor& cursor, std::string_view field, std::int32_t least,
                               std::int32_t most) {
  const std::uint64_t at = cursor.position();
  TATARA_TRY(const auto value, cursor.Read<std::int32_t>(field));
  if (value < least || value > most) {
    return Refuse("{0}: {1} at byte {2} is {3}; {4} to {5} is accepted", cursor.origin(),
                  cursor.FieldPath(field), at, value, least, most);
  }
  return value;
}

Result<> ReadShapes(GgufCursor& cursor, Sizes& s) {
  TATARA_TRY(s.hidden, ReadCount(cursor, "hidden_size", 32, kE5WidthMax));
  TATARA_TRY(s.layers, ReadCount(cursor, "layers", 1, kE5LayersMax));
  TATARA_TRY(s.heads, ReadCount(cursor, "heads", 1, kE5WidthMax));
  TATARA_TRY(s.ff, ReadCount(cursor, "feed_forward_size", 32, kE5WidthMax));
  TATARA_TRY(s.rows, ReadCount(cursor, "embedding_rows", 1, kE5RowsMax));
  TATARA_TRY(s.positions, ReadCount(cursor, "positions", 3, kE5PositionsMax));
  TATARA_TRY(s.types, ReadCount(cursor, "segment_types", 1, kE5LayersMax));
  TATARA_TRY(s.epsilon, cursor.Read<float>("epsilon"));
  TATARA_RETURN_IF_ERROR(ReadCount(cursor, "block_size", 32, 32));
  if (s.hidden % s.heads != 0 || s.hidden % 32 != 0 || s.ff % 32 != 0) {
    return Refuse("{0}: sizes of {1} (heads {2}) and {3} are no multiples of the heads and of 32",
                  cursor.origin(), s.hidden, s.heads, s.ff);
  }
  if (!(s.epsilon > 0 && s.epsilon < 1)) {
    return Refuse("{0}: the layer-norm epsilon at byte 36 is {1}; 0 to 1 is accepted",
                  cursor.origin(), s.epsilon);
  }
  return Ok{};
}

Result<Sizes> ReadSizes(GgufCursor& cursor) {
  Sizes s{};
  TATARA_RETURN_IF_ERROR(cursor.Read<std::uint32_t>("magic"));
  TATARA_TRY(const auto version, cursor.Read<std::uint32_t>("version"));
  if (version != 1) {
    return Refuse("{0}: E5S1 version {1} at byte 4, version 1 is read", cursor.origin(), version);
  }
  TATARA_RETURN_IF_ERROR(ReadShapes(cursor, s));
  TATARA_TRY(s.pieces, ReadCount(cursor, "pieces", 1, s.rows));
  for (auto [id, field] :
       {std::pair{&s.bos, "bos"}, {&s.eos, "eos"}, {&s.pad, "pad"}, {&s.unk, "unk"}}) {
    TATARA_TRY(*id, ReadCount(cursor, field, 0, s.pieces - 1));
  }
  const std::uint64_t at = cursor.position();
  TATARA_TRY(s.text_bytes, cursor.Read<std::uint64_t>("text_bytes"));
  if (s.text_bytes > kE5PieceTextBytesMax) {
    return Refuse("{0}: {1} at byte {2} says it is {3} bytes long, the limit is {4}",
                  cursor.origin(), cursor.FieldPath("text_bytes"), at, s.text_bytes,
                  kE5PieceTextBytesMax);
  }
  return s;
}

void SetSizes(const Sizes& s, Metadata& m) {
  const auto unsigned_key = [&](std::string_view key, std::int64_t value) {
    m.Set(std::string(key), static_cast<std::uint64_t>(value));
  };
  m.Set("general.architecture", "bert");
  m.Set(std::string(kContainerKey), "e5s1");
  unsigned_key("bert.embedding_length", s.hidden);
  unsigned_key("bert.block_count", s.layers);
  unsigned_key("bert.attention.head_count", s.heads);
  unsigned_key("bert.feed_forward_length", s.ff);
  unsigned_key("bert.context_length", s.positions);
  unsigned_key("bert.vocab_size", s.rows);
  unsigned_key("bert.token_type_count", s.types);
  m.Set("bert.attention.layer_norm_epsilon", static_cast<double>(s.epsilon));
  m.Set("bert.attention.causal", false);
  unsigned_key("bert.pooling_type", 1);
  m.Set("bert.embedding.windowed", true);
  m.Set("tokenizer.ggml.model", "t5");
  m.Set("tokenizer.ggml.pre", "e5");
  unsigned_key("tokenizer.ggml.token_type_count", s.types);
  unsigned_key("tokenizer.ggml.bos_token_id", s.bos);
  unsigned_key("tokenizer.ggml.eos_token_id", s.eos);
  unsigned_key("tokenizer.ggml.padding_token_id", s.pad);
  unsigned_key("tokenizer.ggml.unknown_token_id", s.unk);
  for (const char* yes :
       {"add_bos_token", "add_eos_token", "add_space_prefix", "remove_extra_whitespaces"}) {
    m.Set(std::string("tokenizer.ggml.") + yes, true);
  }
}

Result<std::vector<double>> ReadScores(GgufCursor& cursor, std::size_t n) {
  TATARA_TRY(const ByteSpan bytes, cursor.ReadBytes("scores", n * 4));
  std::vector<double> scores(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto score = LoadLe<float>(bytes.data() + 4 * i);
    if (!std::isfinite(score)) {
      return Refuse("{0}: the score of piece {1} is {2}", cursor.origin(), i, score);
    }
    scores[i] = score;
  }
  return scores;
}

// Offsets, scores and texts of the pieces.
Result<> ReadPieces(GgufCursor& cursor, const Sizes& s, Metadata& m) {
  const auto n = static_cast<std::size_t>(s.pieces);
  TATARA_TRY(const ByteSpan offsets, cursor.ReadBytes("offsets", (n + 1) * 4));
  TATARA_TRY(auto scores, ReadScores(cursor, n));
  TATARA_TRY(const ByteSpan text, cursor.ReadBytes("text", s.text_bytes));
  const auto offset = [&](std::size_t i) { return LoadLe<std::uint32_t>(offsets.data() + 4 * i); };
  if (offset(0) != 0 || offset(n) != s.text_bytes) {
    return Refuse("{0}: the pieces run from {1} to {2}, expected 0 to {3}", cursor.origin(),
                  offset(0), offset(n), s.text_bytes);
  }
  std::vector<std::string> tokens(n);
  std::vector<std::int64_t> types(n, 1);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t begin = offset(i);
    const std::uint32_t end = offset(i + 1);
    if (end < begin || end > s.text_bytes) {
      return Refuse("{0}: piece {1} goes from byte {2} to {3} of {4}", cursor.origin(), i, begin,
                    end, s.text_bytes);
    }
    tokens[i] = AsText(text.subspan(begin, end - begin));
    if (!IsValidUtf8(tokens[i])) {
      return Refuse("{0}: piece {1} is not UTF-8: '{2}'", cursor.origin(), i, Printable(tokens[i]));
    }
    if (tokens[i] == "<mask>") types[i] = 3;
  }
  for (const std::int32_t id : {s.bos, s.eos, s.pad}) types[static_cast<std::size_t>(id)] = 3;
  types[static_cast<std::size_t>(s.unk)] = 2;
  m.Set("tokenizer.ggml.tokens", std::move(tokens));
  m.Set("tokenizer.ggml.scores", std::move(scores));
  m.Set("tokenizer.ggml.token_type", std::move(types));
  return Ok{};
}

bool IsCharacter(std::uint32_t code) {
  return code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

Result<> ReadCharacterMap(GgufCursor& cursor, Metadata& m) {
  TATARA_TRY(const auto n, ReadCount(cursor, "map_entries", 0, kE5MapEntriesMax));
  TATARA_TRY(const auto n_bytes, cursor.Read<std::uint32_t>("map_bytes"));
  const std::uint64_t end = cursor.position() + n_bytes;
  std::vector<std::int64_t> from, count, to;
  std::int64_t last = -1;
  for (std::int32_t i = 0; i < n; ++i) {
    cursor.Enter("map", static_cast<std::uint64_t>(i));
    const std::uint64_t at = cursor.position();
    TATARA_TRY(const auto code, cursor.Read<std::uint32_t>("code_point"));
    TATARA_TRY(const auto n_to, cursor.Read<std::uint8_t>("count"));
    if (!IsCharacter(code) || static_cast<std::int64_t>(code) <= last) {
      return Refuse("{0}: the character map at byte {1} has U+{2} after U+{3}", cursor.origin(), at,
                    fmt::format("{:04X}", code), fmt::format("{:04X}", last < 0 ? 0 : last));
    }
    last = code;
    from.push_back(code);
    count.push_back(n_to);
    for (int k = 0; k < n_to; ++k) {
      TATARA_TRY(const auto replacement, cursor.Read<std::uint32_t>("replacement"));
      if (!IsCharacter(replacement)) {
        return Refuse("{0}: the character map at byte {1} replaces by {2}, which is no character",
                      cursor.origin(), at, replacement);
      }
      to.push_back(replacement);
    }
  }
  if (cursor.position() != end) {
    return Refuse("{0}: the character map ends at byte {1}, expected {2}", cursor.origin(),
                  cursor.position(), end);
  }
  m.Set("tokenizer.e5.charmap_from", std::move(from));
  m.Set("tokenizer.e5.charmap_count", std::move(count));
  m.Set("tokenizer.e5.charmap_to", std::move(to));
  return Ok{};
}

// What must be there: the container's name, GGUF's, and the shape.
struct Expected {
  std::string name;
  std::int64_t n_rows, n_cols;
  bool matrix;  // may be Q4_0
};

std::map<std::string, Expected> ExpectedTensors(const Sizes& s) {
  std::map<std::string, Expected> all = {
      {"emb.word", {"token_embd.weight", s.rows, s.hidden, true}},
      {"emb.pos", {"position_embd.weight", s.positions, s.hidden, true}},
      {"emb.type", {"token_types.weight", s.types, s.hidden, true}},
      {"emb.ln.w", {"token_embd_norm.weight", 1, s.hidden, false}},
      {"emb.ln.b", {"token_embd_norm.bias", 1, s.hidden, false}},
  };
  struct Part {
    const char *from, *to;
    std::int64_t n_rows, n_cols;  // n_cols 0: a norm
  };
  const Part parts[] = {
      {"q", "attn_q", s.hidden, s.hidden},      {"k", "attn_k", s.hidden, s.hidden},
      {"v", "attn_v", s.hidden, s.hidden},      {"ao", "attn_output", s.hidden, s.hidden},
      {"aln", "attn_output_norm", s.hidden, 0}, {"fi", "ffn_up", s.ff, s.hidden},
      {"fo", "ffn_down", s.hidden, s.ff},       {"oln", "layer_output_norm", s.hidden, 0}};
  for (std::int32_t i = 0; i < s.layers; ++i) {
    for (const Part& p : parts) {
      const std::string from = fmt::format("l{}.{}.", i, p.from);
      const std::string to = fmt::format("blk.{}.{}.", i, p.to);
      const bool norm = p.n_cols == 0;
      all[from + "w"] = {to + "weight", norm ? 1 : p.n_rows, norm ? p.n_rows : p.n_cols, !norm};
      all[from + "b"] = {to + "bias", 1, p.n_rows, false};
    }
  }
  return all;
}

// One directory entry. `end`: where the tensor before it ends; moved on.
Result<> ReadTensor(GgufCursor& cursor, ByteSpan file, std::map<std::string, Expected>& missing,
                    std::uint64_t& end, E5Head& head) {
  TATARA_TRY(const auto length, cursor.Read<std::uint16_t>("name_length"));
  TATARA_TRY(const ByteSpan name_bytes, cursor.ReadBytes("name", length));
  TATARA_TRY(const auto code, cursor.Read<std::uint8_t>("dtype"));
  TATARA_TRY(const auto elements, cursor.Read<std::uint32_t>("elements"));
  TATARA_TRY(const auto offset, cursor.Read<std::uint64_t>("offset"));
  TATARA_TRY(const auto n_bytes, cursor.Read<std::uint64_t>("bytes"));
  const std::string name(AsText(name_bytes));
  const auto at = missing.find(name);
  if (at == missing.end()) {
    return Refuse("{0}: the tensor '{1}' is unknown or there twice", cursor.origin(),
                  Printable(name));
  }
  const Expected expected = at->second;
  missing.erase(at);
  if (code > (expected.matrix ? 1 : 0)) {
    return Refuse("{0}: tensor '{1}' has the unknown type {2} (byte {3})", cursor.origin(),
                  Printable(name), static_cast<int>(code), cursor.position() - 21);
  }
  const DType dtype = code == 0 ? DType::kF32 : DType::kQ4_0;
  const auto wanted = CountedBytes(dtype, static_cast<std::uint64_t>(expected.n_cols),
                                   static_cast<std::uint64_t>(expected.n_rows));
  if (elements != expected.n_rows * expected.n_cols || !wanted || n_bytes != *wanted) {
    return Refuse("{0}: tensor '{1}' has {2} values in {3} bytes, expected {4} in {5}",
                  cursor.origin(), Printable(name), elements, n_bytes,
                  expected.n_rows * expected.n_cols, wanted.value_or(0));
  }
  if (offset % 64 != 0 || offset < end || offset > file.size() || n_bytes > file.size() - offset) {
    return Refuse(
        "{0}: tensor '{1}' has {2} bytes at byte {3}, expected a multiple of 64 from {4} on inside "
        "the file's {5}",
        cursor.origin(), Printable(name), n_bytes, offset, end, file.size());
  }
  end = offset + n_bytes;
  head.tensors.push_back({.name = expected.name,
                          .dtype = dtype,
                          .n_rows = expected.n_rows,
                          .n_cols = expected.n_cols,
                          .data = file.subspan(offset, n_bytes)});
  return Ok{};
}

Result<> ReadTensors(GgufCursor& cursor, ByteSpan file, const Sizes& s, E5Head& head) {
  auto missing = ExpectedTensors(s);
  cursor.Enter("header", 0);
  const auto n_expected = static_cast<std::int32_t>(missing.size());
  TATARA_TRY(const auto n, ReadCount(cursor, "tensors", n_expected, n_expected));
  std::uint64_t end = 0;
  for (std::int32_t i = 0; i < n; ++i) {
    cursor.Enter("tensor", static_cast<std::uint64_t>(i));
    TATARA_RETURN_IF_ERROR(ReadTensor(cursor, file, missing, end, head));
  }
  // Directory and data must not share bytes.
  const std::uint64_t data_start =
      static_cast<std::uint64_t>(head.tensors.front().data.data() - file.data());
  if (data_start < cursor.position()) {
    return Refuse("{0}: the tensors begin at byte {1}, inside the directory, which ends at {2}",
                  cursor.origin(), data_start, cursor.position());
  }
  if (end != file.size()) {
    return Refuse("{0}: {1} bytes after the last tensor, expected none", cursor.origin(),
                  file.size() - end);
  }
  return Ok{};
}

}  // namespace

Result<E5Head> ReadE5(ByteSpan file, std::string_view origin) {
  GgufCursor cursor(file, origin);
  cursor.Enter("header", 0);
  E5Head head{.metadata = Metadata(std::string(origin)), .tensors = {}};
  TATARA_TRY(const Sizes sizes, ReadSizes(cursor));
  SetSizes(sizes, head.metadata);
  TATARA_RETURN_IF_ERROR(ReadPieces(cursor, sizes, head.metadata));
  TATARA_RETURN_IF_ERROR(ReadCharacterMap(cursor, head.metadata));
  TATARA_RETURN_IF_ERROR(ReadTensors(cursor, file, sizes, head));
  return head;
}

Result<std::unique_ptr<TensorStore>> OpenE5(MappedFile file) {
  TATARA_TRY(E5Head head, ReadE5(file.bytes(), file.path().string()));
  auto store = std::make_unique<HeldStore>(file.path(), std::move(head.metadata));
  store->Keep(std::move(file));
  for (E5Tensor& tensor : head.tensors) {
    TATARA_RETURN_IF_ERROR(
        store->Add(std::move(tensor.name), {.name = {},
                                            .dtype = tensor.dtype,
                                            .n_dims = tensor.n_rows == 1 ? 1 : 2,
                                            .shape = {tensor.n_cols, tensor.n_rows, 1, 1},
                                            .data = tensor.data}));
  }
  return std::unique_ptr<TensorStore>(std::move(store));
}

}  // namespace tatara::weights
