// SPDX-License-Identifier: MIT
//
// libcurl's easy interface on portals. Needs CURLOPT_NOSIGNAL: without it, where curl has no resolver of its own, it
// ends a wait for a name by SIGALRM and a longjmp, from whatever task the thread has come to meanwhile.
//
// What it makes of a call that fails because its task is cancelled or destroyed (ECANCELED): curl_easy_perform gives
// CURLE_BAD_FUNCTION_ARGUMENT (43), its answer to any poll() that fails.

#include "blocking_libraries/calls.hpp"
#include "blocking_libraries/http_server.hpp"

#include <curl/curl.h>

#include <cstddef>
#include <string>

namespace {

using transfer = test::handle<CURL, curl_easy_cleanup>;

std::size_t append(char* data, std::size_t size, std::size_t count, void* to) {
    static_cast<std::string*>(to)->append(data, size * count);
    return size * count;
}

/// Gets `url`, what comes goes to `to`.
transfer get(std::string const& url, std::string& to) {
    static bool const ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    REQUIRE(ready);
    transfer t(curl_easy_init());
    REQUIRE(t);
    curl_easy_setopt(t.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(t.get(), CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t.get(), CURLOPT_PROXY, "");
    curl_easy_setopt(t.get(), CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(t.get(), CURLOPT_WRITEDATA, &to);
    curl_easy_setopt(t.get(), CURLOPT_CAINFO, test::web().certificate().c_str());
    return t;
}

std::string http(int ms) {
    return "http://localhost:" + std::to_string(test::web().http_port()) + "/" + std::to_string(ms);
}
std::string https(int ms) {
    return "https://localhost:" + std::to_string(test::web().https_port()) + "/" + std::to_string(ms);
}

/// The second has the better name, and a later version may come to give it.
bool is_failed_poll(CURLcode code) { return code == CURLE_BAD_FUNCTION_ARGUMENT || code == CURLE_UNRECOVERABLE_POLL; }

} // namespace

TEST_CASE("curl: many transfers wait at once on one thread", "[blocking_libraries]") {
    auto const url = GENERATE(as<std::string (*)(int)>(), http, https);
    test::check_that_they_wait_together([&] {
        std::string text;
        auto const t = get(url(int(test::each_waits.count())), text);
        auto const code = curl_easy_perform(t.get());
        INFO(curl_easy_strerror(code));
        REQUIRE(code == CURLE_OK);
        CHECK(text == "hello");
    });
}

TEST_CASE("curl: a transfer whose task is cancelled", "[blocking_libraries]") {
    auto const url = GENERATE(as<std::string (*)(int)>(), http, https);
    int const before = test::web().requests();
    test::on_portal_cancelled_when([&] { return test::web().requests() > before; },
                                   [&] {
                                       std::string text;
                                       auto const t = get(url(60'000), text);
                                       CHECK(is_failed_poll(curl_easy_perform(t.get())));
                                   });
}

TEST_CASE("curl: a transfer whose task is destroyed", "[blocking_libraries]") {
    auto const url = GENERATE(as<std::string (*)(int)>(), http, https);
    int const before = test::web().requests();
    CURLcode code = CURLE_OK;
    test::on_portal_destroyed_when([&] { return test::web().requests() > before; },
                                   [&] {
                                       std::string text;
                                       auto const t = get(url(60'000), text);
                                       code = curl_easy_perform(t.get());
                                   });
    CHECK(is_failed_poll(code));
}

TEST_CASE("curl: a handshake whose task is cancelled", "[blocking_libraries]") {
    test::silent_server const server;
    bool waiting = false;
    test::on_portal_cancelled_when([&] { return waiting; },
                                   [&] {
                                       std::string text;
                                       auto const t = get("https://127.0.0.1:" + std::to_string(server.port()), text);
                                       waiting = true;
                                       CHECK(is_failed_poll(curl_easy_perform(t.get())));
                                   });
}

TEST_CASE("curl: its own timeout", "[blocking_libraries]") {
    auto const url = GENERATE(as<std::string (*)(int)>(), http, https);
    test::on_portal([&] {
        std::string text;
        auto const t = get(url(60'000), text);
        curl_easy_setopt(t.get(), CURLOPT_TIMEOUT_MS, 300L);
        CHECK(curl_easy_perform(t.get()) == CURLE_OPERATION_TIMEDOUT);
    });
}
