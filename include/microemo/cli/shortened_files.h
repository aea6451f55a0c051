#pragma once

namespace microemo::cli {

/// From here on a file that is shortened while it is mapped (weights, for instance), or that its disk no longer gives, ends the
/// process with a message that names it and the exit code of Error(checkpoint), instead of a bare SIGBUS. Other causes of that
/// signal end it as before.
void end_with_message_when_a_mapped_file_is_shortened();

}  // namespace microemo::cli
