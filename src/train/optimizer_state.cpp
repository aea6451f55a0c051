#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "microemo/base/error.h"
#include "microemo/train/optimizer.h"

// What AdamW saves and loads: the state of whole parameters, or of ranges of them, by name.

namespace microemo::train {
namespace {

using parallel::ElementRange;

constexpr const char* step_suffix = ".step";
constexpr const char* mean_suffix = ".exp_avg";
constexpr const char* square_suffix = ".exp_avg_sq";

/// A tensor of a file: of a parameter's state, or of elements of it.
struct SavedPiece {
  std::string name;  ///< in the file
  at::Tensor values;
  std::optional<ElementRange> range;  ///< none: the whole
};

std::string ranged(const std::string& name, const ElementRange& range) {
  return fmt::format("{}[{}:{}]", name, range.begin, range.end);
}

/// "a.exp_avg[4:8]" is elements 4 to 8 of "a.exp_avg"; anything else is a whole tensor of that name.
std::pair<std::string, std::optional<ElementRange>> parsed(const std::string& name) {
  const size_t bracket = name.rfind('[');
  if (bracket == std::string::npos || name.back() != ']') return {name, std::nullopt};
  ElementRange range;
  const char *first = name.data() + bracket + 1, *last = name.data() + name.size() - 1;
  const auto [colon, failed] = std::from_chars(first, last, range.begin);
  if (failed != std::errc() || colon == last || *colon != ':') return {name, std::nullopt};
  const auto [end, failed_too] = std::from_chars(colon + 1, last, range.end);
  if (failed_too != std::errc() || end != last || range.begin < 0 || range.size() <= 0) return {name, std::nullopt};
  return {name.substr(0, bracket), range};
}

using Pieces = std::map<std::string, std::vector<SavedPiece>>;

Pieces pieces_of(const checkpoint::NamedTensors& state) {
  Pieces pieces;
  for (const auto& [name, tensor] : state) {
    const auto [base, range] = parsed(name);
    pieces[base].push_back({name, tensor, range});
  }
  for (auto& [base, list] : pieces)
    std::sort(list.begin(), list.end(), [](const SavedPiece& a, const SavedPiece& b) {
      return (a.range ? a.range->begin : 0) < (b.range ? b.range->begin : 0);
    });
  return pieces;
}

/// The pieces of a state, which together hold all its elements.
const std::vector<SavedPiece>& checked(const Pieces& pieces, const std::string& name, at::IntArrayRef shape, int64_t elements,
                                       const std::filesystem::path& source) {
  const auto found = pieces.find(name);
  if (found == pieces.end()) throw CheckpointError("the file has no '{}', which the optimizer needs", name).where(source);
  int64_t covered = 0;
  for (const SavedPiece& piece : found->second) {
    const bool fits = piece.range
                          ? piece.values.dim() == 1 && piece.values.numel() == piece.range->size() && piece.range->end <= elements
                          : piece.values.sizes() == shape;
    if (!fits || piece.values.scalar_type() != at::kFloat)
      throw CheckpointError("'{}' has another shape or type than the optimizer's", piece.name).where(source);
    const ElementRange range = piece.range.value_or(ElementRange{0, elements});
    if (range.begin > covered) break;
    covered = std::max(covered, range.end);
  }
  if (covered == elements) return found->second;
  throw CheckpointError("the state of '{}' ends at element {} of {}, and the optimizer needs all", name, covered, elements)
      .where(source)
      .hint("the parts of all ranks belong to a checkpoint");
}

/// Copies what lies in `own` of the pieces to `target`, which has the elements of `own`.
void copy_own(const std::vector<SavedPiece>& pieces, const ElementRange& own, int64_t elements, const at::Tensor& target) {
  for (const SavedPiece& piece : pieces) {
    if (!piece.range && own.size() == elements) {
      target.copy_(piece.values);
      continue;
    }
    const ElementRange range = piece.range.value_or(ElementRange{0, elements});
    const int64_t begin = std::max(own.begin, range.begin), end = std::min(own.end, range.end);
    if (begin >= end) continue;
    const at::Tensor from = piece.values.reshape(-1).narrow(0, begin - range.begin, end - begin);
    // A parameter that is whole here may have another layout than row by row.
    if (own.size() == elements && !target.is_contiguous()) {
      const at::Tensor rows = target.contiguous();
      rows.view(-1).narrow(0, begin, end - begin).copy_(from);
      target.copy_(rows);
    } else {
      target.view(-1).narrow(0, begin - own.begin, end - begin).copy_(from);
    }
  }
}

}  // namespace

checkpoint::NamedTensors AdamW::state() const {
  checkpoint::NamedTensors tensors;
  for (const Slot& slot : slots_) {
    if (slot.own.size() == 0) continue;
    const auto name = [&](const char* suffix) {
      return slot.whole() ? slot.name + suffix : ranged(slot.name + suffix, slot.own);
    };
    tensors[slot.name + step_suffix] = slot.step;
    tensors[name(mean_suffix)] = slot.mean;
    tensors[name(square_suffix)] = slot.mean_square;
  }
  return tensors;
}

void AdamW::load_state(const checkpoint::NamedTensors& state, const std::filesystem::path& source) {
  const Pieces pieces = pieces_of(state);
  std::set<std::string> known;
  for (const Slot& slot : slots_)
    for (const char* suffix : {step_suffix, mean_suffix, square_suffix}) known.insert(slot.name + suffix);
  for (const auto& [name, list] : pieces)
    if (!known.contains(name))
      throw CheckpointError("the optimizer has no '{}', which the file has", list.front().name).where(source);
  for (Slot& slot : slots_) {
    const int64_t elements = slot.parameter.numel();
    const auto& step = checked(pieces, slot.name + step_suffix, {}, 1, source);
    const auto& mean = checked(pieces, slot.name + mean_suffix, slot.parameter.sizes(), elements, source);
    const auto& square = checked(pieces, slot.name + square_suffix, slot.parameter.sizes(), elements, source);
    if (slot.own.size() == 0) continue;
    slot.step.copy_(step.front().values);
    copy_own(mean, slot.own, elements, slot.mean);
    copy_own(square, slot.own, elements, slot.mean_square);
  }
}

int64_t AdamW::state_bytes() const {
  int64_t bytes = 0;
  for (const Slot& slot : slots_)
    if (slot.own.size() > 0) bytes += int64_t(slot.mean.nbytes() + slot.mean_square.nbytes() + slot.step.nbytes());
  return bytes;
}

int64_t AdamW::state_bytes_of_all() const {
  int64_t bytes = 0;
  for (const Slot& slot : slots_) bytes += int64_t(2 * slot.parameter.nbytes() + sizeof(float));
  return bytes;
}

}  // namespace microemo::train
