// SPDX-License-Identifier: MIT
// What is seen of the portals, and how it is told.

#include <greenback/dump_portals.hpp>

#include "call_site.hpp"
#include "portal_survey.hpp"
#include "symbols.hpp"

#include <greenback/on_task_stack.hpp>

#include <cstdio>
#include <ostream>
#include <string>
#include <string_view>

namespace greenback {
namespace {

using detail::demangled;

/// Rounded up, so that what is in use is never 0.
std::string kib(std::size_t bytes) { return std::to_string((bytes + 1023) / 1024); }

std::string file_and_line(std::string_view file, unsigned line) {
    return std::string(file) += ':' + std::to_string(line);
}

/// What was waited for.
std::string awaited(std::source_location site) {
    if (detail::is_use_portal(site))
        return ("wait for " + std::string(detail::operation_at(site))) += " by use_portal";
    if (std::string_view const call = detail::blocking_call_at(site); !call.empty())
        return "wait in " + std::string(call);
    return "await_ at " + file_and_line(site.file_name(), site.line()) + " in " + site.function_name();
}

std::string headline(portal_info const& p) {
    std::string text = "portal ";
    char id[24];
    std::snprintf(id, sizeof id, "%p", p.id);
    text += id;
    if (p.label)
        ((text += " \"") += p.label) += '"';
    text += p.state == portal_state::suspended ? ": suspended" : ": running";
    if (p.site.line() != 0) // the last also for one that is suspended: it may be a coroutine that waits, after that
        (text += ", last ") += awaited(p.site);
    text += "\n    stack ";
    text += p.stack_used != 0 ? kib(p.stack_used) + " of " + kib(p.stack_size) : kib(p.stack_size);
    text += " KiB";
    if (p.executor)
        (text += ", executor ") += demangled(p.executor->name());
    return text += '\n';
}

/// The calls of the program's own, by their numbers among all.
std::string calls_of(portal_info const& p, detail::symbols& names) {
    std::string text;
    std::size_t hidden = 0, number = 0;
    for (std::size_t i = 0; i != p.backtrace.size(); ++i)
        for (detail::named_call const& call : names.at(p.backtrace[i], i != 0)) {
            std::size_t const n = number++;
            if (call.is_plumbing) {
                ++hidden;
                continue;
            }
            ((text += "    #" + std::to_string(n)).append(n < 10 ? 2 : 1, ' ')) += call.function;
            if (!call.file.empty())
                text += " at " + file_and_line(call.file, call.line);
            text += '\n';
        }
    if (hidden != 0)
        text += "    (" + std::to_string(hidden) + (hidden == 1 ? " call" : " calls") +
                " in greenback, Asio or the standard library)\n";
    return text;
}

/// A look takes more stack than the smallest there is, and names that have many parts take what they please.
detail::portal_survey look_at_all() {
    return on_task_stack([] { return detail::portal_survey(); });
}

} // namespace

void for_each_portal(void (*visit)(portal_info const&, void*), void* argument) {
    detail::portal_survey const all = look_at_all();
    for (std::size_t i = 0; i != all.size(); ++i)
        visit(all[i], argument);
}

void dump_portals(std::ostream& out) {
    detail::portal_survey const all = look_at_all();
    detail::symbols names;
    std::string text = "greenback: " + std::to_string(all.size()) + (all.size() == 1 ? " portal, " : " portals, ") +
                       std::to_string(all.suspended()) + " suspended\n";
    for (std::size_t i = 0; i != all.size(); ++i) {
        text += '\n';
        on_task_stack([&] {
            text += headline(all[i]);
            text += calls_of(all[i], names);
        });
        out << text; // one by one: the stream may take its time, and the memory for all of it may be much
        text.clear();
    }
    out << text << std::flush;
}

} // namespace greenback
