#include "microemo/base/device.h"

#include <charconv>

#include "microemo/base/error.h"

namespace microemo {

Device choose_device(const std::string& name) {
  if (name == "auto" || name == "cpu") return {.cuda = false, .index = 0, .reason = "the CPU was asked for"};
  throw EnvironmentError("no CUDA").hint("use --device cpu");
}

}  // namespace microemo
