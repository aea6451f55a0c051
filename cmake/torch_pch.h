// The one precompiled header, for the rooms that use LibTorch: torch/nn/module.h alone costs 20 s a file without it.
#pragma once
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/module.h>
