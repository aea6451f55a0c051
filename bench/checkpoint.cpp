// The C++ side of bench/checkpoint: one measurement a call, printed as numbers for the script to pair.
//
//   checkpoint_bench sparse FOLDER GB       write a folder of sparse safetensors shards
//   checkpoint_bench dense FILE GB          write a safetensors file of random bytes
//   checkpoint_bench pth FILE GB            write a .pth of random bytes
//   checkpoint_bench rewrite FILES…         read each safetensors file and write it again beside it, as FILE.again
//   checkpoint_bench open PATH              seconds to open, resident MB that it took, resident MB after reading one tensor
//   checkpoint_bench scan FILE ROUNDS       seconds to read() in blocks of 128 KB, and through the mapping, in turns
//   checkpoint_bench copy FILE ROUNDS       seconds of memcpy between two buffers, of opening and copy_to, and of copy_to from
//                                           an open file, in turns
//   checkpoint_bench load FILE              seconds to open and to add up every byte
//   checkpoint_bench peak FILE              peak resident MB beyond the start, and MB of the tensors copied out

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/randn.h>

#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/tensor_source.h"
#include "microemo/checkpoint/tensor_writer.h"
#include "microemo/checkpoint/tensors.h"

namespace {

namespace fs = std::filesystem;
using namespace microemo;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

template <class Action>
double seconds(Action action) {
  const double start = now();
  action();
  return now() - start;
}

double resident_mb() {
  std::ifstream file("/proc/self/statm");
  long all = 0, resident = 0;
  file >> all >> resident;
  return static_cast<double>(resident * 4096) / 1e6;
}

double peak_mb() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) * 1024 / 1e6;
  return 0;
}

uint64_t sum_of(const void* bytes, size_t size) {
  const auto* words = static_cast<const uint64_t*>(bytes);
  uint64_t sum = 0;
  for (size_t i = 0; i < size / 8; ++i) sum += words[i];
  return sum;
}

volatile uint64_t sink = 0;

void write_sparse_shard(const fs::path& path, int shard, int tensors, uint64_t bytes_each) {
  std::string header = "{";
  for (int i = 0; i < tensors; ++i)
    header += fmt::format(R"({}"layers.{}.{}.weight":{{"dtype":"BF16","shape":[{},4096],"data_offsets":[{},{}]}})", i ? "," : "",
                          shard, i, bytes_each / 8192, i * bytes_each, (i + 1) * bytes_each);
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t size = header.size();
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(&size), 8) << header;
  fs::resize_file(path, 8 + size + static_cast<uint64_t>(tensors) * bytes_each);
}

int write_sparse(const fs::path& folder, double gigabytes) {
  constexpr int shards = 3, tensors = 97;  // 291 tensors, as LLaMA 7B has
  const auto bytes_each = static_cast<uint64_t>(gigabytes * 1e9 / shards / tensors / 8192) * 8192;
  fs::create_directories(folder);
  Json places = Json::object();
  for (int shard = 0; shard < shards; ++shard) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shards);
    write_sparse_shard(folder / name, shard, tensors, bytes_each);
    for (int i = 0; i < tensors; ++i) places[fmt::format("layers.{}.{}.weight", shard, i)] = name;
  }
  write_json(folder / "model.safetensors.index.json", {{"metadata", Json::object()}, {"weight_map", places}});
  return 0;
}

/// 16 tensors of float32.
int write_dense(const fs::path& path, double gigabytes, bool pth) {
  const auto rows = static_cast<int64_t>(gigabytes * 1e9 / 16 / 4096 / 4);
  std::vector<checkpoint::TensorPlan> plan;
  for (int i = 0; i < 16; ++i) plan.push_back({fmt::format("layers.{}.weight", i), at::kFloat, {rows, 4096}});
  const at::Tensor values = at::randn({rows, 4096});
  const auto make = [&](const checkpoint::TensorPlan&) { return values; };
  if (pth)
    checkpoint::write_pth(path, plan, make);
  else
    checkpoint::write_safetensors_file(path, plan, make);
  return 0;
}

int open_once(const fs::path& path) {
  const double before = resident_mb();
  const double start = now();
  const checkpoint::TensorSource source(path);
  std::vector<at::Tensor> tensors;
  for (const auto& entry : source.entries()) tensors.push_back(source.tensor(entry));
  const double took = now() - start, opened = resident_mb();
  sink = sum_of(tensors[0].const_data_ptr(), tensors[0].nbytes());
  uint64_t bytes = 0;
  for (const auto& entry : source.entries()) bytes += entry.bytes;
  std::printf("%.6f %.3f %.3f %.3f %.3f\n", took, opened - before, resident_mb() - opened,
              static_cast<double>(tensors[0].nbytes()) / 1e6, static_cast<double>(bytes) / 1e9);
  return 0;
}

double scan_by_read(const fs::path& path) {
  std::vector<uint64_t> block(128 * 1024 / 8);
  return seconds([&] {
    const int file = ::open(path.c_str(), O_RDONLY);
    uint64_t sum = 0;
    for (ssize_t got = 1; got > 0;) {
      got = ::read(file, block.data(), block.size() * 8);
      if (got > 0) sum += sum_of(block.data(), static_cast<size_t>(got));
    }
    ::close(file);
    sink = sum;
  });
}

double scan_mapped(const fs::path& path) {
  return seconds([&] {
    const checkpoint::TensorSource source(path);
    uint64_t sum = 0;
    for (const auto& entry : source.entries()) {
      const at::Tensor tensor = source.tensor(entry);
      sum += sum_of(tensor.const_data_ptr(), tensor.nbytes());
    }
    sink = sum;
  });
}

int scan(const fs::path& path, int rounds) {
  scan_by_read(path);
  for (int i = 0; i < rounds; ++i) {
    const double read = scan_by_read(path), mapped = scan_mapped(path);
    std::printf("%.6f %.6f\n", read, mapped);
  }
  return 0;
}

int copy(const fs::path& path, int rounds) {
  const checkpoint::TensorSource first(path);
  std::vector<at::Tensor> targets, plain;
  for (const auto& entry : first.entries()) {
    targets.push_back(at::empty_like(first.tensor(entry)).zero_());
    plain.push_back(first.tensor(entry).clone());
  }
  for (int i = 0; i < rounds; ++i) {
    const double copied = seconds([&] {
      for (size_t t = 0; t < plain.size(); ++t) std::memcpy(targets[t].data_ptr(), plain[t].const_data_ptr(), plain[t].nbytes());
    });
    const double mapped = seconds([&] {
      const checkpoint::TensorSource source(path);
      for (size_t t = 0; t < targets.size(); ++t) source.copy_to(source.entries()[t], targets[t]);
    });
    const double open = seconds([&] {
      for (size_t t = 0; t < targets.size(); ++t) first.copy_to(first.entries()[t], targets[t]);
    });
    std::printf("%.6f %.6f %.6f\n", copied, mapped, open);
  }
  return 0;
}

int load(const fs::path& path) {
  const double start = now();
  const checkpoint::TensorSource source(path);
  std::vector<at::Tensor> tensors;
  for (const auto& entry : source.entries()) tensors.push_back(source.tensor(entry));
  const double opened = now() - start;
  uint64_t sum = 0;
  for (const at::Tensor& tensor : tensors) sum += sum_of(tensor.const_data_ptr(), tensor.nbytes());
  sink = sum;
  std::printf("%.6f %.6f\n", opened, now() - start);
  return 0;
}

int peak(const fs::path& path) {
  const checkpoint::TensorSource source(path);
  at::empty({1}).zero_();
  const double before = peak_mb();
  std::vector<at::Tensor> copies;
  double asked = 0;
  for (const auto& entry : source.entries()) {
    const at::Tensor mapped = source.tensor(entry);
    copies.push_back(at::empty(mapped.sizes(), mapped.options()));
    source.copy_to(entry, copies.back());
    asked += static_cast<double>(entry.bytes) / 1e6;
  }
  std::printf("%.3f %.3f\n", peak_mb() - before, asked);
  return 0;
}

int rewrite(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    const checkpoint::TensorSource source(file);
    checkpoint::write_tensors(file + ".again", checkpoint::read_tensors(file), source.metadata());
  }
  return 0;
}

int run(const std::vector<std::string>& words) {
  const std::string& what = words.at(1);
  if (what == "sparse") return write_sparse(words.at(2), std::stod(words.at(3)));
  if (what == "dense" || what == "pth") return write_dense(words.at(2), std::stod(words.at(3)), what == "pth");
  if (what == "rewrite") return rewrite({words.begin() + 2, words.end()});
  if (what == "open") return open_once(words.at(2));
  if (what == "scan") return scan(words.at(2), std::stoi(words.at(3)));
  if (what == "copy") return copy(words.at(2), std::stoi(words.at(3)));
  if (what == "load") return load(words.at(2));
  if (what == "peak") return peak(words.at(2));
  std::fprintf(stderr, "there is no measurement '%s'\n", what.c_str());
  return 2;
}

}  // namespace

int main(int count, char** words) {
  at::set_num_threads(1);
  try {
    return run({words, words + count});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
