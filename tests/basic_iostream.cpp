// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/sockets.hpp"
#include "support/tasks.hpp"

#include <chrono>
#include <functional>
#include <iomanip>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using asio::ip::tcp;
using greenback::basic_iostream;
using greenback::rethrow;
using test::connection;
using test::error_code;
using namespace std::chrono_literals;

namespace {

using io_of_socket = basic_iostream<tcp::socket&>;

static_assert(std::is_same_v<decltype(basic_iostream(std::declval<tcp::socket>())), basic_iostream<tcp::socket>>);
static_assert(std::is_base_of_v<std::iostream, io_of_socket>);
static_assert(std::is_move_constructible_v<io_of_socket> && std::is_move_assignable_v<io_of_socket>);

template <class F> void run(asio::io_context& context, test::made_by how, F f) {
    test::run_task(context, context, test::in_portal(how, std::move(f)));
}
template <class F> void run(asio::io_context& context, F f) { run(context, test::made_by::with_portal_run_sync, f); }

std::string text_of(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i)
        text[i] = static_cast<char>('a' + (i * 7 + i / 251) % 26);
    return text;
}

/// What `f` throws as a system_error.
template <class F> error_code error_of(F f) {
    try {
        f();
    } catch (test::system_error const& e) {
        return e.code();
    }
    return {};
}

/// A stream whose operations are at once over, and counted; it writes to `written`, and reads from `to_read`.
struct counting_stream {
    using executor_type = asio::any_io_executor;
    executor_type executor;
    std::string to_read{};
    std::string written{};
    std::vector<std::size_t> writes{};
    std::vector<std::size_t> reads{}; // the room that was offered
    error_code write_error{};
    error_code end = asio::error::eof;
    std::size_t at_most = 1 << 30;

    executor_type get_executor() const { return executor; }
    template <class Buffers, class Token> auto async_read_some(Buffers const& buffers, Token&& token) {
        reads.push_back(asio::buffer_size(buffers));
        std::size_t const n = asio::buffer_copy(buffers, asio::buffer(to_read), at_most);
        to_read.erase(0, n);
        return completed(n != 0 || reads.back() == 0 ? error_code() : end, n, std::forward<Token>(token));
    }
    template <class Buffers, class Token> auto async_write_some(Buffers const& buffers, Token&& token) {
        std::string piece(asio::buffer_size(buffers), '\0');
        asio::buffer_copy(asio::buffer(piece), buffers);
        writes.push_back(piece.size());
        if (!write_error)
            written += piece;
        return completed(write_error, write_error ? 0 : piece.size(), std::forward<Token>(token));
    }

private:
    template <class Token> auto completed(error_code ec, std::size_t n, Token&& token) {
        return asio::async_initiate<Token, void(error_code, std::size_t)>(
            [this, ec, n](auto handler) {
                asio::post(executor, [h = std::move(handler), ec, n]() mutable { std::move(h)(ec, n); });
            },
            token);
    }
};

} // namespace

TEST_CASE("lines and numbers go over a connection", "[basic_iostream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    connection c(context);
    greenback::spawn(
        context,
        [&] {
            basic_iostream io(std::move(c.b));
            for (std::string line; std::getline(io, line);)
                io << "you said " << line << '\n'; // sent when the next line is waited for
            io.out() << "good bye\n";              // and when the stream ends
        },
        rethrow);
    run(context, how, [&] {
        io_of_socket io(c.a, 16);
        for (int i = 0; i < 50; ++i) {
            io << "line " << i << std::endl;
            std::string you, said, line;
            int number = -1;
            CHECK(io >> you >> said >> line >> number);
            CHECK(number == i);
        }
        c.a.shutdown(tcp::socket::shutdown_send);
        std::string rest;
        CHECK(std::getline(io >> std::ws, rest));
        CHECK(rest == "good bye");
        CHECK_FALSE(std::getline(io, rest));
        CHECK(io.eof());
        CHECK_FALSE(io.bad());
    });
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("a peer that has finished sending is answered by out()", "[basic_iostream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    connection c(context);
    asio::write(c.b, asio::buffer("all of it", 9));
    c.b.shutdown(tcp::socket::shutdown_send);
    run(context, how, [&] {
        io_of_socket io(c.a);
        std::string request;
        std::getline(io.in(), request);
        CHECK(request == "all of it");
        CHECK(io.in().eof());
        CHECK(io.in().peek() == EOF); // which is not waited for
        io.out() << "answer " << request.size() << '\n' << std::flush;
        CHECK(io.out().good());
        CHECK(io.good()); // neither is its own
        io << "io";
        io.flush();
    });
    CHECK(test::received(c.b, 11) == "answer 9\nio");
}

TEST_CASE("what is read through one of the streams is not read by another", "[basic_iostream]") {
    asio::io_context context(1);
    counting_stream s{context.get_executor(), "1 2 3 4"};
    run(context, [&] {
        basic_iostream<counting_stream&> io(s);
        int a = 0, b = 0;
        io >> a;
        io.in() >> b;
        io.out() << 'x';
        io << 'y';
        CHECK(a + b == 3);
        int d = 0;
        std::istream& in = io;
        in >> d;
        CHECK(d == 3);
    });
    CHECK(s.written == "xy");
}

TEST_CASE("large reads and writes pass the buffer", "[basic_iostream]") {
    asio::io_context context(1);
    std::string const text = text_of(100000);
    counting_stream s{context.get_executor(), text};
    run(context, [&] {
        basic_iostream<counting_stream&> io(s, 1000);
        CHECK(io.get() == text[0]);
        std::string got(text.size() - 2, '\0');
        CHECK(io.read(got.data(), static_cast<std::streamsize>(got.size())));
        CHECK(got == text.substr(1, got.size()));
        CHECK(s.reads == std::vector<std::size_t>{1000, text.size() - 1001});
        for (std::size_t i = 0; i < 16; ++i)
            CHECK(io.unget()); // also of what has never been in the buffer
        CHECK(io.get() == text[text.size() - 17]);
        io << "head ";
        CHECK(io.write(text.data(), static_cast<std::streamsize>(text.size())));
        CHECK(s.writes == std::vector<std::size_t>{text.size() + 5}); // with what was before it, in one
        CHECK(s.written == "head " + text);
        s.written.clear();
        s.writes.clear();
        for (std::size_t i = 0; i < text.size(); i += 300)
            io.write(text.data() + i, static_cast<std::streamsize>(std::min<std::size_t>(300, text.size() - i)));
        io.flush();
        CHECK(s.written == text);
        for (std::size_t i = 1; i + 1 < s.writes.size(); ++i)
            CHECK(s.writes[i] == 1000);
    });
}

TEST_CASE("16 characters can be put back at any time", "[basic_iostream]") {
    asio::io_context context(1);
    std::string const text = text_of(400);
    counting_stream s{context.get_executor(), text};
    s.at_most = GENERATE(1U, 7U, 16U, 23U, 400U);
    run(context, [&] {
        basic_iostream<counting_stream&> io(s, 16);
        for (std::size_t i = 0; i < text.size(); ++i) {
            CHECK(io.get() == text[i]);
            std::size_t const back = std::min<std::size_t>(i + 1, 16);
            for (std::size_t k = 0; k < back; ++k)
                io.unget();
            for (std::size_t k = 0; k < back; ++k)
                CHECK(io.get() == text[i + 1 - back + k]);
        }
        io.putback('!'); // another one than was there
        CHECK(io.get() == '!');
        CHECK(io.get() == EOF);
        io.clear();
        io.unget(); // across the end, too
        CHECK(io.get() == '!');
        CHECK_THROWS_AS(
            [&] {
                for (int i = 0; i < 40; ++i)
                    io.unget();
            }(),
            std::ios_base::failure);
    });
}

TEST_CASE("reading what is not there yet sends what was written before", "[basic_iostream]") {
    asio::io_context context(1);
    counting_stream s{context.get_executor(), "abcd"};
    run(context, [&] {
        basic_iostream<counting_stream&> io(s, 16);
        io << "first";
        CHECK(io.get() == 'a');
        CHECK(s.written == "first");
        io << "second";
        CHECK(io.get() == 'b'); // is there
        CHECK(s.written == "first");
        char rest[100];
        io.read(rest, 100);
        CHECK(io.gcount() == 2);
        CHECK(s.written == "firstsecond");
        CHECK(io.eof());
    });
}

TEST_CASE("readsome reads what has arrived", "[basic_iostream]") {
    asio::io_context context(1);
    connection c(context);
    run(context, [&] {
        io_of_socket io(c.a);
        char text[10];
        CHECK(io.readsome(text, 10) == 0); // and doesn't wait
        asio::write(c.b, asio::buffer("abc", 3));
        c.a.wait(tcp::socket::wait_read);
        CHECK(io.readsome(text, 2) == 2);
        CHECK(io.readsome(text, 10) == 1);
        CHECK(text[0] == 'c');
        CHECK(io.readsome(text, 10) == 0);
        CHECK(io.good());
    });
}

TEST_CASE("a connection has no position", "[basic_iostream]") {
    asio::io_context context(1);
    connection c(context);
    run(context, [&] {
        io_of_socket io(c.a);
        CHECK(io.tellg() == std::streampos(-1));
        CHECK(io.tellp() == std::streampos(-1));
        io.seekg(0);
        CHECK(io.fail());
        CHECK_FALSE(io.bad());
    });
}

TEST_CASE("an error comes out of a formatted operation as what it is", "[basic_iostream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    connection c(context);
    c.reset_by_b();
    run(context, how, [&] {
        io_of_socket io(c.a);
        std::string line;
        int number;
        CHECK(error_of([&] { std::getline(io, line); }) == asio::error::connection_reset);
        CHECK(error_of([&] { io.in() >> number; }) == asio::error::connection_reset);
        CHECK(error_of([&] { io.out() << 5 << std::endl; }) == asio::error::broken_pipe);
        CHECK(io.out().bad());
        io.clear();
        CHECK(error_of([&] {
                  for (int i = 0; i < 100000; ++i)
                      io << i;
              }) == asio::error::broken_pipe);
    });
}

TEST_CASE("what could not be written is not written twice", "[basic_iostream]") {
    asio::io_context context(1);
    counting_stream s{context.get_executor()};
    s.write_error = asio::error::no_buffer_space;
    run(context, [&] {
        basic_iostream<counting_stream&> io(s, 16);
        io << "lost";
        CHECK(error_of([&] { io.flush(); }) == asio::error::no_buffer_space);
        s.write_error = {};
        io.clear();
        io << "sent" << std::flush;
    });
    CHECK(s.written == "sent");
}

TEST_CASE("an end that is an error is not end of file", "[basic_iostream]") {
    asio::io_context context(1);
    counting_stream s{context.get_executor(), "half a li"};
    s.end = asio::error::fault;
    run(context, [&] {
        basic_iostream<counting_stream&> io(s);
        std::string line;
        CHECK(error_of([&] { std::getline(io, line); }) == asio::error::fault);
        CHECK_FALSE(io.eof());
    });
}

TEST_CASE("unitbuf sends what each operation has written, and keeps an error for the next", "[basic_iostream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    counting_stream s{context.get_executor()};
    bool const through_out = GENERATE(false, true);
    CAPTURE(through_out);
    run(context, how, [&] {
        basic_iostream<counting_stream&> io(s);
        std::ostream& out = through_out ? io.out() : io;
        out << std::unitbuf << "a" << 1;
        CHECK(s.written == "a1");
        s.write_error = asio::error::no_buffer_space;
        out << "b"; // whose flush fails in a destructor
        CHECK(out.good());
        CHECK(error_of([&] { out.put('c'); }) == asio::error::no_buffer_space);
        CHECK(out.bad());
        out.clear();
        s.write_error = {};
        out << "d" << 2 << std::nounitbuf << 'e' << std::flush;
        CHECK(s.written == "a1d2e");
        s.write_error = asio::error::no_buffer_space;
        out << std::unitbuf << "f";
        CHECK(error_of([&] { io.in().get(); }) == asio::error::no_buffer_space);
        out << "f";
        out << std::nounitbuf;
        CHECK(error_of([&] { out.flush(); }) == asio::error::no_buffer_space);
        out.clear();
        out << std::unitbuf << "f"; // nobody asks
    });
    CHECK(s.written == "a1d2e");
}

TEST_CASE("a task destroyed while its unitbuf stream sends is unwound", "[basic_iostream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool unwound = false;
    {
        asio::io_context context(1);
        connection c(context);
        asio::co_spawn(context,
                       test::in_portal(how,
                                       [&] {
                                           io_of_socket io(c.a);
                                           std::string const much = text_of(1 << 22);
                                           io << std::unitbuf;
                                           try {
                                               for (;;)
                                                   io << much.substr(0, 4000);
                                           } catch (greenback::abandoned const&) {
                                               unwound = true;
                                               throw;
                                           }
                                       }),
                       rethrow);
        test::poll_all(context);
    }
    CHECK(unwound);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("a task destroyed while it reads or writes is unwound by abandoned", "[basic_iostream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    using action = std::function<void(std::iostream&)>;
    static std::string const much = text_of(1 << 22);
    std::vector<action> const actions = {
        [](std::iostream& io) { io.get(); },
        [](std::iostream& io) {
            int i;
            io >> i;
        },
        [](std::iostream& io) {
            std::string line;
            std::getline(io, line);
        },
        [](std::iostream& io) {
            char text[100];
            io.read(text, 100);
        },
        [](std::iostream& io) { io << std::setw(3) << much; },
        [](std::iostream& io) {
            for (;;)
                io << 3.14;
        },
    };
    for (action const& act : actions) {
        bool unwound = false;
        {
            asio::io_context context(1);
            connection c(context);
            asio::co_spawn(context,
                           test::in_portal(how,
                                           [&] {
                                               basic_iostream io(std::move(c.a));
                                               io.stream().expires_after(1h);
                                               io << "pending";
                                               try {
                                                   act(io);
                                               } catch (greenback::abandoned const&) {
                                                   io.clear();
                                                   io << "can't be sent";
                                                   unwound = true;
                                                   throw;
                                               }
                                           }),
                           rethrow);
            test::poll_all(context);
            CHECK(greenback::stats().live == 1);
        }
        CHECK(unwound);
        CHECK(greenback::stats().live == 0);
    }
}

TEST_CASE("a cancelled task gets operation_aborted out of a stream", "[basic_iostream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    connection c(context);
    asio::cancellation_signal signal;
    error_code ec;
    asio::co_spawn(context,
                   test::in_portal(how,
                                   [&] {
                                       io_of_socket io(c.a);
                                       std::string line;
                                       io << "not sent in the end";
                                       ec = error_of([&] { std::getline(io, line); });
                                       io.clear();
                                       io << "nor this";
                                   }),
                   asio::bind_cancellation_slot(signal.slot(), rethrow));
    test::poll_all(context);
    signal.emit(asio::cancellation_type::terminal);
    test::run_all(context);
    CHECK(ec == asio::error::operation_aborted);
    CHECK(test::received(c.b, 19) == "not sent in the end");
    CHECK(c.b.available() == 0);
}

TEST_CASE("a stream has the deadline of what is under it", "[basic_iostream]") {
    asio::io_context context(1);
    connection c(context);
    run(context, [&] {
        io_of_socket io(c.a);
        CHECK(&io.next_layer() == &c.a);
        io.stream().expires_after(2ms);
        std::string line;
        CHECK(error_of([&] { std::getline(io, line); }) == asio::error::timed_out);
        io.clear();
        io.stream().expires_never();
        asio::write(c.b, asio::buffer("line\n", 5));
        CHECK(std::getline(io, line));
        CHECK(line == "line");
    });
}

TEST_CASE("without a portal a stream throws no_portal, and its destructor nothing", "[basic_iostream]") {
    asio::io_context context(1);
    connection c(context);
    {
        io_of_socket io(c.a);
        std::string line;
        CHECK_THROWS_AS(std::getline(io, line), greenback::no_portal);
        io.clear();
        io << "buffered";
        CHECK_THROWS_AS(io.flush(), greenback::no_portal);
        io.clear();
        io << "lost";
        io_of_socket other(c.a);
        io = std::move(other);
        io << "lost, too";
    }
    CHECK(c.b.available() == 0);
}

TEST_CASE("a stream sends what is pending when it is destroyed, or assigned to", "[basic_iostream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    connection c(context);
    run(context, how, [&] {
        {
            io_of_socket io(c.a);
            io << "one ";
        }
        try {
            io_of_socket io(c.a);
            io << "two ";
            throw std::runtime_error("unwinds");
        } catch (std::runtime_error const&) {
        }
        io_of_socket io(c.a);
        io << "three ";
        io = io_of_socket(c.a);
        io.out() << "four";
    });
    CHECK(test::received(c.b, 18) == "one two three four");
}

TEST_CASE("a stream can be moved, with what it holds and what has happened to it", "[basic_iostream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    connection c(context), d(context);
    asio::write(c.b, asio::buffer("1 2 3 ", 6));
    run(context, how, [&] {
        basic_iostream io(std::move(c.a));
        int i = 0;
        io >> i;
        io << "a" << std::hex;
        io.out() << std::unitbuf << "";
        io.in().setstate(std::ios_base::failbit);
        basic_iostream moved(std::move(io));
        CHECK(moved.in().fail());
        CHECK((moved.out().flags() & std::ios_base::unitbuf) != 0);
        CHECK(moved.in().rdbuf() == moved.rdbuf());
        CHECK(moved.out().rdbuf() == moved.rdbuf());
        moved >> i;
        CHECK(i == 2);
        moved << 255;
        basic_iostream third(std::move(d.a));
        third = std::move(moved);
        CHECK(third.in().fail());
        third >> i;
        CHECK(i == 3);
        CHECK(third.stream().next_layer().is_open());
        CHECK(third.in().rdbuf() == third.rdbuf());

        // What was moved from is a stream over a closed socket.
        for (auto* gone : {&io, &moved}) { // NOLINT
            std::string line;
            gone->out() << std::nounitbuf; // it would keep the error
            gone->clear();
            CHECK(error_of([&] { std::getline(*gone, line); }) == asio::error::bad_descriptor);
            gone->clear();
            CHECK(error_of([&] { *gone << "x" << std::flush; }) == asio::error::bad_descriptor);
            gone->clear();
            CHECK(gone->rdbuf()->in_avail() <= 0);
        }
        third << "end" << std::flush;
    });
    CHECK(test::received(c.b, 6) == "affend");
}

TEST_CASE("a stream that was moved from may be used on, if it refers to one", "[basic_iostream]") {
    asio::io_context context(1);
    connection c(context);
    asio::write(c.b, asio::buffer("1 2 ", 4));
    run(context, [&] {
        io_of_socket io(c.a);
        int i = 0;
        io >> i;
        io_of_socket moved(std::move(io));
        io << "by the first" << std::flush; // NOLINT
        moved >> i;
        CHECK(i == 2);
        io = std::move(moved);
        moved = std::move(io);
        auto& same = moved;
        moved = std::move(same);
        CHECK(moved.get() == ' ');
    });
    CHECK(test::received(c.b, 12) == "by the first");
}

TEST_CASE("a stream is not tied to itself", "[basic_iostream]") {
    asio::io_context context(1);
    connection c(context);
    run(context, [&] {
        io_of_socket io(c.a);
        std::ostringstream other;
        io.tie(&other);
        CHECK(io.tie() == &other);
        io.tie(&io);
        CHECK(io.tie() == nullptr);
        io << "x" << std::flush;
        io.in().tie(&io.out());
        io.out() << "y";
        asio::write(c.b, asio::buffer("z", 1));
        CHECK(io.in().get() == 'z');
    });
    CHECK(test::received(c.b, 2) == "xy");
}

TEST_CASE("a buffer has room for something, however small it was asked for", "[basic_iostream]") {
    asio::io_context context(1);
    std::string const text = text_of(100);
    counting_stream s{context.get_executor(), text};
    run(context, [&] {
        basic_iostream<counting_stream&> io(s, GENERATE(0U, 1U, 15U));
        std::string got;
        for (int c = 0; (c = io.get()) != EOF;) {
            got += static_cast<char>(c);
            io.out().put(static_cast<char>(c));
        }
        CHECK(got == text);
        io.out().flush();
        io.out().write("", 0);
    });
    CHECK(s.written == text);
}

TEST_CASE("one task reads and one writes, by two streams over one socket", "[basic_iostream]") {
    asio::io_context context(1);
    connection c(context);
    constexpr int lines = 20000;
    int got = 0;
    greenback::spawn(
        context,
        [&] {
            io_of_socket io(c.a);
            for (int i = 0; i < lines; ++i)
                io << "line " << i << '\n';
            io.flush();
            c.a.shutdown(tcp::socket::shutdown_send);
        },
        rethrow);
    greenback::spawn(
        context,
        [&] {
            io_of_socket io(c.a);
            for (std::string line; std::getline(io, line);)
                got += line == "line " + std::to_string(got);
        },
        rethrow);
    greenback::spawn(
        context,
        [&] {
            basic_iostream io(std::move(c.b), 700);
            for (std::string line; std::getline(io.in(), line);)
                io.out() << line << '\n';
        },
        rethrow);
    test::run_all(context);
    CHECK(got == lines);
}
