#include "name_tree.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace microemo::cli {
namespace {

constexpr size_t name_column = 48;

/// Where the next level of a name ends. What is nested deeper than anything that is made by hand stays in one piece.
size_t end_of_level(const std::string& name, size_t start, size_t depth) {
  constexpr size_t deepest = 32;
  return depth < deepest ? std::min(name.find_first_of("./", start), name.size()) : name.size();
}

/// The entries come sorted, so that a level that exists is the last one.
void insert(NameNode& root, const checkpoint::TensorEntry& entry) {
  NameNode* node = &root;
  size_t depth = 0;
  for (size_t start = 0; start <= entry.name.size(); ++depth) {
    const size_t end = end_of_level(entry.name, start, depth);
    const std::string part = entry.name.substr(start, end - start);
    const bool known = !node->children.empty() && node->children.back().name == part && node->children.back().dtype.empty();
    if (!known) node->children.push_back(NameNode{.name = part, .dtype = {}, .shape = {}, .children = {}});
    node = &node->children.back();
    start = end + 1;
  }
  node->dtype = entry.dtype;
  node->shape = entry.shape;
  node->tensors = 1;
  node->parameters = 1;
  for (const int64_t length : entry.shape) node->parameters *= length;
  node->bytes = entry.bytes;
}

struct Numbered {
  std::string before;
  int64_t number = 0;
};

std::optional<Numbered> numbered(const std::string& name) {
  const size_t digits = name.find_last_not_of("0123456789") + 1;
  Numbered result{name.substr(0, digits)};
  const auto [end, failure] = std::from_chars(name.data() + digits, name.data() + name.size(), result.number);
  return failure == std::errc() && digits < name.size() ? std::optional(result) : std::nullopt;
}

/// Everything below a node except its own name.
std::string signature(const NameNode& node) {
  std::string text = fmt::format("{}[{}]", node.dtype, fmt::join(node.shape, ","));
  for (const NameNode& child : node.children) text += fmt::format("({}{}x{})", child.name, signature(child), child.alike);
  return text;
}

void sum_up(NameNode& node) {
  for (const NameNode& child : node.children) {
    node.tensors += child.tensors;
    node.parameters += child.parameters;
    node.bytes += child.bytes;
  }
}

/// Numbers in their own order: 10 after 9.
void sort_by_number(std::vector<NameNode>& children) {
  const auto place = [](const NameNode& node) { return numbered(node.name).value_or(Numbered{node.name, -1}); };
  std::stable_sort(children.begin(), children.end(), [&](const NameNode& a, const NameNode& b) {
    const Numbered left = place(a), right = place(b);
    return std::tie(left.before, left.number) < std::tie(right.before, right.number);
  });
}

/// Merges the run of alike neighbours that begins at `first`; returns how many there are.
size_t merge_run(const std::vector<NameNode>& children, size_t first, NameNode& merged) {
  merged = children[first];
  const auto start = numbered(merged.name);
  if (!start) return 1;
  const std::string wanted = signature(merged);
  size_t count = 1;
  for (; first + count < children.size(); ++count) {
    const NameNode& next = children[first + count];
    const auto place = numbered(next.name);
    if (!place || place->before != start->before || place->number != start->number + int64_t(count) || signature(next) != wanted)
      break;
    merged.tensors += next.tensors;
    merged.parameters += next.parameters;
    merged.bytes += next.bytes;
  }
  if (count > 1) merged.name = fmt::format("{} … {}", children[first].name, children[first + count - 1].name);
  merged.alike = int64_t(count);
  return count;
}

void collapse(NameNode& node) {
  for (NameNode& child : node.children) collapse(child);
  sum_up(node);
  sort_by_number(node.children);
  std::vector<NameNode> merged;
  for (size_t i = 0; i < node.children.size();) i += merge_run(node.children, i, merged.emplace_back());
  node.children = std::move(merged);
  // "self_attn" with one child "rotary_emb" is one line.
  if (node.children.size() == 1 && node.dtype.empty() && node.alike == 1 && node.children[0].alike == 1 && !node.name.empty()) {
    NameNode only = std::move(node.children[0]);
    only.name = node.name + "." + only.name;
    node = std::move(only);
  }
}

size_t columns(const std::string& text) {
  return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// "2 x 7.74 K parameters, 62.0 KB": what one of the alike ones has, and the bytes of all.
std::string sums_text(const NameNode& node) {
  const std::string each = count_text(double(node.parameters) / double(node.alike));
  return fmt::format("{}{} parameters, {}", node.alike > 1 ? fmt::format("{} x ", node.alike) : "", each, bytes_text(node.bytes));
}

/// A file's names are anybody's: what would move the cursor or end the line is shown as \xNN.
std::string printable(const std::string& name) {
  std::string shown;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    shown += byte < 0x20 || byte == 0x7f ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return shown;
}

void write(const NameNode& node, size_t depth, std::string& text) {
  std::string line = std::string(2 * depth, ' ') + printable(node.name);
  line += std::string(columns(line) < name_column ? name_column - columns(line) : 2, ' ');
  line += node.children.empty() ? fmt::format("{}{:<5} [{}]", node.alike > 1 ? fmt::format("{} x ", node.alike) : "", node.dtype,
                                              fmt::join(node.shape, ", "))
                                : sums_text(node);
  text += line + "\n";
  for (const NameNode& child : node.children) write(child, depth + 1, text);
}

std::string three_digits(double value, const std::vector<const char*>& units) {
  size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < units.size(); ++unit) value /= 1000;
  const int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", value, decimals, units[unit]);
}

}  // namespace

NameNode name_tree(const std::vector<checkpoint::TensorEntry>& entries) {
  NameNode root{.name = {}, .dtype = {}, .shape = {}, .children = {}};
  std::vector<const checkpoint::TensorEntry*> sorted;
  for (const checkpoint::TensorEntry& entry : entries) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  for (const checkpoint::TensorEntry* entry : sorted) insert(root, *entry);
  collapse(root);
  return root;
}

std::string tree_text(const NameNode& root) {
  std::string text;
  for (const NameNode& child : root.children) write(child, 0, text);
  return text;
}

std::string count_text(double count) { return three_digits(count, {"", " K", " M", " B", " T"}); }
std::string bytes_text(uint64_t bytes) { return three_digits(double(bytes), {" bytes", " KB", " MB", " GB", " TB"}); }

}  // namespace microemo::cli
