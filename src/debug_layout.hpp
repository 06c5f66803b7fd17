// SPDX-License-Identifier: MIT
// What a debugger has to know of this library to find the portals of a process, or of its core dump, also where the
// library was built without debug information. Read by src/gdb/greenback.py, which must be changed with it.
#pragma once

#include <greenback/detail/fiber/fiber.hpp>
#include <greenback/detail/fiber/portal_base.hpp>

#include "label.hpp"
#include "stack_region.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace greenback::detail {

/// Offsets and sizes are in bytes. All that is pointed to is there from the start, in the program's own memory.
struct debug_layout {
    static constexpr std::uint32_t current_version = 1; ///< to be raised with every change

    std::uint32_t version;

    // A fiber's record, at `(top of its stack - record_size) & ~63` on the pool's stacks.
    std::uint32_t record_size;
    std::uint32_t other;      ///< the word `fiber::other`: odd while the fiber is in
    std::uint32_t busy;       ///< one byte
    std::uint32_t magic;      ///< `fiber::magic_value`, on the pool's stacks
    std::uint32_t stack_size; ///< these two are of the fiber's stack
    std::uint32_t stack_top;
    std::uint32_t argument; ///< points to a pointer to the label, if it points into the table of labels
    std::uint32_t next;     ///< of the fibers on other allocators' stacks
    std::uint32_t portal;   ///< where the portal begins

    // A portal.
    std::uint32_t site; ///< a pointer to { char const* file, char const* function, unsigned line, unsigned column }
    std::uint32_t kind; ///< a pointer to the kind

    // A kind.
    std::uint32_t kind_executor; ///< a pointer to a std::type_info
    std::uint32_t kind_backend;  ///< an int; `forbidden_backend`: a scope's
    std::uint32_t kind_outside;  ///< of a scope's kind: the one that it stands in the place of
    std::int32_t forbidden_backend;

    // The pool: `class_count` classes, each with regions of slots of `stride` bytes, the stack at the upper end of each.
    std::uint32_t class_count;
    std::uint32_t class_bytes;
    std::uint32_t class_size; ///< of a stack, without the guard
    std::uint32_t class_stride;
    std::uint32_t class_newest;      ///< the first region of the list
    std::uint32_t region_base;       ///< address of slot 0
    std::uint32_t region_slots;      ///< a pointer to a uint32_t for each slot, 0: in use
    std::uint32_t region_older;      ///< the next of the list
    std::uint32_t region_handed_out; ///< a uint32_t: how many slots there are

    // The table of labels.
    std::uint32_t labels_older;
    std::uint32_t labels_count;
    std::uint32_t labels_texts; ///< of pointers

    std::uint32_t unused = 0;

    std::uint64_t magic_value;
    size_class const* const* classes;     ///< points to a pointer to the first
    fiber* const* const* first_elsewhere; ///< points to a pointer to the first on another allocator's stack
    std::atomic<label_table*> const* newest_labels;
    portal_kind const* unprepared_kind; ///< a portal of this kind has no site yet
    portal_kind const* abandoned_kind;  ///< the task is being destroyed
};

/// The first of the pool's classes (stack_pool.cpp), and the first of the fibers elsewhere (fibers_elsewhere.cpp).
extern constinit size_class const* const pool_classes;
extern constinit fiber* const* const first_fiber_elsewhere;

} // namespace greenback::detail

/// By this name a debugger finds it.
extern "C" [[gnu::visibility("default")]] greenback::detail::debug_layout const greenback_debug_layout;
