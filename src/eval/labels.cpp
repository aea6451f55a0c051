#include "microemo/eval/labels.h"

#include "microemo/eval/extract.h"
#include "text.h"

namespace microemo::eval {

std::string normalise_label(std::string_view label) { return std::string(strip(lower(label))); }

std::vector<std::string> string_to_list(std::string_view text) {
  if (text.starts_with('[')) text.remove_prefix(1);
  if (text.ends_with(']')) text.remove_suffix(1);
  return split(text, "'\",");
}

std::vector<std::string> extract_labels(std::string_view answer) { return labels_of(find_mentions(answer, own_lexicon())); }

}  // namespace microemo::eval
