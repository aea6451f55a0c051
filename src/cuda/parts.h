#pragma once
#include "base/cuda_plugin.h"

// The parts of the plug-in that are in files of their own.

namespace microemo {

bool make_nccl_group(const MicroEmoNcclMeeting* meeting, void* group, char* reason, size_t reason_size);

bool begin_graph(void** graph, char* reason, size_t reason_size);
bool end_graph(void* graph, char* reason, size_t reason_size);
bool run_graph(void* graph, char* reason, size_t reason_size);
void free_graph(void* graph);

}  // namespace microemo
