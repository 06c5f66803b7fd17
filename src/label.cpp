// SPDX-License-Identifier: MIT

#include "label.hpp"

#include "hold_across_fork.hpp"
#include "never_destroyed.hpp"

#include <greenback/detail/fiber/portal_base.hpp>
#include <greenback/dump_portals.hpp>

#include <mutex>
#include <new>

namespace greenback {
namespace detail {
namespace {

constinit never_destroyed<std::mutex> adding_labels;

[[maybe_unused]] int const across_fork = hold_across_fork<adding_labels>();

label* find(char const* literal) noexcept {
    for (label_table* t = newest_labels.load(std::memory_order_acquire); t; t = t->older)
        for (std::size_t i = 0, end = t->count.load(std::memory_order_acquire); i != end; ++i)
            if (t->labels[i].text == literal)
                return &t->labels[i];
    return nullptr;
}

} // namespace

constinit std::atomic<label_table*> newest_labels{nullptr};

label* intern_label(char const* literal) noexcept {
    if (label* const known = find(literal))
        return known;
    std::scoped_lock const lock(*adding_labels);
    if (label* const known = find(literal)) // added meanwhile
        return known;
    label_table* t = newest_labels.load(std::memory_order_relaxed);
    if (!t || t->count.load(std::memory_order_relaxed) == label_table::capacity) {
        auto* const newer = new (std::nothrow) label_table;
        if (!newer)
            return nullptr;
        newer->older = t;
        t = newer;
        newest_labels.store(t, std::memory_order_release);
    }
    std::size_t const i = t->count.load(std::memory_order_relaxed);
    t->labels[i].text = literal;
    t->count.store(i + 1, std::memory_order_release);
    return &t->labels[i];
}

char const* label_of(void const* argument) noexcept {
    for (label_table* t = newest_labels.load(std::memory_order_acquire); t; t = t->older) {
        std::size_t const count = t->count.load(std::memory_order_acquire);
        auto const offset =
            reinterpret_cast<std::uintptr_t>(argument) - reinterpret_cast<std::uintptr_t>(t->labels.data());
        if (offset < count * sizeof(label))
            return t->labels[offset / sizeof(label)].text;
    }
    return nullptr;
}

} // namespace detail

void label_portal(char const* literal) noexcept {
    detail::portal_base* const portal = detail::raw_current_portal();
    if (!portal || !literal)
        return;
    void* const label = detail::intern_label(literal);
    if (!label)
        return;
    detail::fiber& f = portal->own_fiber();
    __atomic_store_n(&f.argument, label, __ATOMIC_RELAXED); // others may be looking
    detail::sanitizer::name(f.sanitizers, literal);
}

} // namespace greenback
