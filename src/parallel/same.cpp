#include "microemo/parallel/same.h"

#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/json.h"

namespace microemo::parallel {

void require_same(const Group& group, const Facts& facts) {
  if (group.alone()) return;
  Json own = Json::array();
  for (const auto& [name, text] : facts) own.push_back(text);
  std::vector<Json> all;
  for (const std::string& text : group.texts(own.dump())) all.push_back(Json::parse(text));
  for (size_t i = 0; i < facts.size(); ++i) {
    std::vector<size_t> others;
    for (size_t rank = 1; rank < all.size(); ++rank)
      if (all[rank].at(i) != all[0].at(i)) others.push_back(rank);
    if (!others.empty())
      throw EnvironmentError("{} of rank {} is another than that of rank 0", facts[i].first, fmt::join(others, ", "))
          .hint("start all ranks with the same program, words and files");
  }
}

}  // namespace microemo::parallel
