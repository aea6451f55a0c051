#include "out_of_memory.h"

#include <cstdio>
#include <filesystem>
#include <new>
#include <stdexcept>

#include <c10/util/Exception.h>

#include "microemo/base/error.h"

namespace microemo::cli {
namespace {

Error out_of_memory(const char* doing, const std::string& reason, const std::string& next_step) {
  return EnvironmentError("out of memory while {}{}", doing, reason.empty() ? "" : ": " + reason).hint(next_step);
}

/// LibTorch has no type for it: its allocator says "DefaultCPUAllocator: can't allocate memory: you tried to allocate N bytes",
/// and sizes that no machine has overflow before.
std::string memory_reason(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  for (const char* sign :
       {"you tried to allocate", "not enough memory", "CUDA out of memory", "Storage size calculation overflowed"})
    if (const size_t found = text.find(sign); found != std::string::npos)
      return text.substr(found, text.find_first_of(".\n", found) - found);
  return {};
}

int report(const Error& error) {
  std::fflush(stdout);
  std::fprintf(stderr, "%s\n", error.what());
  return exit_code(error.kind());
}

int report_bug(const std::string& message) {
  return report(InternalError("{}", message).hint("this is a bug in MicroEmo: please report it with the command"));
}

constexpr const char* less_memory = "make what is read or computed at once smaller, or use a machine with more memory";

}  // namespace

void rethrow_out_of_memory(const char* doing, const std::string& next_step) {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    throw out_of_memory(doing, {}, next_step);
  } catch (const std::length_error&) {
    throw out_of_memory(doing, {}, next_step);
  } catch (const c10::Error& error) {
    if (const std::string reason = memory_reason(error); !reason.empty()) throw out_of_memory(doing, reason, next_step);
  } catch (...) {
  }
}

int report_current_exception() {
  try {
    with_memory_for("running the command", less_memory, [] { throw; });
  } catch (const Error& error) {
    return report(error);
  } catch (const c10::Error& error) {
    return report_bug(error.what_without_backtrace());
  } catch (const std::filesystem::filesystem_error& error) {
    return report(EnvironmentError("{}", error.code().message()).where(error.path1()).hint("check the path"));
  } catch (const std::exception& error) {
    return report_bug(error.what());
  }
  return exit_code(ErrorKind::internal);
}

}  // namespace microemo::cli
