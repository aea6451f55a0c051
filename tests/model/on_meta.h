#pragma once
#include <c10/core/impl/LocalDispatchKeySet.h>

namespace microemo::test {

/// Tensors that are made while it lives have names, shapes and types, and no memory.
class OnMeta {
  c10::impl::ForceDispatchKeyGuard restore_;  // the guards below leave Meta among the keys
  c10::impl::ExcludeDispatchKeyGuard no_choice_{c10::DispatchKey::BackendSelect};
  c10::impl::IncludeDispatchKeyGuard meta_{c10::DispatchKey::Meta};
};

}  // namespace microemo::test
