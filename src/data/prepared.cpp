#include "microemo/data/prepared.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <ATen/ops/empty.h>

#include "microemo/base/error.h"
#include "microemo/formats/safetensors.h"
#include "prepared_hash.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* layout_key = "format";
constexpr const char* layout_name = "microemo-prepared-1";
/// Only a partial clip has them.
constexpr const char* until_key = "partial_until_s";
constexpr const char* reason_key = "partial_reason";

/// One tensor member: its name in the file, how it is stored there, and the count that its first dimension has to be.
struct Member {
  const char* name;
  const char* dtype;
  at::ScalarType stored;
  at::Tensor PreparedClip::*tensor;
  int64_t dimensions;
  int64_t PreparedFacts::*rows;
};

/// The type of `faces` depends on the face input; `piece_dimensions` are those of pieces of sound, 0 without any. The first
/// member of each count sets it.
std::vector<Member> members(bool signed_faces, int64_t piece_dimensions) {
  using Clip = PreparedClip;
  using Facts = PreparedFacts;
  std::vector<Member> all{
      {"frames", "U8", at::kByte, &Clip::frames_TCHW, 4, &Facts::frames},
      {"frame_times", "F64", at::kDouble, &Clip::frame_times_T, 1, &Facts::frames},
      {"faces", signed_faces ? "I8" : "U8", signed_faces ? at::kChar : at::kByte, &Clip::faces_NCSS, 4, &Facts::face_frames},
      {"face_times", "F64", at::kDouble, &Clip::face_times_N, 1, &Facts::face_frames},
      {"face_mask", "BOOL", at::kBool, &Clip::face_mask_N, 1, &Facts::face_frames},
      {"mel", "F16", at::kHalf, &Clip::mel_FM, 2, &Facts::mel_frames},
      {"mel_times", "F64", at::kDouble, &Clip::mel_times_F, 1, &Facts::mel_frames}};
  if (piece_dimensions > 0) {
    all.push_back({"pieces", "F32", at::kFloat, &Clip::pieces_K, piece_dimensions, &Facts::pieces});
    all.push_back({"piece_times", "F64", at::kDouble, &Clip::piece_times_K, 1, &Facts::pieces});
  }
  return all;
}

Error damaged(const fs::path& file, const std::string& reason) {
  return DataError("the cache entry is damaged: {}", reason).where(file).hint("remove it and run microemo prepare again");
}

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

template <class Number>
Number number_of(const std::map<std::string, std::string>& metadata, const char* key, const fs::path& file) {
  const auto entry = metadata.find(key);
  Number value{};
  if (entry == metadata.end()) throw damaged(file, std::string("it has no ") + key);
  const std::string& text = entry->second;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size()) throw damaged(file, fmt::format("its {} is \"{}\"", key, text));
  return value;
}

formats::SafetensorsFile open_entry(const fs::path& file) {
  std::error_code trouble;
  if (!fs::exists(file, trouble))
    throw DataError("the clip is not in the feature cache").where(file).hint("run microemo prepare first");
  try {
    formats::SafetensorsFile opened(file);
    const auto layout = opened.metadata().find(layout_key);
    if (layout == opened.metadata().end() || layout->second != layout_name)
      throw damaged(file, "it is no cache entry of this version");
    return opened;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::data) throw;
    throw damaged(file, error.message());
  }
}

const formats::SafetensorsEntry& find(const formats::SafetensorsFile& file, const Member& member) {
  if (!file.contains(member.name)) throw damaged(file.path(), fmt::format("it has no {}", member.name));
  const formats::SafetensorsEntry& entry = file.find(member.name);
  if (entry.dtype != member.dtype || int64_t(entry.shape.size()) != member.dimensions)
    throw damaged(file.path(), fmt::format("its {} has type {} and {} dimensions", member.name, entry.dtype, entry.shape.size()));
  return entry;
}

std::vector<Member> members_of(const formats::SafetensorsFile& file) {
  const bool has_pieces = file.contains("pieces");
  const auto dimensions = has_pieces ? int64_t(file.find("pieces").shape.size()) : 0;
  if (has_pieces && dimensions != 2 && dimensions != 3)
    throw damaged(file.path(), fmt::format("its pieces have {} dimensions", dimensions));
  return members(file.contains("faces") && file.find("faces").dtype == "I8", dimensions);
}

at::Tensor load(const formats::SafetensorsFile& file, const Member& member) {
  const formats::SafetensorsEntry& entry = find(file, member);
  at::Tensor tensor = at::empty(entry.shape, member.stored);
  const auto bytes = file.bytes(entry);
  if (!bytes.empty()) std::memcpy(tensor.mutable_data_ptr(), bytes.data(), bytes.size());
  return tensor;
}

PreparedFacts facts_of(const formats::SafetensorsFile& file) {
  PreparedFacts facts{.frames = -1, .face_frames = -1, .mel_frames = -1, .pieces = -1};
  for (const Member& member : members_of(file)) {
    const int64_t rows = find(file, member).shape[0];
    int64_t& count = facts.*member.rows;
    if (count < 0) count = rows;
    if (count != rows) throw damaged(file.path(), fmt::format("its {} has {} rows instead of {}", member.name, rows, count));
  }
  facts.pieces = std::max<int64_t>(facts.pieces, 0);
  facts.duration_s = number_of<double>(file.metadata(), "duration_s", file.path());
  facts.source_frames = number_of<int64_t>(file.metadata(), "source_frames", file.path());
  facts.faces_found = number_of<int64_t>(file.metadata(), "faces_found", file.path());
  const auto reason = file.metadata().find(reason_key);
  if (reason != file.metadata().end() || file.metadata().contains(until_key))
    facts.damage = {number_of<double>(file.metadata(), until_key, file.path()),
                    reason == file.metadata().end() ? "" : reason->second};
  return facts;
}

constexpr auto frames_member = &PreparedClip::frames_TCHW;

PreparedClip read_members(const fs::path& path, bool with_frames) {
  const formats::SafetensorsFile file = open_entry(path);
  const PreparedFacts facts = facts_of(file);
  PreparedClip clip;
  clip.pieces_K = at::empty({0}, at::kFloat);
  clip.piece_times_K = at::empty({0}, at::kDouble);
  for (const Member& member : members_of(file))
    if (with_frames || member.tensor != frames_member) clip.*member.tensor = load(file, member);
  if (!with_frames) clip.frames_TCHW = at::empty({facts.frames, 0, 0, 0}, at::kByte);
  clip.mel_FM = clip.mel_FM.to(at::kFloat);
  clip.duration_s = facts.duration_s;
  clip.source_frames = facts.source_frames;
  clip.faces_found = facts.faces_found;
  clip.damage = facts.damage;
  return clip;
}

}  // namespace

void write_prepared(const fs::path& file, const PreparedClip& clip) {
  std::vector<at::Tensor> stored;
  std::vector<formats::SafetensorsTensor> tensors;
  const int64_t piece_dimensions = clip.pieces_K.defined() && clip.pieces_K.dim() > 1 ? clip.pieces_K.dim() : 0;
  for (const Member& member : members(clip.faces_NCSS.scalar_type() == at::kChar, piece_dimensions)) {
    stored.push_back((clip.*member.tensor).to(member.stored).contiguous());
    tensors.push_back({member.name, member.dtype, stored.back().sizes().vec(), bytes_of(stored.back())});
  }
  std::map<std::string, std::string> metadata{{layout_key, layout_name},
                                              {"duration_s", fmt::format("{}", clip.duration_s)},
                                              {"source_frames", std::to_string(clip.source_frames)},
                                              {"faces_found", std::to_string(clip.faces_found)}};
  if (clip.damage) {
    metadata[until_key] = fmt::format("{}", clip.damage->until_s);
    metadata[reason_key] = clip.damage->reason;
  }
  metadata[entry_hash_key] = entry_hash(tensors, metadata);
  formats::write_safetensors(file, tensors, metadata);
}

PreparedClip read_prepared(const fs::path& file) { return read_members(file, /*with_frames=*/true); }

PreparedClip read_prepared_without_frames(const fs::path& file) { return read_members(file, /*with_frames=*/false); }

at::Tensor read_prepared_frames(const fs::path& path) {
  const formats::SafetensorsFile file = open_entry(path);
  facts_of(file);
  for (const Member& member : members_of(file))
    if (member.tensor == frames_member) return load(file, member);
  throw damaged(path, "it has no frames");
}

PreparedFacts read_prepared_facts(const fs::path& file) { return facts_of(open_entry(file)); }

}  // namespace microemo::data
