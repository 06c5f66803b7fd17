// SPDX-License-Identifier: MIT
//
// The version of these headers. CMakeLists.txt says the same; a test compares them.
#pragma once

#define GREENBACK_VERSION_MAJOR 0
#define GREENBACK_VERSION_MINOR 2
#define GREENBACK_VERSION_PATCH 0

// One number to compare with: 10203 for 1.2.3.
#define GREENBACK_VERSION (GREENBACK_VERSION_MAJOR * 10000 + GREENBACK_VERSION_MINOR * 100 + GREENBACK_VERSION_PATCH)

#define GREENBACK_VERSION_STRING "0.2.0"
