#pragma once

namespace CLI {
class App;
}

namespace microemo::cli {

/// Adds "import" to `microemo data`: files of the public benchmarks, checked and taken over.
void add_import_command(CLI::App& data, int& status);

}  // namespace microemo::cli
