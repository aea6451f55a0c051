#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "microemo/checkpoint/tensor_source.h"

namespace microemo::cli {

/// Tensor names as a tree, sorted: levels are parted by '.' and '/'. Neighbours that are numbered and alike ("0" … "31", "block0"
/// … "block3") become one node.
struct NameNode {
  std::string name;   ///< "layers", "0 … 31"
  int64_t alike = 1;  ///< how many nodes this one stands for
  std::string dtype;  ///< of a tensor, with its shape
  std::vector<int64_t> shape;
  int64_t tensors = 0, parameters = 0;
  uint64_t bytes = 0;  ///< of everything below, all alike ones together
  std::vector<NameNode> children;
};

NameNode name_tree(const std::vector<checkpoint::TensorEntry>& entries);

/// One line a node, indented by its depth.
std::string tree_text(const NameNode& root);

/// "6.74 B", "13.48 GB": three digits.
std::string count_text(double count);
std::string bytes_text(uint64_t bytes);

}  // namespace microemo::cli
