// SPDX-License-Identifier: MIT
//
// What programs do that can be seen, and the exceptions that they throw.
#pragma once

#include "support/asio.hpp"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace stress {

struct error_a {
    unsigned payload;
};
struct error_b : std::runtime_error {
    explicit error_b(unsigned n) : std::runtime_error("error_b"), payload(n) {}
    unsigned payload;
};

[[noreturn]] inline void fail(unsigned n) {
    if (n % 4 == 0)
        throw n;
    if (n % 4 == 1)
        throw error_a{n};
    if (n % 4 == 2)
        throw error_b(n);
    throw test::system_error(test::error_code(static_cast<int>(n), asio::error::get_system_category()));
}

// All texts are literals: a program is run many thousand times a second.
struct event {
    unsigned task = 0;
    char const* what = "";
    char const* type = ""; // of an exception
    unsigned number = 0;

    friend bool operator==(event const& a, event const& b) {
        return a.task == b.task && a.number == b.number && std::string_view(a.what) == b.what &&
               std::string_view(a.type) == b.type;
    }
};
using event_log = std::vector<event>;

inline event describe(char const* what, std::exception_ptr const& e) {
    try {
        std::rethrow_exception(e);
    } catch (unsigned n) {
        return {0, what, "unsigned", n};
    } catch (error_a const& a) {
        return {0, what, "error_a", a.payload};
    } catch (error_b const& b) {
        return {0, what, "error_b", b.payload};
    } catch (test::system_error const& s) { // without its text: that says who noticed the cancellation
        return {0, what, "system_error", static_cast<unsigned>(s.code().value())};
    } catch (asio::multiple_exceptions const&) {
        return {0, what, "multiple_exceptions", 0};
    } catch (greenback::no_portal const&) {
        return {0, what, "no_portal", 0};
    } catch (greenback::await_forbidden const&) {
        return {0, what, "await_forbidden", 0};
    } catch (greenback::executor_mismatch const&) {
        return {0, what, "executor_mismatch", 0};
    } catch (greenback::portal_busy const&) {
        return {0, what, "portal_busy", 0};
    } catch (std::exception const&) {
        return {0, what, "another std::exception", 0};
    } catch (greenback::abandoned const&) {
        return {0, what, "abandoned", 0};
    }
}

inline std::string text(event const& e) {
    return "task " + std::to_string(e.task) + " " + e.what + (*e.type ? " " : "") + e.type + " " +
           std::to_string(e.number);
}

// Where the logs differ, from a little before that.
inline std::string difference(event_log const& expected, event_log const& actual) {
    auto const [e, a] = std::mismatch(expected.begin(), expected.end(), actual.begin(), actual.end());
    if (e == expected.end() && a == actual.end())
        return "";
    std::string all;
    for (auto i = e - std::min<std::ptrdiff_t>(5, e - expected.begin()); i != e; ++i)
        all += text(*i) + "; ";
    return all + "then expected: " + (e == expected.end() ? "the end" : text(*e)) +
           ", but: " + (a == actual.end() ? "the end" : text(*a));
}

} // namespace stress
