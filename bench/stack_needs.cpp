// SPDX-License-Identifier: MIT
// How much of a stack well-known libraries need: what docs/pitfalls.md says about choosing a size.
//
//     bench_stack_needs [<connection string of libpq>...]     bench/stack_needs.sh starts a server for the latter
//
// Each row is a process of its own, so that it meets the library as a program does that has just begun: symbols that
// the dynamic linker has yet to look up, tables yet to be made. What is printed is what the kernel saw touched of the
// stack of the one portal there, in whole pages, the portal's own record and the few frames of this program included:
// the first row has those alone.

#include <asio.hpp>

#include <greenback/greenback.hpp>
#include <greenback/stack.hpp>

#include <cfloat>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <regex>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <netdb.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__GLIBC__)
#include <gnu/libc-version.h>
#endif
#if defined(GREENBACK_BENCH_LUA)
#include <lua.hpp>
#endif
#if defined(GREENBACK_BENCH_OPENSSL)
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#endif
#if defined(GREENBACK_BENCH_SQLITE)
#include <sqlite3.h>
#endif
#if defined(GREENBACK_BENCH_LIBPQ)
#include <libpq-fe.h>
#endif

namespace {

using greenback::await_;

void check(bool condition, char const* what) {
    if (!condition)
        throw std::runtime_error(what);
}

/// For a result that nobody needs.
template <class T> void keep(T const& value) { asm volatile("" : : "g"(&value) : "memory"); }

/// What C libraries make, and free by a function.
template <auto Free> struct freed_by {
    template <class T> void operator()(T* p) const { Free(p); }
};
template <class T, auto Free> using owned = std::unique_ptr<T, freed_by<Free>>;

// ---- a process for each row ----

/// What `f` returns, called in a child process; nothing if it failed there, which it has said then.
std::optional<std::string> in_child(std::function<std::string()> const& f) {
    std::fflush(nullptr);
    int ends[2];
    check(::pipe(ends) == 0, "pipe");
    pid_t const child = ::fork();
    check(child >= 0, "fork");
    if (child == 0) {
        int status = 1;
        try {
            std::string const result = f();
            if (::write(ends[1], result.data(), result.size()) == static_cast<ssize_t>(result.size()))
                status = 0;
        } catch (std::exception const& e) {
            std::fprintf(stderr, "%s\n", e.what());
        }
        ::_exit(status);
    }
    ::close(ends[1]);
    std::string result;
    char text[4096];
    for (ssize_t n = 0; (n = ::read(ends[0], text, sizeof text)) > 0;)
        result.append(text, static_cast<std::size_t>(n));
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return std::nullopt;
    return result;
}

/// Runs `f` in a portal on a stack that is large enough for all of them. A coroutine beside it runs on the thread's.
std::size_t kib_needed(std::function<void()> const& f, std::function<asio::awaitable<void>()> const& beside = nullptr) {
    asio::io_context loop(1);
    std::exception_ptr failure;
    auto const note = [&](std::exception_ptr e) {
        if (e && !failure)
            failure = e;
    };
    greenback::measure_stack_use(true);
    asio::co_spawn(
        loop, greenback::with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(256UL << 20), std::cref(f)),
        note);
    if (beside)
        asio::co_spawn(loop, beside(), note);
    loop.run();
    if (failure)
        std::rethrow_exception(failure);
    return greenback::stack_high_water() / 1024;
}

bool all_went_well = true;

void row(std::string const& what, std::function<std::size_t()> const& measure, char const* unit = "") {
    auto const kib = in_child([&] { return std::to_string(measure()); });
    all_went_well = all_went_well && kib;
    std::printf("| %s | %s%s |\n", what.c_str(), kib ? kib->c_str() : "failed", unit);
}

// ---- the language and its standard library ----

#if !defined(GREENBACK_BENCH_LUA_ALONE)
void await_once() { asio::post(await_(asio::this_coro::executor), greenback::use_portal); }

void throw_and_catch() {
    try {
        throw std::runtime_error("thrown");
    } catch (std::exception const& e) {
        keep(e);
    }
}

void print_long_double() {
    std::vector<char> text(2 * LDBL_MAX_10_EXP);
    check(std::snprintf(text.data(), text.size(), "%Lf", LDBL_MAX) > LDBL_MAX_10_EXP, "snprintf");
}

void match(char const* expression, std::size_t length) {
    std::regex const compiled(expression);
    check(std::regex_match(std::string(length, 'a'), compiled), "regex_match");
}

/// What each 1000 more of something cost.
std::size_t kib_each_thousand(std::function<void(std::size_t)> const& f) {
    constexpr std::size_t few = 5, many = 25;
    auto const needed = [&](std::size_t thousands) {
        auto const result = in_child([&] { return std::to_string(kib_needed([&] { f(thousands * 1000); })); });
        check(result.has_value(), "a child failed");
        return std::stoul(*result);
    };
    return (needed(many) - needed(few)) / (many - few);
}

void look_up_localhost() {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    check(::getaddrinfo("localhost", "80", &hints, &found) == 0 && found, "getaddrinfo");
    ::freeaddrinfo(found);
}
#endif

// ---- Lua ----

#if defined(GREENBACK_BENCH_LUA)
/// @returns the script's result, or the text of its error
std::string run_lua(std::string const& script) {
    owned<lua_State, lua_close> const lua(luaL_newstate());
    luaL_openlibs(lua.get());
    luaL_dostring(lua.get(), script.c_str());
    char const* const result = lua_tostring(lua.get(), -1);
    return result ? result : "";
}

void lua_gsub(char const* levels, std::string_view expected) {
    auto const result = run_lua("local function nested(levels)\n"
                                "  if levels == 0 then return 'done' end\n"
                                "  return (string.gsub('x', 'x', function() return nested(levels - 1) end))\n"
                                "end\n"
                                "return nested(" +
                                std::string(levels) + ")");
    check(result.find(expected) != std::string::npos, result.c_str());
}

void lua_parentheses() {
    auto const result = run_lua("return load(string.rep('(', 1000) .. '1' .. string.rep(')', 1000))");
    check(result.find("C stack overflow") != std::string::npos, result.c_str());
}
#endif

// ---- OpenSSL ----

#if defined(GREENBACK_BENCH_OPENSSL)
using ssl_context = owned<SSL_CTX, SSL_CTX_free>;
using ssl = owned<SSL, SSL_free>;
using bio = owned<BIO, BIO_free>;
using key = owned<EVP_PKEY, EVP_PKEY_free>;
using certificate = owned<X509, X509_free>;

/// A key and a certificate that it signed itself, for "localhost", one after the other as PEM.
std::string self_made_certificate() {
    key const k(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t(2048)));
    certificate const c(X509_new());
    check(k && c, "EVP_PKEY_Q_keygen");
    X509_set_version(c.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(c.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(c.get()), 3600);
    X509_set_pubkey(c.get(), k.get());
    X509_NAME* const name = X509_get_subject_name(c.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<unsigned char const*>("localhost"), -1, -1,
                               0);
    X509_set_issuer_name(c.get(), name);
    for (auto const& [id, value] :
         {std::pair(NID_basic_constraints, "critical,CA:TRUE"), std::pair(NID_subject_alt_name, "DNS:localhost")}) {
        owned<X509_EXTENSION, X509_EXTENSION_free> const extension(X509V3_EXT_conf_nid(nullptr, nullptr, id, value));
        check(extension && X509_add_ext(c.get(), extension.get(), -1), "X509_add_ext");
    }
    check(X509_sign(c.get(), k.get(), EVP_sha256()), "X509_sign");
    bio const text(BIO_new(BIO_s_mem()));
    check(PEM_write_bio_PrivateKey(text.get(), k.get(), nullptr, nullptr, 0, nullptr, nullptr), "PEM_write_bio");
    check(PEM_write_bio_X509(text.get(), c.get()), "PEM_write_bio");
    char* data = nullptr;
    auto const size = BIO_get_mem_data(text.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

/// One end of a connection. All of it is made where the handshake is: a program's first connection needs as much.
class tls_end {
public:
    tls_end(bool server, std::string const& pem, bio end) : context_(SSL_CTX_new(TLS_method())) {
        check(bool(context_), "SSL_CTX_new");
        SSL_CTX_set_default_verify_paths(context_.get());
        auto const read = [&] { return bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); };
        certificate const c(PEM_read_bio_X509(read().get(), nullptr, nullptr, nullptr));
        check(bool(c), "PEM_read_bio_X509");
        if (server) {
            key const k(PEM_read_bio_PrivateKey(read().get(), nullptr, nullptr, nullptr));
            check(k && SSL_CTX_use_certificate(context_.get(), c.get()) == 1 &&
                      SSL_CTX_use_PrivateKey(context_.get(), k.get()) == 1,
                  "SSL_CTX_use_certificate");
        } else {
            X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), c.get());
            SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
        }
        ssl_.reset(SSL_new(context_.get()));
        SSL_set_bio(ssl_.get(), end.get(), end.get());
        (void)end.release(); // SSL_set_bio owns it now
        if (server)
            SSL_set_accept_state(ssl_.get());
        else {
            SSL_set_connect_state(ssl_.get());
            check(SSL_set1_host(ssl_.get(), "localhost") == 1, "SSL_set1_host");
        }
    }

    /// @returns whether the handshake is over
    bool handshake() {
        int const result = SSL_do_handshake(ssl_.get());
        if (result == 1)
            return true;
        check(SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ, "SSL_do_handshake");
        return false;
    }

    /// One message there and back. @returns whether that has been done
    bool talk(bool first) {
        char text[64] = "hello";
        if (first && !std::exchange(sent_, true))
            check(SSL_write(ssl_.get(), text, sizeof text) == sizeof text, "SSL_write");
        int const result = SSL_read(ssl_.get(), text, sizeof text);
        if (result <= 0) {
            check(SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ, "SSL_read");
            return false;
        }
        if (!first)
            check(SSL_write(ssl_.get(), text, result) == result, "SSL_write");
        return true;
    }

private:
    ssl_context context_;
    ssl ssl_;
    bool sent_ = false;
};

/// A handshake and a message, one end in a portal, the other in a coroutine.
std::size_t tls(bool server_in_portal, std::string const& pem) {
    BIO *one = nullptr, *other = nullptr;
    check(BIO_new_bio_pair(&one, 65536, &other, 65536) == 1, "BIO_new_bio_pair");
    bio portals(one), coroutines(other);
    std::unique_ptr<tls_end> in_portal, beside; // both until the end: the pair loses what is in it when one goes
    return kib_needed(
        [&] {
            in_portal = std::make_unique<tls_end>(server_in_portal, pem, std::move(portals));
            while (!in_portal->handshake())
                await_once();
            while (!in_portal->talk(!server_in_portal))
                await_once();
        },
        [&]() -> asio::awaitable<void> {
            beside = std::make_unique<tls_end>(!server_in_portal, pem, std::move(coroutines));
            while (!beside->handshake())
                co_await asio::post(asio::use_awaitable);
            while (!beside->talk(server_in_portal))
                co_await asio::post(asio::use_awaitable);
        });
}
#endif

// ---- SQLite ----

#if defined(GREENBACK_BENCH_SQLITE)
void sqlite(std::string const& query, std::string_view expected) {
    sqlite3* made = nullptr;
    check(sqlite3_open(":memory:", &made) == SQLITE_OK, "sqlite3_open");
    owned<sqlite3, sqlite3_close> const db(made);
    std::string first;
    char* error = nullptr;
    int const result = sqlite3_exec(
        db.get(), query.c_str(),
        [](void* argument, int columns, char** values, char**) {
            auto& f = *static_cast<std::string*>(argument);
            if (f.empty())
                f = values[columns - 1];
            return 0;
        },
        &first, &error);
    check(result == SQLITE_OK, error ? error : "sqlite3_exec");
    check(first == expected, first.c_str());
}

void sqlite_join() {
    sqlite("create table person (id integer primary key, name text, city integer);"
           "create table city (id integer primary key, name text);"
           "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)"
           "  insert into person select i, 'person ' || (i * 7919 % 20011), i % 100 from n;"
           "with recursive n(i) as (select 0 union all select i + 1 from n where i < 99)"
           "  insert into city select i, 'city ' || i from n;"
           "select person.name, city.name from person join city on person.city = city.id"
           "  where person.name like 'person%' order by city.name desc, person.name",
           "city 99");
}

/// As deep as SQLite allows by default, SQLITE_MAX_EXPR_DEPTH.
void sqlite_deep_expression() {
    std::string sum = "select 1";
    for (int i = 1; i != 990; ++i)
        sum += " + 1";
    sqlite(sum, "990");
}
#endif

// ---- libpq ----

#if defined(GREENBACK_BENCH_LIBPQ)
void connect(char const* to) {
    owned<PGconn, PQfinish> const connection(PQconnectdb(to));
    check(PQstatus(connection.get()) == CONNECTION_OK, PQerrorMessage(connection.get()));
    owned<PGresult, PQclear> const result(PQexec(connection.get(), "select 6 * 7"));
    check(PQresultStatus(result.get()) == PGRES_TUPLES_OK, PQerrorMessage(connection.get()));
    check(std::string_view(PQgetvalue(result.get(), 0, 0)) == "42", "PQgetvalue");
}

/// What kind of connection it is, for the row's name.
std::string kind_of(char const* to) {
    auto const kind = in_child([&] {
        owned<PGconn, PQfinish> const connection(PQconnectdb(to));
        check(PQstatus(connection.get()) == CONNECTION_OK, PQerrorMessage(connection.get()));
        std::string const host = PQhost(connection.get());
        return std::string(host.starts_with('/') ? "a Unix socket" : "TCP") +
               (PQsslInUse(connection.get()) ? ", TLS" : "") +
               (PQconnectionUsedPassword(connection.get()) ? ", a password" : "");
    });
    return kind.value_or("?");
}
#endif

// ---- the table ----

void print_rows([[maybe_unused]] std::span<char*> connections) {
    std::printf("| | KiB |\n|---|---:|\n");
    auto const in_portal = [](std::string const& what, auto f) { row(what, [&] { return kib_needed(f); }); };
#if !defined(GREENBACK_BENCH_LUA_ALONE)
    in_portal("an `await_`, and nothing else", await_once);
    in_portal("an exception, thrown and caught", throw_and_catch);
    in_portal("`snprintf` of the largest `long double` by `%Lf`", print_long_double);
    for (char const* const expression : {".*", "(a|b)*"})
        row(
            std::string("`std::regex_match` by `") + (expression[0] == '(' ? "(a\\|b)*" : expression) + "`",
            [&] { return kib_each_thousand([&](std::size_t length) { match(expression, length); }); },
            " for each 1000 characters");
    in_portal("`getaddrinfo` of `localhost`", look_up_localhost);
#endif
#if defined(GREENBACK_BENCH_LUA)
    std::string const lua = "Lua built as " GREENBACK_BENCH_LUA;
    in_portal(lua + ": a script that nests nothing", [] { lua_gsub("0", "done"); });
    in_portal(lua + ": 180 nested calls of `string.gsub`", [] { lua_gsub("180", "done"); });
    in_portal(lua + ": the same without end, until Lua's own error", [] { lua_gsub("math.huge", "C stack overflow"); });
    in_portal(lua + ": an expression in 1000 parentheses, until Lua's own error", lua_parentheses);
#endif
#if defined(GREENBACK_BENCH_OPENSSL)
    if (auto const pem = in_child(self_made_certificate)) {
        row("OpenSSL: a client's handshake and a message", [&] { return tls(false, *pem); });
        row("OpenSSL: a server's handshake and a message", [&] { return tls(true, *pem); });
    } else
        all_went_well = false;
#endif
#if defined(GREENBACK_BENCH_SQLITE)
    in_portal("SQLite: a join of 20,000 rows with `ORDER BY`", sqlite_join);
    in_portal("SQLite: an expression nested 990 deep (it allows 1000)", sqlite_deep_expression);
#endif
#if defined(GREENBACK_BENCH_LIBPQ)
    for (char const* const to : connections)
        in_portal("libpq: connect and query by " + kind_of(to), [&] { connect(to); });
    if (connections.empty())
        std::fprintf(stderr, "libpq: left out, no connection string was given\n");
#endif
}

/// After the rows: a child is to meet a library that nobody has called yet.
void print_versions() {
    std::printf("\nwith ");
#if defined(__clang__)
    std::printf("clang %s", __clang_version__);
#else
    std::printf("g++ %s", __VERSION__);
#endif
    std::printf(" (%s)", GREENBACK_BENCH_FLAGS);
#if defined(_GLIBCXX_RELEASE)
    std::printf(", libstdc++ %d", _GLIBCXX_RELEASE);
#elif defined(_LIBCPP_VERSION)
    std::printf(", libc++ %d", _LIBCPP_VERSION);
#endif
#if defined(__GLIBC__)
    std::printf(", glibc %s", ::gnu_get_libc_version());
#endif
#if defined(GREENBACK_BENCH_LUA)
    std::printf(", %s", LUA_RELEASE);
#endif
#if defined(GREENBACK_BENCH_OPENSSL)
    std::printf(", %s", OpenSSL_version(OPENSSL_VERSION));
#endif
#if defined(GREENBACK_BENCH_SQLITE)
    std::printf(", SQLite %s", sqlite3_libversion());
#endif
#if defined(GREENBACK_BENCH_LIBPQ)
    std::printf(", libpq %d.%d", PQlibVersion() / 10000, PQlibVersion() % 10000);
#endif
    std::printf("\n");
}

} // namespace

int main(int argc, char** argv) {
    if (auto const least = in_child([] { return std::to_string(kib_needed([] {})); }); least == "0") {
        std::fprintf(stderr, "the system does not tell which pages were touched\n");
        return 77;
    }
    print_rows(std::span(argv + 1, argv + argc));
    print_versions();
    return all_went_well ? 0 : 1;
}
