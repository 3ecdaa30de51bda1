// Re-lays the rows of a file into groups of 16 (packed_layout.h). Quants are moved four values at a
// time, as the bytes of 32-bit words.
#include <cstring>

#include "packed_matrix.h"
#include "raw_blocks.h"
#include "tatara/base/check.h"

namespace tatara::numerics {
namespace {

constexpr std::uint32_t kLowNibbles = 0x0f0f0f0f;

// The word of one row in a line.
void PutWord(std::uint8_t* lines, int line, std::uint32_t word) {
  StoreLe(lines + line * kLineBytes, word);
}
void PutHalf(std::uint8_t* scales, int index, std::uint16_t half) {
  StoreLe(scales + index * 2 * kGroupRows, half);
}

// Every fourth bit of x, from bit 0, gathered into eight bits.
std::uint32_t EveryFourthBit(std::uint32_t x) {
  x &= 0x11111111;
  x = (x | x >> 3) & 0x03030303;
  x = (x | x >> 6) & 0x000f000f;
  return (x | x >> 12) & 0xff;
}

// Bit k of `bits` belongs to value k = 4 s + b; in the line it is bit s of byte b.
std::uint32_t FifthBitsWord(std::uint32_t bits) {
  std::uint32_t word = 0;
  for (int b = 0; b < 4; ++b) word |= EveryFourthBit(bits >> b) << (8 * b);
  return word;
}

// Steps 0..7 of 32 values (low nibbles count) as four words.
void PutNibbles(const std::uint32_t* steps, std::uint8_t* lines) {
  for (int i = 0; i < 4; ++i) {
    PutWord(lines, i, (steps[i] & kLowNibbles) | (steps[i + 4] & kLowNibbles) << 4);
  }
}

// PutRow writes one row's block; `quants` and `scales` already point at the row's place in the
// group.

void PutRow(const RawQ8_0& b, std::uint8_t* quants, std::uint8_t* scales) {
  for (int s = 0; s < 8; ++s) {
    PutWord(quants, s, LoadLe<std::uint32_t>(b.q + 4 * s) ^ 0x80808080);  // q + 128, bytewise
  }
  PutHalf(scales, 0, b.d);
}

// The blocks of 32 with 4 bits have the line's order of nibbles already.
template <typename Block>
void PutStoredNibbles(const Block& b, std::uint8_t* quants) {
  for (int i = 0; i < 4; ++i) PutWord(quants, i, LoadLe<std::uint32_t>(b.q + 4 * i));
}

void PutRow(const RawQ4_0& b, std::uint8_t* quants, std::uint8_t* scales) {
  PutStoredNibbles(b, quants);
  PutHalf(scales, 0, b.d);
}

void PutRow(const RawQ4_1& b, std::uint8_t* quants, std::uint8_t* scales) {
  PutStoredNibbles(b, quants);
  PutHalf(scales, 0, b.d);
  PutHalf(scales, 1, b.m);
}

void PutRow(const RawQ5_0& b, std::uint8_t* quants, std::uint8_t* scales) {
  PutStoredNibbles(b, quants);
  PutWord(quants, 4, FifthBitsWord(LoadLe<std::uint32_t>(b.high)));
  PutHalf(scales, 0, b.d);
}

void PutRow(const RawQ5_1& b, std::uint8_t* quants, std::uint8_t* scales) {
  PutStoredNibbles(b, quants);
  PutWord(quants, 4, FifthBitsWord(LoadLe<std::uint32_t>(b.high)));
  PutHalf(scales, 0, b.d);
  PutHalf(scales, 1, b.m);
}

// Scales and the nibbles of sub-block j, which fill the low or high halves of 32 bytes.
template <typename Block>
void PutScalesOfK(const Block& b, std::uint8_t* quants, std::uint8_t* scales) {
  for (int i = 0; i < 3; ++i) PutWord(quants, i, LoadLe<std::uint32_t>(b.scales + 4 * i));
  PutHalf(scales, 0, b.d);
  PutHalf(scales, 1, b.dmin);
}
template <typename Block>
void PutSubBlockNibbles(const Block& b, int j, std::uint8_t* lines) {
  std::uint32_t steps[8];
  for (int s = 0; s < 8; ++s) {
    steps[s] = LoadLe<std::uint32_t>(b.q + j / 2 * 32 + 4 * s) >> (j % 2 * 4);
  }
  PutNibbles(steps, lines);
}

void PutRow(const RawQ4_K& b, std::uint8_t* quants, std::uint8_t* scales) {
  PutScalesOfK(b, quants, scales);
  for (int j = 0; j < 8; ++j) PutSubBlockNibbles(b, j, quants + (3 + 4 * j) * kLineBytes);
}

void PutRow(const RawQ5_K& b, std::uint8_t* quants, std::uint8_t* scales) {
  PutScalesOfK(b, quants, scales);
  for (int j = 0; j < 8; ++j) {
    std::uint8_t* lines = quants + (3 + 5 * j) * kLineBytes;
    PutSubBlockNibbles(b, j, lines);
    std::uint32_t high = 0;
    for (int s = 0; s < 8; ++s) {
      high |= (LoadLe<std::uint32_t>(b.high + 4 * s) >> j & 0x01010101) << s;
    }
    PutWord(lines, 4, high);
  }
}

void PutRow(const RawQ6_K& b, std::uint8_t* quants, std::uint8_t* scales) {
  for (int i = 0; i < 4; ++i) PutWord(quants, i, LoadLe<std::uint32_t>(b.scales + 4 * i));
  for (int j = 0; j < 8; ++j) {  // quarter c of half h: see SixBits in dtype.cc
    const int h = j / 4;
    const int c = j % 4;
    std::uint8_t* lines = quants + (4 + 6 * j) * kLineBytes;
    std::uint32_t steps[8];
    std::uint32_t high[2] = {0, 0};
    for (int s = 0; s < 8; ++s) {
      steps[s] = LoadLe<std::uint32_t>(b.low + 64 * h + 32 * (c % 2) + 4 * s) >> (c / 2 * 4);
      const std::uint32_t top =
          LoadLe<std::uint32_t>(b.high + 32 * h + 4 * s) >> (2 * c) & 0x03030303;
      high[s / 4] |= top << (2 * (s % 4));
    }
    PutNibbles(steps, lines);
    PutWord(lines, 4, high[0]);
    PutWord(lines, 5, high[1]);
  }
  PutHalf(scales, 0, b.d);
}

template <typename Block>
void PackGroup(const Matrix::Packed& m, std::int64_t group, const std::byte* raw, std::int64_t rows,
               std::uint8_t* out) {
  const PackedTraits traits = m.traits();
  const std::int64_t n_blocks = m.n_blocks();
  const std::int64_t row_bytes = n_blocks * static_cast<std::int64_t>(sizeof(Block));
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::byte* from = raw + (group * kGroupRows + r) * row_bytes;
    std::uint8_t* quants = out + 4 * r;
    std::uint8_t* scales = out + n_blocks * traits.quant_bytes + 2 * r;
    for (std::int64_t b = 0; b < n_blocks; ++b) {
      PutRow(LoadLe<Block>(from + b * sizeof(Block)), quants + b * traits.quant_bytes,
             scales + b * traits.scale_bytes);
    }
  }
}

template <typename Value>
void PackPlainGroup(const Matrix::Packed& m, std::int64_t group, const std::byte* raw,
                    std::int64_t rows, std::uint8_t* out) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::byte* from =
        raw + (group * kGroupRows + r) * m.n_cols * static_cast<std::int64_t>(sizeof(Value));
    for (std::int64_t k = 0; k < m.n_cols; ++k) {
      StoreLe(out + (k * kGroupRows + r) * sizeof(Value), LoadLe<Value>(from + k * sizeof(Value)));
    }
  }
}

void PackRawGroup(const Matrix::Packed& m, std::int64_t group, const std::byte* raw,
                  std::int64_t rows, std::uint8_t* out) {
  const std::int64_t n_blocks = m.n_blocks();
  const auto block_bytes = static_cast<std::int64_t>(m.traits().quant_bytes / kGroupRows);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::byte* from = raw + (group * kGroupRows + r) * n_blocks * block_bytes;
    for (std::int64_t b = 0; b < n_blocks; ++b) {
      std::memcpy(out + (b * kGroupRows + r) * block_bytes, from + b * block_bytes,
                  static_cast<std::size_t>(block_bytes));
    }
  }
}

using PackGroupFn = void (*)(const Matrix::Packed&, std::int64_t, const std::byte*, std::int64_t,
                             std::uint8_t*);
constexpr PackGroupFn kPackGroup[kRelaidTypes] = {
    PackPlainGroup<std::uint32_t>,
    PackPlainGroup<std::uint16_t>,
    PackPlainGroup<std::uint16_t>,
    PackGroup<RawQ8_0>,
    PackGroup<RawQ4_0>,
    PackGroup<RawQ4_1>,
    PackGroup<RawQ5_0>,
    PackGroup<RawQ5_1>,
    PackGroup<RawQ4_K>,
    PackGroup<RawQ5_K>,
    PackGroup<RawQ6_K>,
};

PackGroupFn PackerOf(DType dtype) {
  return IsRaw(dtype) ? PackRawGroup : kPackGroup[static_cast<int>(dtype)];
}

}  // namespace

Matrix::Matrix() = default;
Matrix::~Matrix() = default;
Matrix::Matrix(Matrix&&) noexcept = default;
Matrix& Matrix::operator=(Matrix&&) noexcept = default;

DType Matrix::dtype() const {
  return packed_->dtype;
}
std::int64_t Matrix::n_rows() const {
  return packed_ ? packed_->n_rows : 0;
}
std::int64_t Matrix::n_cols() const {
  return packed_ ? packed_->n_cols : 0;
}
std::int64_t Matrix::packed_bytes() const {
  return packed_ ? packed_->n_groups * packed_->group_bytes : 0;
}
bool Matrix::empty() const {
  return packed_ == nullptr;
}

Matrix Matrix::Pack(DType dtype, std::int64_t n_rows, std::int64_t n_cols, ByteSpan raw,
                    ThreadPool& pool) {
  const PackedTraits traits = PackedTraitsOf(dtype);
  TATARA_CHECK(n_rows >= 0 && n_cols >= 0 && n_cols % traits.block_elements == 0);
  TATARA_CHECK(static_cast<std::int64_t>(raw.size()) == n_rows * StorageBytes(dtype, n_cols));
  Matrix matrix;
  matrix.packed_ = std::make_unique<Packed>();
  Packed& m = *matrix.packed_;
  m.dtype = dtype;
  m.n_rows = n_rows;
  m.n_cols = n_cols;
  m.n_groups = (n_rows + kGroupRows - 1) / kGroupRows;
  const std::int64_t bytes = m.n_blocks() * (traits.quant_bytes + traits.scale_bytes);
  m.group_bytes = (bytes + kLineBytes - 1) / kLineBytes * kLineBytes;
  m.data = AlignedBuffer(static_cast<std::size_t>(m.n_groups * m.group_bytes));
  pool.For(m.n_groups, [&](std::int64_t group, int) {
    auto* out = m.data.as<std::uint8_t>() + group * m.group_bytes;
    const std::int64_t rows = std::min<std::int64_t>(kGroupRows, n_rows - group * kGroupRows);
    if (rows < kGroupRows) std::memset(out, 0, static_cast<std::size_t>(m.group_bytes));
    PackerOf(dtype)(m, group, raw.data(), rows, out);
  });
  return matrix;
}

}  // namespace tatara::numerics
