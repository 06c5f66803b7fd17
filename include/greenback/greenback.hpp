// SPDX-License-Identifier: MIT
#pragma once
#include <greenback/await.hpp>
#include <greenback/portal.hpp>
#include <greenback/task_portal.hpp>
