#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/formats/zip.h"

// Pickles and files of torch.save by hand, for what no library would write.

namespace microemo::test {

inline std::string little_endian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

inline std::string p_text(std::string_view text) { return "X" + little_endian(text.size(), 4) + std::string(text); }
inline std::string p_int(int64_t value) { return "\x8a\x08" + little_endian(static_cast<uint64_t>(value), 8); }
inline std::string p_global(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }
inline std::string p_tuple(const std::vector<int64_t>& values) {
  std::string text = "(";
  for (const int64_t value : values) text += p_int(value);
  return text + "t";
}
inline std::string p_dict(const std::string& key, const std::string& value) { return "}" + p_text(key) + value + "s"; }

struct PickledTensor {
  std::string storage = "FloatStorage", key = "0";
  int64_t elements = 4, offset = 0;
  std::vector<int64_t> shape = {2, 2}, strides = {2, 1};
};

inline std::string p_storage(const PickledTensor& t) {
  return "(" + p_text("storage") + p_global("torch", t.storage) + p_text(t.key) + p_text("cpu") + p_int(t.elements) + "tQ";
}
inline std::string p_tensor(const PickledTensor& t = {}) {
  return p_global("torch._utils", "_rebuild_tensor_v2") + "(" + p_storage(t) + p_int(t.offset) + p_tuple(t.shape) +
         p_tuple(t.strides) + "\x89" + p_global("collections", "OrderedDict") + ")RtR";
}

/// A whole pickle.
inline std::string p_file(const std::string& value) { return "\x80\x02" + value + "."; }

/// A zip file as torch.save writes it, with one storage "0".
inline std::filesystem::path write_pth(const std::filesystem::path& path, const std::string& pickle,
                                       const std::string& storage = std::string(16, '\1')) {
  formats::write_zip(path, {{"archive/data.pkl", pickle, false}, {"archive/data/0", storage, false}});
  return path;
}

/// The same before torch 1.6.
inline std::string legacy_bytes(const std::string& pickle, const std::string& storage = std::string(16, '\1')) {
  const std::string magic = std::string("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19");
  return p_file(magic) + p_file(p_int(1001)) + p_file(p_dict("little_endian", "\x88")) + pickle +
         p_file("]" + p_text("0") + "a") + little_endian(storage.size() / 4, 8) + storage;
}

}  // namespace microemo::test
