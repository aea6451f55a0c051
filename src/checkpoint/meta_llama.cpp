#include "microemo/checkpoint/meta_llama.h"

#include <array>
#include <optional>

#include <fmt/ranges.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "hf_reader.h"
#include "key_map_pattern.h"
#include "microemo/base/error.h"
#include "types.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;

struct Params {
  int64_t dim = 0, n_layers = 0, n_heads = 0, n_kv_heads = 0;
};

template <class Visitor>
void describe(Visitor& option, Params& p) {
  option("dim", p.dim, "Width.").min(1).max(1000000);
  option("n_layers", p.n_layers, "Blocks.").min(1).max(10000);
  option("n_heads", p.n_heads, "Query heads.").min(1).max(100000);
  option("n_kv_heads", p.n_kv_heads, "Key and value heads; 0 as many as query heads.").min(0).max(100000);
}

Params read_params(const fs::path& path) {
  const HfFile file(path);
  const std::string section = file.root().contains("model") ? "model" : "";  // LLaMA 3.1
  Params params;
  file.fill(params, section.empty() ? file.root() : file.section(section), section, {"dim", "n_layers", "n_heads"});
  if (params.n_kv_heads == 0) params.n_kv_heads = params.n_heads;
  if (params.dim % params.n_heads != 0 || params.dim / params.n_heads % 2 != 0)
    throw file.refuse(section, "n_heads", fmt::format("a width of {} cannot have {} heads", params.dim, params.n_heads),
                      "mend dim or n_heads");
  return params;
}

/// How a tensor is cut into files. LLaMA 1 and 2 cut the token table into columns, LLaMA 3 into rows: its width tells.
enum class Cut { none, rows, columns, tokens };
/// What the length of a side is, as params.json says it.
enum class Side { any, width, queries, keys, values };

struct Rule {
  std::string_view theirs, ours;
  Cut cut;
  Side rows = Side::any, columns = Side::width;
};

constexpr std::array rules{
    Rule{"tok_embeddings.weight", "model.embed_tokens.weight", Cut::tokens},
    Rule{"layers.{i}.attention_norm.weight", "model.layers.{i}.input_layernorm.weight", Cut::none, Side::width},
    Rule{"layers.{i}.attention.wq.weight", "model.layers.{i}.self_attn.q_proj.weight", Cut::rows, Side::queries},
    Rule{"layers.{i}.attention.wk.weight", "model.layers.{i}.self_attn.k_proj.weight", Cut::rows, Side::keys},
    Rule{"layers.{i}.attention.wv.weight", "model.layers.{i}.self_attn.v_proj.weight", Cut::rows, Side::values},
    Rule{"layers.{i}.attention.wo.weight", "model.layers.{i}.self_attn.o_proj.weight", Cut::columns, Side::width},
    Rule{"layers.{i}.ffn_norm.weight", "model.layers.{i}.post_attention_layernorm.weight", Cut::none, Side::width},
    Rule{"layers.{i}.feed_forward.w1.weight", "model.layers.{i}.mlp.gate_proj.weight", Cut::rows},
    Rule{"layers.{i}.feed_forward.w2.weight", "model.layers.{i}.mlp.down_proj.weight", Cut::columns, Side::width, Side::any},
    Rule{"layers.{i}.feed_forward.w3.weight", "model.layers.{i}.mlp.up_proj.weight", Cut::rows},
    Rule{"norm.weight", "model.norm.weight", Cut::none, Side::width},
    Rule{"output.weight", "lm_head.weight", Cut::rows},
};
constexpr std::string_view computed = "rope.freqs";

/// Where a name belongs, with its number.
struct Place {
  const Rule& rule;
  std::string ours;
};

std::optional<Place> place_of(const std::string& name) {
  for (const Rule& rule : rules)
    if (const auto captures = match(rule.theirs, name)) return Place{rule, fill(rule.ours, *captures)};
  return std::nullopt;
}

fs::path file_of(const fs::path& folder, size_t number) { return folder / fmt::format("consolidated.{:02}.pth", number); }

std::vector<fs::path> files_of(const fs::path& folder) {
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    count += name.starts_with("consolidated.") && name.ends_with(".pth");
  }
  std::vector<fs::path> files;
  for (size_t i = 0; i < count; ++i) {
    files.push_back(file_of(folder, i));
    if (!fs::exists(files.back()))
      throw CheckpointError("{} is missing, though there are {} files of its kind", files.back().filename().string(), count)
          .where(folder)
          .hint("complete the folder");
  }
  return files;
}

/// The files of one model.
class Pieces {
 public:
  Pieces(const fs::path& folder, const Params& params) : params_(params), files_(files_of(folder)) {
    for (const fs::path& file : files_) sources_.emplace_back(file);
    for (const TensorSource& source : sources_) check_same_names(source);
  }

  const std::vector<fs::path>& files() const { return files_; }
  const std::vector<TensorEntry>& entries() const { return sources_.front().entries(); }
  /// The tensor as a whole, without its bytes, and how it is made.
  LazyTensor whole(const TensorEntry& first) const;

 private:
  void check_same_names(const TensorSource& source) const;
  at::Tensor meta_of_piece(const TensorEntry& first, bool matrix) const;
  void check_shape(const TensorEntry& first, const Rule& rule, const at::Tensor& whole) const;
  void check_length(const TensorEntry& first, const at::Tensor& whole, int64_t axis, Side side) const;
  int64_t length_of(Side side) const;
  int64_t heads(Side rows) const { return rows == Side::queries ? params_.n_heads : rows == Side::keys ? params_.n_kv_heads : 0; }
  Cut cut_of(const Rule& rule, const TensorEntry& first) const;

  Params params_;
  std::vector<fs::path> files_;
  std::vector<TensorSource> sources_;
};

void Pieces::check_same_names(const TensorSource& source) const {
  for (const TensorEntry& entry : source.entries())
    if (entry.name != computed && !sources_.front().contains(entry.name))
      throw CheckpointError("'{}' is missing, though {} has it", entry.name, source.files().front().filename().string())
          .where(files_.front())
          .hint("take all files from one download");
  for (const TensorEntry& entry : entries()) {
    if (!source.contains(entry.name))
      throw CheckpointError("'{}' is missing, though {} has it", entry.name, files_.front().filename().string())
          .where(source.files().front())
          .hint("take all files from one download");
    const TensorEntry& other = source.find(entry.name);
    if (other.shape != entry.shape || other.dtype != entry.dtype)
      throw CheckpointError("'{}' is {} [{}], and in {} {} [{}]", entry.name, other.dtype, fmt::join(other.shape, ", "),
                            files_.front().filename().string(), entry.dtype, fmt::join(entry.shape, ", "))
          .where(source.files().front())
          .hint("take all files from one download");
  }
}

Cut Pieces::cut_of(const Rule& rule, const TensorEntry& first) const {
  if (rule.cut != Cut::tokens) return rule.cut;
  return first.shape.size() == 2 && first.shape[1] == params_.dim ? Cut::rows : Cut::columns;
}

/// 0 for any.
int64_t Pieces::length_of(Side side) const {
  if (side == Side::any) return 0;
  const bool shared = side == Side::keys || side == Side::values;
  return shared ? params_.dim / params_.n_heads * params_.n_kv_heads : params_.dim;
}

void Pieces::check_length(const TensorEntry& first, const at::Tensor& whole, int64_t axis, Side side) const {
  const int64_t wanted = length_of(side);
  if (wanted == 0 || whole.size(axis) == wanted) return;
  throw CheckpointError("'{}' has {} {} when its {} pieces are put together, and params.json asks for {}", first.name,
                        whole.size(axis), axis == 0 ? "rows" : "columns", files_.size(), wanted)
      .where(files_.front())
      .hint("use the params.json that belongs to these files");
}

void Pieces::check_shape(const TensorEntry& first, const Rule& rule, const at::Tensor& whole) const {
  check_length(first, whole, 0, rule.rows);
  if (whole.dim() == 2) check_length(first, whole, 1, rule.columns);
}

at::Tensor put_together(const std::vector<at::Tensor>& pieces, Cut cut, int64_t heads) {
  at::Tensor whole = pieces.front();
  if (cut != Cut::none && pieces.size() > 1) whole = at::cat(pieces, cut == Cut::rows ? 0 : 1);
  if (heads == 0) return whole;
  // Meta turns neighbouring rows of a head together, Hugging Face row i with row i + head / 2.
  return whole.unflatten(0, {heads, -1, 2}).transpose(1, 2).reshape(whole.sizes());
}

at::Tensor Pieces::meta_of_piece(const TensorEntry& first, bool matrix) const {
  const auto type = type_of_word(first.dtype);
  if (!type || first.shape.size() != (matrix ? 2u : 1u))
    throw CheckpointError("'{}' is {} [{}]; wanted: {}", first.name, first.dtype, fmt::join(first.shape, ", "),
                          matrix ? "[rows, columns]" : "[width]")
        .where(files_.front())
        .hint("only LLaMA 1 to 3 are supported in this form");
  return at::empty(first.shape, at::TensorOptions(at::kMeta).dtype(*type));
}

LazyTensor Pieces::whole(const TensorEntry& first) const {
  const auto place = place_of(first.name);
  if (!place)
    throw CheckpointError("'{}' is no name of Meta's LLaMA", first.name)
        .where(files_.front())
        .hint("only LLaMA 1 to 3 are supported in this form");
  const Cut cut = cut_of(place->rule, first);
  const std::vector<at::Tensor> metas(sources_.size(), meta_of_piece(first, cut != Cut::none));
  const at::Tensor meta = put_together(metas, cut, 0);
  check_shape(first, place->rule, meta);
  const auto make = [sources = sources_, name = first.name, cut, heads = heads(place->rule.rows)] {
    std::vector<at::Tensor> pieces;
    for (const TensorSource& source : sources) pieces.push_back(source.tensor(name));
    return put_together(pieces, cut, heads);
  };
  return {place->ours, meta, make};
}

TensorEntry entry_of(const LazyTensor& tensor, uint64_t offset) {
  const std::vector<int64_t> shape = tensor.meta.sizes().vec();
  return {tensor.name, word_of_type(tensor.meta.scalar_type()), shape, tensor.meta.strides().vec(), tensor.meta.nbytes(), 0,
          offset};
}

void check_layers(const MetaLlama& model, const Params& params, const fs::path& folder) {
  std::vector<std::string> names;
  int64_t layers = 0;
  for (const LazyTensor& tensor : model.tensors) {
    names.push_back(tensor.name);
    layers += tensor.name.ends_with(".input_layernorm.weight");
  }
  plan_keys(find_family("llama"), names, KeyDirection::to_ours, folder);
  if (layers != params.n_layers)
    throw CheckpointError("the files hold {} layers, and params.json says {}", layers, params.n_layers)
        .where(folder)
        .hint("use the params.json that belongs to these files");
}

}  // namespace

bool is_meta_llama(const fs::path& folder) {
  return fs::is_directory(folder) && fs::exists(folder / "params.json") && fs::exists(file_of(folder, 0));
}

MetaLlama read_meta_llama(const fs::path& folder) {
  const Params params = read_params(folder / "params.json");
  const Pieces pieces(folder, params);
  MetaLlama model;
  model.files = pieces.files();
  uint64_t offset = 0;
  for (const TensorEntry& first : pieces.entries()) {
    if (first.name == computed) continue;
    model.tensors.push_back(pieces.whole(first));
    model.entries.push_back(entry_of(model.tensors.back(), offset));
    offset += model.entries.back().bytes;
  }
  check_layers(model, params, folder);
  return model;
}

}  // namespace microemo::checkpoint
