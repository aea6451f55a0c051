#pragma once
#include <string>

#include "microemo/parallel/launch_context.h"

namespace microemo::parallel {

/// The address under which the other ranks reach this machine: that of the interface that GLOO_SOCKET_IFNAME names, else of the
/// one that leads to the meeting place. A host's own name is no guide: Debian lets it stand for 127.0.1.1.
std::string own_address(const LaunchContext& context);

/// Whether a server that is reached under this address need not listen to other machines.
bool leads_to_this_machine_alone(const std::string& address);

}  // namespace microemo::parallel
