// SPDX-License-Identifier: MIT
// What is there for as long as the program, or a shared object of it, is: for looking at pointers that may be stale.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

namespace greenback::detail {

/// To be held while the dynamic linker is asked for its objects: it has locks for that, and in a child of fork() they stay
/// locked for ever if another thread was in there. Each fork waits for this one.
std::mutex& asking_for_objects() noexcept;

/// The address ranges of the program and its shared objects, as they are when this is made.
class program_memory {
public:
    /// @throws std::bad_alloc
    program_memory();

    bool holds(void const* begin, std::size_t bytes) const noexcept;

private:
    struct range {
        std::uintptr_t begin, end;
    };
    std::vector<range> ranges_; // by address
};

} // namespace greenback::detail
