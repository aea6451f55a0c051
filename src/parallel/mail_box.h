#pragma once
#include "microemo/parallel/mail.h"
#include "store.h"

namespace microemo::parallel {

/// A connection of its own to the store, which takes one question at a time from any thread.
struct Mail::Impl {
  c10::intrusive_ptr<c10d::Store> store;
};

}  // namespace microemo::parallel
