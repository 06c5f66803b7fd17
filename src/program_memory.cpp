// SPDX-License-Identifier: MIT

#include "program_memory.hpp"

#include "hold_across_fork.hpp"
#include "never_destroyed.hpp"

#include <algorithm>
#include <exception>

#include <link.h>

namespace greenback::detail {
namespace {

constinit never_destroyed<std::mutex> asking;

[[maybe_unused]] int const across_fork = hold_across_fork<asking>();

} // namespace

std::mutex& asking_for_objects() noexcept { return *asking; }

program_memory::program_memory() {
    std::scoped_lock const lock(asking_for_objects());
    struct search {
        std::vector<range>& ranges;
        std::exception_ptr failed;
    } s{ranges_, nullptr};
    ::dl_iterate_phdr(
        [](dl_phdr_info* object, std::size_t, void* argument) noexcept {
            auto& result = *static_cast<search*>(argument);
            try {
                for (auto i = 0u; i != object->dlpi_phnum; ++i) {
                    auto const& segment = object->dlpi_phdr[i];
                    std::uintptr_t const begin = object->dlpi_addr + segment.p_vaddr;
                    if (segment.p_type == PT_LOAD)
                        result.ranges.push_back({begin, begin + segment.p_memsz});
                }
            } catch (...) {
                result.failed = std::current_exception();
                return 1;
            }
            return 0;
        },
        &s);
    if (s.failed)
        std::rethrow_exception(s.failed);
    std::sort(ranges_.begin(), ranges_.end(), [](range const& a, range const& b) { return a.begin < b.begin; });
}

bool program_memory::holds(void const* begin, std::size_t bytes) const noexcept {
    auto const address = reinterpret_cast<std::uintptr_t>(begin);
    auto const above = std::upper_bound(ranges_.begin(), ranges_.end(), address,
                                        [](std::uintptr_t a, range const& r) { return a < r.begin; });
    return above != ranges_.begin() && address < above[-1].end && above[-1].end - address >= bytes;
}

} // namespace greenback::detail
