// SPDX-License-Identifier: MIT
//
// A program that ends the process tells where it was.
#pragma once

#include "failing_allocations/allocations.hpp"

#include <exception>

namespace failing {

/// For as long as it lives, a death tells of the program, and of the allocation that failed.
class watch {
public:
    explicit watch(char const* program) noexcept;
    watch(watch const&) = delete;
    ~watch();

    /// What fails in the run that begins.
    static void plan_is(plan p) noexcept;

private:
    static constexpr int count = 4;
    std::terminate_handler terminate_;
    void (*before_[count])(int);
};

} // namespace failing
