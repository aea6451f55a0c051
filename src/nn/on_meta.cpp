#include "microemo/nn/on_meta.h"

#include <c10/core/impl/LocalDispatchKeySet.h>

namespace microemo::nn {

struct OnMeta::Guards {
  c10::impl::ForceDispatchKeyGuard restore;  // the guards below leave Meta among the keys
  c10::impl::ExcludeDispatchKeyGuard no_choice{c10::DispatchKey::BackendSelect};
  c10::impl::IncludeDispatchKeyGuard meta{c10::DispatchKey::Meta};
};

OnMeta::OnMeta() : guards_(std::make_unique<Guards>()) {}
OnMeta::~OnMeta() = default;

}  // namespace microemo::nn
