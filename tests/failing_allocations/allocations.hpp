// SPDX-License-Identifier: MIT
//
// Memory that runs out on purpose: the program's allocations are counted, and one of them, or one and all after it,
// fails. operator new, malloc and its kin, and mmap where the library calls it.
#pragma once

#include <span>

namespace failing {

/// Which allocations fail, counted from 1 on all threads together. 0: none.
struct plan {
    long first = 0;
    bool and_all_after = false;
    /// Do those succeed whose failure plain Asio does not survive? What it does then is shown in plain_asio.cpp.
    bool spares_asio = true;
};

/// Counting begins anew.
void begin(plan p) noexcept;
/// Nothing fails from now on; counting goes on.
void relent() noexcept;
/// Nothing fails or is counted from now on. @returns how many allocations there were
long end() noexcept;
/// How many have failed since `begin`.
long failures() noexcept;

/// How many allocations have not been freed, of those that are seen. With AddressSanitizer that is operator new alone;
/// LeakSanitizer knows of the others.
long live() noexcept;

/// The calls that led to the allocation that failed first.
std::span<void* const> first_failure() noexcept;

/// Here allocations don't fail, since plain Asio, or the C library, does not survive it. Each use says what, and where
/// it is shown.
class reprieve {
public:
    reprieve() noexcept;
    reprieve(reprieve const&) = delete;
    ~reprieve();
};

} // namespace failing
