#pragma once
#include <memory>
#include <string>

#include <torch/csrc/distributed/c10d/Store.hpp>

#include "microemo/parallel/launch_context.h"

namespace microemo::parallel {

/// Keys of the store, each behind the attempt's prefix: here/RANK, beat/RANK, left/RANK, verdict, told/NAME.
inline std::string key_of(const char* kind, int64_t rank) { return std::string(kind) + "/" + std::to_string(rank); }
inline constexpr const char* verdict_key = "verdict";

/// A connection of its own, so that one thread's waiting holds up no other. Throws Error(environment).
c10::intrusive_ptr<c10d::Store> connect_store(const LaunchContext& context, double timeout_s);

/// The same for a member: when the connection breaks and nothing was set at `left_key`, the server of our own kind says "gone"
/// there. A launcher's store does not.
c10::intrusive_ptr<c10d::Store> connect_member(const LaunchContext& context, double timeout_s, const std::string& left_key);

std::string get_text(c10d::Store& store, const std::string& key);
void set_text(c10d::Store& store, const std::string& key, const std::string& text);

/// What a foreign exception says, without the backtrace that c10 adds.
std::string first_line(const std::exception& failure);

}  // namespace microemo::parallel
