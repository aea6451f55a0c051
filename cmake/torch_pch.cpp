// Exists so that the precompiled header has a target to be built with.
namespace microemo { int torch_precompiled_header = 0; }
