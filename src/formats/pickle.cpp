#include "microemo/formats/pickle.h"

#include "pickle_machine.h"

namespace microemo::formats {

Pickle::Pickle(std::string_view bytes, MemoryBudget& budget, const std::filesystem::path& name_in_errors) {
  PickleMachine(bytes, budget, name_in_errors, *this).run();
}

std::span<const PickleValue> Pickle::items(const PickleValue& value) const {
  if (value.kind() < PickleKind::list) return {};
  return nodes_[value.node_];
}

std::string Pickle::global_name(const PickleValue& value) const {
  const PickleValue named = value.is(PickleKind::call) ? items(value)[0] : value;
  if (!named.is(PickleKind::global)) return {};
  const auto names = items(named);
  return fmt::format("{}.{}", names[0].text(), names[1].text());
}

}  // namespace microemo::formats
