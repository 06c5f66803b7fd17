// SPDX-License-Identifier: MIT
// hiredis as it is: 100 tasks wait in BLPOP at once on one thread, each for an element of a list of its own, which
// another task pushes when all of them wait.
//     hiredis <socket of a Redis server>        (redis.sh starts one)

#include "../support/run.hpp"

#include <hiredis/hiredis.h>
#include <iostream>
#include <memory>
#include <string>
#include <unistd.h>

namespace {

constexpr int at_once = 100;

// [hiredis]
/// Ordinary code with hiredis: each call waits for the server's answer.
class redis {
public:
    using reply = std::unique_ptr<redisReply, decltype(&freeReplyObject)>;

    explicit redis(char const* socket) : context_(redisConnectUnix(socket), redisFree) {
        require(context_ && context_->err == 0, "no connection to the Redis server");
    }
    template <class... Arguments> reply command(char const* format, Arguments... arguments) {
        reply result(static_cast<redisReply*>(redisCommand(context_.get(), format, arguments...)), freeReplyObject);
        require(result && result->type != REDIS_REPLY_ERROR, "the Redis server has not obeyed");
        return result;
    }

private:
    std::unique_ptr<redisContext, decltype(&redisFree)> context_;
};

/// Waits until somebody has pushed an element.
std::string pop(redis database, int list) {
    auto const reply = database.command("BLPOP list%d 0", list);
    require(reply->type == REDIS_REPLY_ARRAY && reply->elements == 2, "BLPOP has not answered with an element");
    return std::string(reply->element[1]->str, reply->element[1]->len);
}

int blocked_clients(redis& database) {
    auto const reply = database.command("INFO clients");
    std::string const text(reply->str, reply->len), name = "blocked_clients:";
    return std::stoi(text.substr(text.find(name) + name.size()));
}

/// Pushes the elements as soon as all the others wait.
void push(redis database) {
    while (blocked_clients(database) < at_once)
        sleep(1); // awaits, as hiredis does
    for (int list = 1; list <= at_once; ++list)
        database.command("RPUSH list%d %d", list, 7 * list);
}
// [/hiredis]

} // namespace

int main(int argc, char** argv) try {
    require(argc == 2, "usage: hiredis <socket of a Redis server>");
    asio::io_context loop;

    greenback::spawn(loop, [&] { push(redis(argv[1])); }, greenback::rethrow);

    int started = 0, right = 0;
    run_at_once(loop, at_once, [&] {
        int const list = ++started;
        require(pop(redis(argv[1]), list) == std::to_string(7 * list), "not the element that was pushed");
        ++right;
    });
    std::cout << right << " tasks waited in BLPOP at once on one thread\n";
    require(right == at_once, "not all tasks are complete");
} catch (std::exception const& e) {
    std::cerr << "hiredis: " << e.what() << '\n';
    return 1;
}
