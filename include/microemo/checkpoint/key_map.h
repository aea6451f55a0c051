#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

// Names of public checkpoint files and ours, in both directions. Every family of files is a table of rules
// (src/checkpoint/key_map_tables.cpp); docs/checkpoints.md lists them.
//
// A rule pairs two patterns. {i} is a number, {*} any rest; a list in braces stands for one rule per element, and the lists of
// the two sides go together: "layers.{i}.{q,k}_proj.weight" and "block{i}.{query,key}.weight" are two rules. Ours in square
// brackets, "block{i}.[query,key,value].weight", are stacked row-wise in the one public tensor; 0 among them is a part that the
// public tensor holds as zeros and we do not hold.

namespace microemo::checkpoint {

/// How our tensor is made of the public one.
enum class KeyOp {
  copy,
  transpose,     ///< [a, b] -> [b, a]
  first,         ///< [1, …] -> […]
  first_first,   ///< [1, 1, …] -> […]
  patches_rgb,   ///< convolution [out, 3, p, p] -> linear [out, 3 p p]
  patches_mono,  ///< convolution [out, 1, p, p] -> linear [out, p p]
  rows,          ///< one of several row blocks of equal height
  ignore,        ///< not kept: buffers that are computed, parts that the model does not have
};

/// How a difference file (Vicuna's first releases) is added to its base.
enum class DeltaRule {
  same_shape,
  may_grow,  ///< rows beyond the base's (tokens that were added) are taken as they are
};

struct KeyRule {
  std::string_view theirs, ours;
  KeyOp op = KeyOp::copy;
  std::string_view group = {};  ///< rules of one group come together or not at all; those without a group always come
  bool alias = false;           ///< another public name of the same tensor: read, never written
  DeltaRule delta = DeltaRule::same_shape;
};

/// Rules under prefixes: a family may hold several parts, and needs only those of which a file has any name.
struct KeyPart {
  std::string theirs, ours;
  std::vector<KeyRule> rules;
};

struct KeyFamily {
  std::string name;         ///< the word of the command line
  std::string description;  ///< which files it is for
  std::vector<KeyPart> parts;
};

/// All families, the more specific first. Thread-safe.
const std::vector<KeyFamily>& key_families();
/// Throws Error(config) for a name that is none of them, listing all with the nearest first.
const KeyFamily& find_family(const std::string& name);
/// The family whose rules know every one of these public names and keep the most of them; nullptr when there is none.
const KeyFamily* detect_family(const std::vector<std::string>& public_names);
/// The same; where there is none, throws Error(checkpoint) at `source` that shows what the nearest family lacks.
const KeyFamily& require_family(const std::vector<std::string>& public_names, const std::filesystem::path& source);
/// True when every name is one of ours in some family.
bool are_our_names(const std::vector<std::string>& names);
/// The parts of our model ("decoder", "visual_encoder") that a file of ours has weights of, in order: one that our training
/// wrote, or one converted to our names. Empty when it is neither.
std::vector<std::string> parts_of_ours(const std::vector<std::string>& names);

enum class KeyDirection { to_ours, to_public };

/// One tensor to make. `from` are the names it is made of ("" is a block of zeros).
struct KeyStep {
  std::string to;  ///< empty for a step that only checks that a block is zero
  std::vector<std::string> from;
  KeyOp op = KeyOp::copy;
  KeyDirection direction = KeyDirection::to_ours;
  int64_t block = 0, blocks = 1;  ///< of KeyOp::rows on the way to ours
  DeltaRule delta = DeltaRule::same_shape;
};

struct KeyPlan {
  std::vector<KeyStep> steps;        ///< sorted by `to`
  std::vector<std::string> ignored;  ///< public names that are not kept
};

/// Decides for every name of a file what becomes of it. Throws Error(checkpoint) at `source` that lists names without a rule and
/// names that a part would need besides those it has (a layer without one of its tensors), each with the nearest names of the
/// other side.
KeyPlan plan_keys(const KeyFamily& family, const std::vector<std::string>& names, KeyDirection direction,
                  const std::filesystem::path& source);

/// Makes the tensor of a step of the tensors that `from` names, in that order, an undefined one for "". A view of its input where
/// that is possible. Meta tensors give the shape. Throws Error(checkpoint) naming the tensor when the shape does not allow the
/// step, or a block that must be zero is not.
at::Tensor apply_step(const KeyStep& step, const std::vector<at::Tensor>& from);

/// Throws Error(checkpoint) with both shapes when they differ beyond what the rule allows. `name` is for the error.
void check_delta(const std::string& name, DeltaRule rule, const at::Tensor& base, const at::Tensor& delta);
/// base + delta in fp32, in the type of `delta`. Checks as above.
at::Tensor apply_delta(const std::string& name, DeltaRule rule, const at::Tensor& base, const at::Tensor& delta);

}  // namespace microemo::checkpoint
