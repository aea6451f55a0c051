#include "microemo/base/device.h"

#include <dlfcn.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>

#include "cuda_plugin.h"
#include "microemo/base/device_kernels.h"
#include "microemo/base/error.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;

using Reason = std::array<char, 1024>;

struct Driver {
  int devices = 0;
  std::string missing;
};

/// Asks the driver itself, so that a machine without a GPU is known in a moment and without loading LibTorch's CUDA libraries.
Driver look_for_driver() {
  void* library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {0, "the NVIDIA driver (libcuda.so.1) is not installed"};
  const auto initialise = reinterpret_cast<int (*)(unsigned)>(::dlsym(library, "cuInit"));
  const auto count = reinterpret_cast<int (*)(int*)>(::dlsym(library, "cuDeviceGetCount"));
  if (initialise == nullptr || count == nullptr) return {0, "libcuda.so.1 is not the NVIDIA driver"};
  if (const int code = initialise(0); code != 0) return {0, fmt::format("the NVIDIA driver finds no usable GPU (code {})", code)};
  int devices = 0;
  if (const int code = count(&devices); code != 0)
    return {0, fmt::format("the NVIDIA driver does not list its GPUs (code {})", code)};
  if (devices == 0) return {0, "no GPU is visible (CUDA_VISIBLE_DEVICES may hide it)"};
  return {devices, ""};
}

struct LoadedPlugin {
  const MicroEmoCudaPlugin* plugin = nullptr;
  std::string missing;
};

/// The plug-in stays loaded to the end of the process: LibTorch's CUDA libraries cannot be unloaded.
LoadedPlugin load_plugin() {
  // Sizes change from step to step, and what grows in place leaves no holes. LibTorch reads it when it is loaded.
  ::setenv("PYTORCH_ALLOC_CONF", "expandable_segments:True", /*replace=*/0);
  std::error_code failure;
  const fs::path file = fs::read_symlink("/proc/self/exe", failure).parent_path() / cuda_plugin_file;
  if (!fs::exists(file, failure))
    return {nullptr, fmt::format("{} is not beside the program (it is built where nvcc is found)", cuda_plugin_file)};
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) return {nullptr, fmt::format("{} cannot be loaded: {}", cuda_plugin_file, ::dlerror())};
  const auto entry = reinterpret_cast<MicroEmoCudaPluginFunction>(::dlsym(library, cuda_plugin_symbol));
  if (entry == nullptr || entry()->interface_version != cuda_interface_version)
    return {nullptr, fmt::format("{} belongs to another build of the program", cuda_plugin_file)};
  return {entry(), ""};
}

const LoadedPlugin& plugin() {
  static const LoadedPlugin loaded = load_plugin();
  return loaded;
}

void list_devices(const MicroEmoCudaPlugin& cuda, std::optional<int> only, CudaSupport& support) {
  Reason reason{};
  int32_t count = 0;
  if (!cuda.device_count(&count, reason.data(), reason.size())) {
    support.missing.emplace_back(reason.data());
    return;
  }
  for (int32_t index = 0; index < count; ++index) {
    if (only && index != *only) {
      support.devices.emplace_back();
      continue;
    }
    MicroEmoCudaDevice facts{};
    if (cuda.device_facts(index, &facts, reason.data(), reason.size()))
      support.devices.push_back({facts.name, facts.total_bytes, facts.free_bytes, facts.major, facts.minor});
    else
      support.missing.push_back(fmt::format("GPU {} cannot be used: {}", index, reason.data()));
  }
}

struct Wish {
  bool automatic = false, cuda = false;
  int index = 0;
  bool operator==(const Wish&) const = default;
};

Wish parse_wish(const std::string& name) {
  if (name == "auto") return {.automatic = true};
  if (name == "cpu") return {};
  if (name == "cuda") return {.cuda = true};
  int index = -1;
  if (name.starts_with("cuda:")) {
    const auto [end, failure] = std::from_chars(name.data() + 5, name.data() + name.size(), index);
    if (failure == std::errc() && end == name.data() + name.size() && index >= 0) return {.cuda = true, .index = index};
  }
  throw ConfigError("there is no device '{}'", name).hint("choose auto, cpu, cuda or cuda:N");
}

Device choose_cuda(const Wish& wish) {
  const CudaSupport support = cuda_support(wish.index);
  if (!support.missing.empty())
    throw EnvironmentError("CUDA cannot be used: {}", fmt::join(support.missing, "; "))
        .hint("install what is missing, or give train.device=cpu");
  if (static_cast<size_t>(wish.index) >= support.devices.size())
    throw EnvironmentError("there is no GPU {}: this machine shows {}", wish.index, support.devices.size())
        .hint("choose a smaller number, or give train.device=cpu");
  const std::string& name = support.devices[static_cast<size_t>(wish.index)].name;
  return {true, wish.index, name, name};
}

Device choose_automatically() {
  if (const Driver driver = look_for_driver(); driver.devices == 0) return {false, 0, driver.missing};
  try {
    return choose_cuda({.cuda = true});
  } catch (const Error& missing) {
    return {false, 0, missing.message()};
  }
}

Device choose(const Wish& wish) {
  if (wish.automatic) return choose_automatically();
  return wish.cuda ? choose_cuda(wish) : Device{false, 0, "the CPU was asked for"};
}

bool serves(const Device& device, const Wish& wish) {
  return wish.automatic || (wish.cuda == device.cuda && (!wish.cuda || wish.index == device.index));
}

const MicroEmoKernels* kernels_of_device = nullptr;
const DeviceGraphs* graphs_of_device = nullptr;

/// Calls a function of the plug-in, or throws Error(environment) with its reason behind `what`.
template <class... Parameters, class... Arguments>
void call_plugin(const char* what, bool (*MicroEmoCudaPlugin::*function)(Parameters...), Arguments... arguments) {
  const MicroEmoCudaPlugin* loaded = plugin().plugin;
  if (loaded == nullptr) throw EnvironmentError("CUDA cannot be used: {}", plugin().missing).hint("give train.device=cpu");
  Reason reason{};
  if (!(loaded->*function)(arguments..., reason.data(), reason.size()))
    throw EnvironmentError("{}: {}", what, reason.data()).hint("check the driver, or give train.device=cpu");
}

void* begin_cuda_graph() {
  void* graph = nullptr;
  call_plugin("the GPU records no work", &MicroEmoCudaPlugin::begin_graph, &graph);
  return graph;
}
void end_cuda_graph(void* graph) { call_plugin("the GPU's record of work failed", &MicroEmoCudaPlugin::end_graph, graph); }
void run_cuda_graph(void* graph) { call_plugin("the GPU refused recorded work", &MicroEmoCudaPlugin::run_graph, graph); }
void free_cuda_graph(void* graph) { plugin().plugin->free_graph(graph); }

/// What is computed from now on may go to this GPU.
void take_into_use(const Device& device) {
  static constexpr DeviceGraphs graphs{begin_cuda_graph, end_cuda_graph, run_cuda_graph, free_cuda_graph};
  call_plugin("the GPU cannot be used", &MicroEmoCudaPlugin::use_device, device.index);
  set_device_kernels(plugin().plugin->kernels);
  set_device_graphs(&graphs);
}

}  // namespace

const MicroEmoKernels* device_kernels() { return kernels_of_device; }

void set_device_kernels(const MicroEmoKernels* kernels) { kernels_of_device = kernels; }

const DeviceGraphs* device_graphs() { return graphs_of_device; }

void set_device_graphs(const DeviceGraphs* graphs) { graphs_of_device = graphs; }

CudaMemory cuda_memory(int index) {
  MicroEmoCudaMemory memory{};
  call_plugin("the GPU's memory is not known", &MicroEmoCudaPlugin::memory, index, &memory);
  return {memory.allocated, memory.reserved, memory.peak_allocated, memory.peak_reserved};
}

void wait_for_cuda(int index) { call_plugin("the GPU failed", &MicroEmoCudaPlugin::wait, index); }

void make_nccl_group(void* store, int64_t rank, int64_t world, int device, double timeout_s, void* group) {
  const MicroEmoNcclMeeting meeting{store, static_cast<int32_t>(rank), static_cast<int32_t>(world), device, timeout_s};
  call_plugin("NCCL cannot be used", &MicroEmoCudaPlugin::nccl_group, &meeting, group);
}

CudaSupport cuda_support(std::optional<int> only) {
  CudaSupport support;
  const Driver driver = look_for_driver();
  if (!driver.missing.empty()) support.missing.push_back(driver.missing);
  const LoadedPlugin& loaded = plugin();
  support.plugin_loaded = loaded.plugin != nullptr;
  if (!support.plugin_loaded) support.missing.push_back(loaded.missing);
  if (support.plugin_loaded && support.missing.empty()) list_devices(*loaded.plugin, only, support);
  return support;
}

void check_cuda_device(int index) {
  call_plugin(fmt::format("GPU {} does not compute as it should", index).c_str(), &MicroEmoCudaPlugin::self_check, index);
}

std::string device_text(const Device& device) { return device.cuda ? "cuda: " + device.name : "cpu"; }

Device choose_device(const std::string& name) {
  static std::optional<Device> chosen;
  const Wish wish = parse_wish(name);
  if (!chosen) {
    chosen = choose(wish);
    if (chosen->cuda) take_into_use(*chosen);
  }
  if (!serves(*chosen, wish))
    throw EnvironmentError("the device '{}' is loaded too late: {} was chosen before", name,
                           chosen->cuda ? fmt::format("cuda:{}", chosen->index) : "cpu")
        .hint("choose the device once, at the start of the program");
  return *chosen;
}

}  // namespace microemo
