#include <algorithm>
#include <regex>

#include "rules.h"

namespace microemo::house {
namespace {

using Declared = std::map<std::string, std::set<std::string>>;

const std::set<std::string>& rooms_without_torch() {
  static const std::set<std::string> names{"base", "formats", "media", "text", "eval", "report"};
  return names;
}

/// Libraries that only these rooms may include.
struct Library {
  std::string name;
  std::vector<std::string> prefixes;
  std::set<std::string> rooms;
};

const std::vector<Library>& libraries() {
  static const std::vector<Library> table{
      {"OpenCV", {"opencv2/"}, {"media"}},
      {"dlib", {"dlib/"}, {"media"}},
      {"FreeType", {"ft2build.h", "freetype"}, {"media"}},
      {"FFmpeg", {"libavformat/", "libavcodec/", "libavutil/", "libswscale/", "libswresample/"}, {"media"}},
      {"CUDA",
       {"cuda.h", "cuda_runtime", "cuda_fp16", "cuda_bf16", "cuda/", "cub/", "cublas", "cudnn", "nccl", "ATen/cuda/",
        "ATen/cudnn/", "c10/cuda/", "torch/csrc/cuda/"},
       {"cuda"}},
      {"c10d", {"torch/csrc/distributed/", "gloo/"}, {"parallel", "cuda"}},
      {"spdlog", {"spdlog/"}, {"base"}},
      {"yaml-cpp", {"yaml-cpp/"}, {"base"}},
      {"SentencePiece", {"sentencepiece"}, {"text"}},
      {"CLI11", {"CLI/"}, {"cli"}},
      {"pugixml", {"pugixml"}, {"formats"}},
  };
  return table;
}

bool starts_with_any(const std::string& header, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& prefix) { return header.starts_with(prefix); });
}

bool is_torch(const std::string& header) { return starts_with_any(header, {"torch/", "ATen/", "c10/", "caffe2/"}); }
bool is_vision(const std::string& header) { return starts_with_any(header, {"opencv2/", "dlib/", "ft2build.h", "freetype", "libav", "libsw"}); }
bool is_public(const SourceFile& file) { return file.path.starts_with("include/"); }
bool is_test(const SourceFile& file) { return file.path.starts_with("tests/"); }

std::string room_of_header(const std::string& header) {
  if (!header.starts_with("microemo/")) return {};
  return header.substr(9, header.find('/', 9) - 9);
}

/// "include/microemo/ROOM/x.h", "src/ROOM/x.cpp" and "tests/ROOM/x_test.cpp"; empty for tools/ and tests/support.
std::string room_of_file(const std::string& path) {
  for (const std::string top : {"include/microemo/", "src/", "tests/"}) {
    if (!path.starts_with(top)) continue;
    const std::string room = path.substr(top.size(), path.find('/', top.size()) - top.size());
    const bool known = std::find(rooms().begin(), rooms().end(), room) != rooms().end();
    return known || room == "cuda" ? room : "";
  }
  return {};
}

std::vector<std::string> room_violations(const SourceFile& file, const std::string& header, const Declared& declared) {
  const std::string own = room_of_file(file.path), used = room_of_header(header);
  if (header.find("../") != std::string::npos) return {"reaches out of its folder: " + header};
  if (used.empty() || used == own || own.empty()) return {};
  if (std::find(rooms().begin(), rooms().end(), used) == rooms().end()) return {"includes a header of no known room: " + header};
  if (own == "cuda")
    return used == "base" ? std::vector<std::string>{} : std::vector<std::string>{"the plug-in uses base only: " + header};
  const auto allowed = declared.find(own);
  if (allowed == declared.end() || !allowed->second.contains(used)) return {own + " may not use " + used + ": " + header};
  return {};
}

std::vector<std::string> library_violations(const SourceFile& file, const std::string& header) {
  std::vector<std::string> violations;
  const std::string room = room_of_file(file.path);
  for (const Library& library : libraries()) {
    if (!starts_with_any(header, library.prefixes)) continue;
    if (is_public(file))
      violations.push_back(library.name + " in a public header: " + header);
    else if (!library.rooms.contains(room))
      violations.push_back(library.name + " outside its room: " + header);
  }
  return violations;
}

std::vector<std::string> torch_violations(const SourceFile& file, const std::string& header) {
  if (!is_torch(header)) return {};
  const std::string room = room_of_file(file.path);
  if (header == "torch/torch.h" || header == "torch/all.h" || header == "torch/script.h")
    return {"an include that decides the build time: " + header};
  if (rooms_without_torch().contains(room)) return {room + " is a room without torch: " + header};
  if (is_public(file) && header != "ATen/core/Tensor.h" && header != "torch/nn/module.h")
    return {"only ATen/core/Tensor.h and torch/nn/module.h may stand in a public header: " + header};
  return {};
}

std::vector<std::string> mixture_violations(const std::vector<std::string>& headers) {
  const auto vision = std::find_if(headers.begin(), headers.end(), is_vision);
  const auto torch = std::find_if(headers.begin(), headers.end(), [](const std::string& header) {
    const std::string room = room_of_header(header);
    return is_torch(header) || (!room.empty() && !rooms_without_torch().contains(room));
  });
  if (vision == headers.end() || torch == headers.end()) return {};
  return {*vision + " meets " + *torch + " in one file"};
}

struct RoomLine {
  std::string name;
  std::vector<std::string> uses;
};

std::vector<RoomLine> room_lines(std::string_view cmake) {
  std::vector<RoomLine> lines;
  const std::string text(cmake);
  const std::regex call(R"(microemo_room\(([^)]*)\))");
  for (std::sregex_iterator match(text.begin(), text.end(), call); match != std::sregex_iterator(); ++match) {
    // ${media_room} stands for media, which can be left out of a build.
    std::string words = std::regex_replace((*match)[1].str(), std::regex(R"(\$\{media_room\})"), "media");
    words = words.substr(0, words.find(" LIBS"));
    const std::regex word(R"([a-z]+)");
    const std::vector<std::string> names(std::sregex_token_iterator(words.begin(), words.end(), word), {});
    if (!names.empty()) lines.push_back({names.front(), {names.begin() + 1, names.end()}});
  }
  return lines;
}

}  // namespace

const std::vector<std::string>& rooms() {
  static const std::vector<std::string> names{"base", "formats", "media", "text",     "eval",  "report", "checkpoint",
                                              "nn",   "model",   "data",  "parallel", "infer", "train",  "cli"};
  return names;
}

Declared declared_rooms(std::string_view cmake) {
  Declared declared;
  for (const RoomLine& line : room_lines(cmake)) {
    std::set<std::string>& all = declared[line.name];
    for (const std::string& used : line.uses) {
      all.insert(used);
      all.insert(declared[used].begin(), declared[used].end());
    }
  }
  return declared;
}

std::vector<std::string> order_violations(std::string_view cmake) {
  std::vector<std::string> violations;
  const auto place = [](const std::string& room) { return std::find(rooms().begin(), rooms().end(), room); };
  for (const RoomLine& line : room_lines(cmake)) {
    if (place(line.name) == rooms().end()) violations.push_back(line.name + " is not in the table");
    for (const std::string& used : line.uses)
      if (place(used) >= place(line.name)) violations.push_back(line.name + " stands no higher than " + used);
  }
  return violations;
}

std::vector<std::string> includes_of(std::string_view text) {
  std::vector<std::string> headers;
  static const std::regex line(R"(^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"])");
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::match_results<std::string_view::const_iterator> match;
    const std::string_view content = text.substr(start, end - start);
    if (std::regex_search(content.begin(), content.end(), match, line)) headers.push_back(match[1].str());
    start = end + 1;
  }
  return headers;
}

std::vector<std::string> include_violations(const SourceFile& file, const Declared& declared) {
  std::vector<std::string> violations;
  const auto add = [&](const std::vector<std::string>& found) {
    for (const std::string& violation : found) violations.push_back(file.path + ": " + violation);
  };
  const std::vector<std::string> headers = includes_of(file.text);
  for (const std::string& header : headers) {
    // A test may build its scene with rooms above its own.
    if (!is_test(file)) add(room_violations(file, header, declared));
    add(library_violations(file, header));
    add(torch_violations(file, header));
  }
  add(mixture_violations(headers));
  return violations;
}

}  // namespace microemo::house
