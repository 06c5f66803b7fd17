// SPDX-License-Identifier: MIT
#include "soak/ledger.hpp"

#include "soak/counts.hpp"
#include "soak/faults.hpp"

#include "support/asio.hpp"

#include <atomic>
#include <map>
#include <mutex>
#include <new>

namespace soak {
namespace {

std::mutex mutex;
std::map<std::uint64_t, std::uint64_t> open_requests; // number → tick of its issue
std::uint64_t last_number = 0;
std::uint64_t now = 0;
std::atomic<std::uint64_t> answered_requests{0}, failed_requests{0};
std::atomic<int> destroyers{0};

std::string_view known_code(test::error_code const& code) noexcept {
    namespace error = asio::error;
    if (code == error::eof)
        return "failed: end of file";
    if (code == error::connection_reset)
        return "failed: connection reset";
    if (code == error::connection_refused)
        return "failed: connection refused";
    if (code == error::connection_aborted)
        return "failed: connection aborted";
    if (code == error::broken_pipe)
        return "failed: broken pipe";
    if (code == error::not_connected)
        return "failed: not connected";
    if (code == error::operation_aborted)
        return "failed: operation aborted";
    if (code == error::timed_out)
        return "failed: timed out";
    if (code == error::no_descriptors)
        return "failed: too many open files";
    if (code == error::no_memory)
        return "failed: the kernel has no memory (epoll)";
    if (code.value() == ENOSPC && code.category() == asio::error::get_system_category())
        return "failed: no space (epoll)";
    if (code.value() == ENOENT && code.category() == asio::error::get_system_category())
        return "failed: no such Unix socket";
    if (code == error::try_again)
        return "failed: try again (a Unix socket's backlog)";
    return {};
}

} // namespace

std::string_view known_failure(std::exception_ptr const& error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (greenback::abandoned const&) {
        return "failed: abandoned";
    } catch (thrown_on_purpose const&) {
        return "failed: an exception thrown on purpose";
    } catch (server_failed const& e) {
        return e.how;
    } catch (greenback::stack_exhausted const&) {
        return "failed: no stack";
    } catch (std::bad_alloc const&) {
        return memory_failures_injected() ? std::string_view("failed: no memory") : std::string_view();
    } catch (test::system_error const& e) {
        return known_code(e.code());
    } catch (asio::multiple_exceptions const& e) { // both sides of a `||`
        return known_failure(e.first_exception());
    } catch (...) {
        return {};
    }
}

std::string describe(std::exception_ptr const& error) {
    try {
        std::rethrow_exception(error);
    } catch (wrong_answer const& e) {
        return "a wrong answer: " + e.text;
    } catch (test::system_error const& e) {
        return std::string("system_error ") + std::to_string(e.code().value()) + ": " + e.what();
    } catch (std::exception const& e) {
        return e.what();
    } catch (...) {
        auto const known = known_failure(error);
        return known.empty() ? "an unknown exception" : std::string(known);
    }
}

request::request() {
    std::scoped_lock const lock(mutex);
    number_ = ++last_number;
    open_requests.emplace(number_, now);
}

request::~request() {
    if (settled_)
        return;
    if (destroyers == 0)
        fault("request " + std::to_string(number_) + " was lost: neither answered nor failed");
    count("failed: its coroutine was destroyed");
    ++failed_requests;
    settle();
}

void request::answered() noexcept {
    ++answered_requests;
    settle();
}

void request::failed(std::exception_ptr const& error) {
    auto const known = known_failure(error);
    if (known.empty())
        fault("request " + std::to_string(number_) + " failed by " + describe(error));
    count(known);
    ++failed_requests;
    settle();
}

void request::settle() noexcept {
    settled_ = true;
    std::scoped_lock const lock(mutex);
    open_requests.erase(number_);
}

tasks_are_being_destroyed::tasks_are_being_destroyed() noexcept { ++destroyers; }
tasks_are_being_destroyed::~tasks_are_being_destroyed() { --destroyers; }

balance balance_so_far() {
    std::scoped_lock const lock(mutex);
    return {last_number, answered_requests, failed_requests, open_requests.size()};
}

std::uint64_t oldest_age() {
    std::scoped_lock const lock(mutex);
    return open_requests.empty() ? 0 : now - open_requests.begin()->second;
}

void tick() {
    std::scoped_lock const lock(mutex);
    ++now;
}

} // namespace soak
