// doctor: what this machine can do, measured where it can be.
#include <fmt/format.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "commands.h"
#include "json_output.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/numerics/isa.h"
#include "tatara/weights/catalogue.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

struct Machine {
  std::string cpu;
  std::vector<std::string> isas;
  std::string active_isa;
  int threads = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_available_bytes = 0;
  std::uint64_t disk_free_bytes = 0;
  double read_bytes_per_s = 0;
};

std::string FieldOf(const char* file, std::string_view field) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(field)) continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? std::string() : line.substr(start);
  }
  return {};
}

// Memory that can be had without swapping, as the kernel estimates it.
std::uint64_t AvailableMemory() {
  const std::string text = FieldOf("/proc/meminfo", "MemAvailable");
  return text.empty() ? 0 : std::strtoull(text.c_str(), nullptr, 10) * 1024;
}

// Best of some passes that all threads read together; larger than any cache of such a machine.
double MeasureReadBandwidth(std::uint64_t available_bytes) {
  const std::size_t bytes =
      std::min<std::uint64_t>(512u << 20, available_bytes / 4) & ~std::size_t{4095};
  if (bytes < (16u << 20)) return 0;
  const std::unique_ptr<char[]> memory(new (std::nothrow) char[bytes]);
  if (memory == nullptr) return 0;
  std::memset(memory.get(), 1, bytes);
  ThreadPool pool(ThreadPool::HardwareThreads());
  constexpr std::size_t kPiece = 1 << 20;
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(pool.n_threads()) * 8);
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    const auto start = std::chrono::steady_clock::now();
    pool.For(static_cast<std::int64_t>(bytes / kPiece), [&](std::int64_t piece, int thread) {
      const char* from = memory.get() + static_cast<std::size_t>(piece) * kPiece;
      std::uint64_t sum[8] = {};
      for (std::size_t i = 0; i < kPiece; i += 64) {
        for (int j = 0; j < 8; ++j) {
          std::uint64_t word;
          std::memcpy(&word, from + i + 8 * j, 8);
          sum[j] += word;
        }
      }
      for (int j = 0; j < 8; ++j) sums[static_cast<std::size_t>(thread) * 8 + j] += sum[j];
    });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(bytes / kPiece * kPiece) / seconds.count());
  }
  std::uint64_t total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  return total == 0 ? 0 : best;  // `total` keeps the reads alive
}

Machine Examine() {
  Machine m;
  m.cpu = FieldOf("/proc/cpuinfo", "model name");
  for (const numerics::Isa isa : numerics::AvailableIsas())
    m.isas.emplace_back(numerics::IsaName(isa));
  m.active_isa = numerics::IsaName(numerics::ActiveIsa());
  m.threads = ThreadPool::HardwareThreads();
  struct sysinfo info;
  if (sysinfo(&info) == 0)
    m.memory_bytes = static_cast<std::uint64_t>(info.totalram) * info.mem_unit;
  m.memory_available_bytes = AvailableMemory();
  std::filesystem::path folder = TataraHome();
  std::error_code ignored;
  while (!std::filesystem::exists(folder, ignored) && folder.has_parent_path() &&
         folder != folder.parent_path()) {
    folder = folder.parent_path();
  }
  const auto space = std::filesystem::space(folder, ignored);
  if (!ignored) m.disk_free_bytes = space.available;
  m.read_bytes_per_s = MeasureReadBandwidth(m.memory_available_bytes);
  return m;
}

// A model's weights are packed into memory beside the mapped file, and the cache and scratch come
// on top; the file's own pages can be dropped by the kernel. Measured: 1.3 times the file covers it
// up to 8k tokens.
constexpr double kMemoryPerFileByte = 1.3;

std::uint64_t LargestFile(const Machine& m) {
  return static_cast<std::uint64_t>(static_cast<double>(m.memory_available_bytes) /
                                    kMemoryPerFileByte);
}

std::string LargestCatalogueModel(std::uint64_t bytes_max) {
  const auto catalogue = weights::LoadCatalogue(TataraHome());
  std::string best;
  std::uint64_t best_bytes = 0;
  if (!catalogue.ok()) return best;
  for (const weights::CatalogueEntry& model : catalogue->models) {
    if (model.kind != "chat") continue;
    const std::uint64_t bytes = model.n_bytes();
    if (bytes <= bytes_max && bytes > best_bytes) {
      best = model.name;
      best_bytes = bytes;
    }
  }
  return best;
}

}  // namespace

Result<int> Doctor(const DoctorOptions& options) {
  if (options.isa) {
    Json list = Json::array();
    for (const numerics::Isa isa : numerics::AvailableIsas())
      list.push_back(numerics::IsaName(isa));
    if (options.json) {
      OutJson(list);
    } else {
      for (const auto& name : list) Out(name.get<std::string>() + "\n");
    }
    return 0;
  }
  const Machine m = Examine();
  const std::uint64_t largest = LargestFile(m);
  const std::string model = LargestCatalogueModel(largest);
  if (options.json) {
    OutJson({{"cpu", m.cpu},
             {"isa", m.isas},
             {"active_isa", m.active_isa},
             {"threads", m.threads},
             {"memory_bytes", m.memory_bytes},
             {"memory_available_bytes", m.memory_available_bytes},
             {"read_bytes_per_s", m.read_bytes_per_s},
             {"disk_free_bytes", m.disk_free_bytes},
             {"home", TataraHome().string()},
             {"largest_model_bytes", largest},
             {"largest_catalogue_model", model}});
    return 0;
  }
  const auto gb = [](double bytes) { return FormatBytes(bytes); };
  Out(Tr("processor            {0}", m.cpu) + "\n");
  Out(Tr("instruction sets     {0} (in use: {1})", fmt::format("{}", fmt::join(m.isas, " ")),
         m.active_isa) +
      "\n");
  Out(Tr("threads              {0}", m.threads) + "\n");
  Out(Tr("memory               {0}, {1} free for a model", gb(static_cast<double>(m.memory_bytes)),
         gb(static_cast<double>(m.memory_available_bytes))) +
      "\n");
  Out(Tr("memory bandwidth     {0}/s, read by all threads (measured now)", gb(m.read_bytes_per_s)) +
      "\n");
  Out(Tr("disk                 {0} free for {1}", gb(static_cast<double>(m.disk_free_bytes)),
         TataraHome().string()) +
      "\n");
  Out(Tr("largest model        a file of {0}; of the catalogue: {1}",
         gb(static_cast<double>(largest)), model.empty() ? "-" : model) +
      "\n");
  if (!model.empty() && m.read_bytes_per_s > 0) {
    Out(Tr("what to expect       a 1 GB model writes at most {0} tokens/s here: each token reads "
           "all weights",
           fmt::format("{:.1f}", m.read_bytes_per_s / 1e9)) +
        "\n");
  }
  return 0;
}

}  // namespace tatara::cli
