#pragma once
#include <filesystem>
#include <vector>

#include "microemo/checkpoint/convert.h"
#include "microemo/checkpoint/tensor_source.h"

// LLaMA 1 to 3 as Meta gave them out: a folder with params.json and consolidated.00.pth, consolidated.01.pth, … Every file holds
// a piece of every matrix, cut into rows or columns, and every norm as a whole.

namespace microemo::checkpoint {

bool is_meta_llama(const std::filesystem::path& folder);

struct MetaLlama {
  LazyTensors tensors;               ///< put together, under Hugging Face's names
  std::vector<TensorEntry> entries;  ///< the same, described; their bytes lie in all files
  std::vector<std::filesystem::path> files;
};

/// Plans on names and shapes; a tensor is put together when it is asked for. Rows of queries and keys, interleaved in these
/// files, come in Hugging Face's order of halves (transformers, convert_llama_weights_to_hf.py). Throws Error(checkpoint): a
/// mistake in params.json (with its line), a file that is missing or damaged, names that differ from file to file or are not
/// LLaMA's, a layer that lacks a tensor, shapes that do not go with params.json.
MetaLlama read_meta_llama(const std::filesystem::path& folder);

}  // namespace microemo::checkpoint
