// Exists so that a precompiled header has a target to be built with.
namespace microemo {
int precompiled_header = 0;
}
