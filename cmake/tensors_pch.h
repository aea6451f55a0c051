// For the rooms that hold tensors and no modules: loading the modules' header, used or not, costs 3 s a file.
#pragma once
#include <ATen/core/Tensor.h>
