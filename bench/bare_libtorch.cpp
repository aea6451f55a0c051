// The least a program that uses LibTorch can do: what bench/start-up compares the start of microemo with.
#include <ATen/ops/ones.h>

int main() { return at::ones({1}).item<float>() == 1 ? 0 : 1; }
