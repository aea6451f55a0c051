// For the tests of rooms without LibTorch.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>
