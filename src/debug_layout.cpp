// SPDX-License-Identifier: MIT

#include "debug_layout.hpp"

#include "portal_layout.hpp"

#include <boost/context/stack_context.hpp>

// A region has a member that is a reference: `offsetof` need not have an answer for it, but has.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace {
using namespace greenback::detail;
} // namespace

// The debugger reads a site as one pointer. Both standard libraries do so; the file's name is the first of what is there.
static_assert(sizeof(std::source_location) == sizeof(void*));

[[gnu::used]] constinit debug_layout const greenback_debug_layout = {
    .version = debug_layout::current_version,
    .record_size = sizeof(fiber),
    .other = offsetof(fiber, other),
    .busy = offsetof(fiber, busy),
    .magic = offsetof(fiber, magic),
    .stack_size = offsetof(fiber, stack) + offsetof(boost::context::stack_context, size),
    .stack_top = offsetof(fiber, stack) + offsetof(boost::context::stack_context, sp),
    .argument = offsetof(fiber, argument),
    .next = offsetof(fiber, next),
    .portal = offsetof(fiber, portal_memory),
    .site = portal_layout::of_site(),
    .kind = portal_layout::of_kind(),
    .kind_executor = offsetof(portal_kind, executor_type),
    .kind_backend = offsetof(portal_kind, backend),
    .kind_outside = portal_layout::of_outside(),
    .forbidden_backend = forbidden_kind::no_backend,
    .class_count = class_count,
    .class_bytes = sizeof(size_class),
    .class_size = offsetof(size_class, size),
    .class_stride = offsetof(size_class, stride),
    .class_newest = offsetof(size_class, newest),
    .region_base = offsetof(region, base),
    .region_slots = offsetof(region, slots),
    .region_older = offsetof(region, older),
    .region_handed_out = offsetof(region, handed_out),
    .labels_older = offsetof(label_table, older),
    .labels_count = offsetof(label_table, count),
    .labels_texts = offsetof(label_table, labels),
    .magic_value = fiber::magic_value,
    .classes = &pool_classes,
    .first_elsewhere = &first_fiber_elsewhere,
    .newest_labels = &newest_labels,
    .unprepared_kind = &unprepared_kind,
    .abandoned_kind = &abandoned_kind,
};
