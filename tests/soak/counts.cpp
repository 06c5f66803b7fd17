// SPDX-License-Identifier: MIT
#include "soak/counts.hpp"

#include "soak/dice.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace soak {
namespace {

// No memory is allocated: some of what is counted is that there was none. A place is taken once and for all.
struct place {
    std::atomic<char const*> name{nullptr};
    std::atomic<std::size_t> length{0};
    std::atomic<std::uint64_t> number{0};
};
std::array<place, 256> places;

place* find(std::string_view what, bool take) noexcept {
    for (place& p : places) {
        char const* name = p.name.load(std::memory_order_acquire);
        if (!name) {
            if (!take)
                return nullptr;
            if (p.name.compare_exchange_strong(name, what.data(), std::memory_order_acq_rel)) {
                p.length.store(what.size(), std::memory_order_release);
                return &p;
            }
        }
        std::size_t length = 0;
        while ((length = p.length.load(std::memory_order_acquire)) == 0) // another thread is just taking it
            ;
        if (std::string_view(name, length) == what)
            return &p;
    }
    std::abort(); // too many names
}

} // namespace

void count(std::string_view what) noexcept { find(what, true)->number.fetch_add(1, std::memory_order_relaxed); }

std::uint64_t counted(std::string_view what) noexcept {
    place const* const p = find(what, false);
    return p ? p->number.load(std::memory_order_relaxed) : 0;
}

void write_counts(std::ostream& out, std::string_view group) {
    std::vector<std::pair<std::string, std::uint64_t>> rows;
    for (place const& p : places) {
        char const* const name = p.name.load(std::memory_order_acquire);
        if (!name)
            break;
        std::string_view const text(name, p.length.load(std::memory_order_acquire));
        if (text.substr(0, text.find(':')) == group)
            rows.emplace_back(text.substr(text.find(':') + 2), p.number.load(std::memory_order_relaxed));
    }
    std::sort(rows.begin(), rows.end());
    for (auto const& [name, number] : rows)
        out << "    " << name << ": " << number << '\n';
}

void fault(std::string_view text) noexcept {
    std::fprintf(stderr, "soak: FAULT: %.*s\nsoak: the seed was %llu\n", static_cast<int>(text.size()), text.data(),
                 static_cast<unsigned long long>(seed));
    std::_Exit(1);
}

} // namespace soak
