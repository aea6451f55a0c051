#pragma once

namespace microemo::cli {

/// The commit of the source tree, "-dirty" behind it where files were changed; "unknown" outside of one.
extern const char* const built_from_commit;

}  // namespace microemo::cli
