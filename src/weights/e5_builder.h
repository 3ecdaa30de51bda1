// For tests: a small E5S1 file, field by field.
#pragma once

#include <string>

#include "gguf_builder.h"

namespace tatara::weights::test {

struct E5Sizes {
  std::int32_t hidden = 32, layers = 1, heads = 4, ff = 64, rows = 6, positions = 8, types = 2;
};

class E5Builder {
 public:
  explicit E5Builder(const E5Sizes& s = {}) {
    bytes_ = "E5S1";
    Mark("version").Put<std::uint32_t>(1).Mark("hidden").Put(s.hidden).Mark("layers").Put(s.layers);
    Mark("heads").Put(s.heads).Mark("ff").Put(s.ff).Mark("rows").Put(s.rows);
    Mark("positions").Put(s.positions).Mark("types").Put(s.types).Mark("epsilon").Put(1e-12F);
    Mark("block").Put<std::int32_t>(32).Mark("pieces").Put<std::int32_t>(5);
    Mark("bos").Put<std::int32_t>(0).Put<std::int32_t>(2).Put<std::int32_t>(1);
    Mark("unk").Put<std::int32_t>(3);
    const std::string text = "<s><pad></s><unk>\xE2\x96\x81";
    Mark("text_bytes").Put<std::uint64_t>(text.size()).Mark("offsets");
    for (const std::uint32_t at : {0, 3, 8, 12, 17, 20}) Put(at);
    Mark("scores");
    for (int i = 0; i < 5; ++i) Put(-1.0F * static_cast<float>(i));
    Mark("text");
    bytes_ += text;
    Mark("map_entries").Put<std::int32_t>(2).Mark("map_bytes").Put<std::uint32_t>(14);
    Mark("map").Put<std::uint32_t>(7).Put<std::uint8_t>(0);
    Mark("map1").Put<std::uint32_t>(0xFF71).Put<std::uint8_t>(1).Put<std::uint32_t>(0x30A2);
    Tensors(s);
  }
  E5Builder& Mark(const std::string& name) {
    marks_[name] = bytes_.size();
    return *this;
  }
  template <typename T>
  E5Builder& Put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }
  std::size_t At(const std::string& mark) const { return marks_.at(mark); }
  template <typename T>
  std::string With(const std::string& mark, T value, std::size_t skip = 0) const {
    std::string out = bytes_;
    std::memcpy(out.data() + At(mark) + skip, &value, sizeof value);
    return out;
  }

 private:
  struct Tensor {
    std::string name;
    std::uint8_t dtype;
    std::uint32_t elements;
  };
  void Tensors(const E5Sizes& s) {
    const auto u = [](std::int32_t a, std::int32_t b = 1) {
      return static_cast<std::uint32_t>(a * b);
    };
    std::vector<Tensor> all = {{"emb.word", 1, u(s.rows, s.hidden)},
                               {"emb.pos", 0, u(s.positions, s.hidden)},
                               {"emb.type", 0, u(s.types, s.hidden)},
                               {"emb.ln.w", 0, u(s.hidden)},
                               {"emb.ln.b", 0, u(s.hidden)}};
    for (std::int32_t i = 0; i < s.layers; ++i) {
      const std::string l = "l" + std::to_string(i) + ".";
      for (const char* name : {"q", "k", "v", "ao"}) {
        all.push_back({l + name + ".w", 1, u(s.hidden, s.hidden)});
        all.push_back({l + name + ".b", 0, u(s.hidden)});
      }
      all.push_back({l + "fi.w", 1, u(s.ff, s.hidden)});
      all.push_back({l + "fi.b", 0, u(s.ff)});
      all.push_back({l + "fo.w", 1, u(s.ff, s.hidden)});
      for (const char* name : {"fo.b", "aln.w", "aln.b", "oln.w", "oln.b"}) {
        all.push_back({l + name, 0, u(s.hidden)});
      }
    }
    std::size_t directory = 4;
    for (const Tensor& t : all) directory += 2 + t.name.size() + 1 + 4 + 8 + 8;
    Mark("tensors");
    std::uint64_t offset = Aligned(bytes_.size() + directory);
    Put(static_cast<std::int32_t>(all.size()));
    for (const Tensor& t : all) {
      const std::uint64_t n = t.dtype == 0 ? 4 * t.elements : t.elements / 32 * 18;
      Mark(t.name).Put(static_cast<std::uint16_t>(t.name.size()));
      bytes_ += t.name;
      Mark(t.name + ".dtype").Put(t.dtype).Mark(t.name + ".elements").Put(t.elements);
      Mark(t.name + ".offset").Put(offset).Mark(t.name + ".bytes").Put(n);
      end_ = offset + n;
      offset = Aligned(end_);
    }
    bytes_.resize(end_, '\1');
  }
  static std::uint64_t Aligned(std::uint64_t n) { return (n + 63) / 64 * 64; }

  std::string bytes_;
  std::uint64_t end_ = 0;
  std::map<std::string, std::size_t> marks_;
};

}  // namespace tatara::weights::test
