#include "network.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "microemo/base/error.h"

namespace microemo::parallel {
namespace {

std::string text_of(const sockaddr* address, socklen_t length) {
  char text[NI_MAXHOST] = {};
  const bool known = ::getnameinfo(address, length, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0;
  return known ? text : "";
}

bool is_loopback(const std::string& address) { return address.starts_with("127.") || address == "::1" || address.empty(); }

/// The address of an interface by name, or of the first that is up and no loopback.
std::string interface_address(const std::string& name) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned(list, &::freeifaddrs);
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET || (one->ifa_flags & IFF_UP) == 0) continue;
    const bool wanted = name.empty() ? (one->ifa_flags & IFF_LOOPBACK) == 0 : name == one->ifa_name;
    if (wanted) return text_of(one->ifa_addr, sizeof(sockaddr_in));
  }
  return {};
}

/// Connecting a datagram socket sends nothing; it only looks up the route.
std::string address_towards(const LaunchContext& context) {
  addrinfo wanted{}, *list = nullptr;
  wanted.ai_socktype = SOCK_DGRAM;
  if (::getaddrinfo(context.address.c_str(), std::to_string(context.port).c_str(), &wanted, &list) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(list, &::freeaddrinfo);
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    const int descriptor = ::socket(one->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) continue;
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    const bool found = ::connect(descriptor, one->ai_addr, one->ai_addrlen) == 0 &&
                       ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &length) == 0;
    ::close(descriptor);
    if (found) return text_of(reinterpret_cast<const sockaddr*>(&own), length);
  }
  return {};
}

}  // namespace

std::string own_address(const LaunchContext& context) {
  if (const char* name = std::getenv("GLOO_SOCKET_IFNAME"); name != nullptr && *name != '\0') {
    const std::string address = interface_address(name);
    if (address.empty())
      throw EnvironmentError("GLOO_SOCKET_IFNAME is '{}', and no such interface is up with an address", name)
          .at("environment")
          .hint("ip -brief address shows what there is");
    return address;
  }
  const std::string address = address_towards(context);
  if (!is_loopback(address)) return address;
  const std::string other = context.local_world == context.world ? std::string() : interface_address({});
  return other.empty() ? "127.0.0.1" : other;
}

bool leads_to_this_machine_alone(const std::string& address) { return address == "127.0.0.1" || address == "localhost"; }

}  // namespace microemo::parallel
