// For the rooms that hold modules: torch/nn/module.h alone costs 20 s a file without it.
#pragma once
#include <torch/nn/module.h>
