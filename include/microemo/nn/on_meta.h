#pragma once
#include <memory>

namespace microemo::nn {

/// Tensors that are made while it lives have names, shapes and types, and no memory: a model of any size is built and looked at
/// in milliseconds. Of this thread alone; nothing can be computed with their values.
class OnMeta {
 public:
  OnMeta();
  ~OnMeta();

 private:
  struct Guards;
  std::unique_ptr<Guards> guards_;
};

}  // namespace microemo::nn
