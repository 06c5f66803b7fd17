// SPDX-License-Identifier: MIT
// What both servers are asked, by a thread with a blocking socket.
#pragma once

#include <asio.hpp>

#include <iostream>
#include <string>

/// @returns whether the server answers as it should
inline bool ask(asio::ip::tcp::endpoint server) {
    asio::io_context context;
    asio::ip::tcp::socket socket(context);
    socket.connect(server);
    asio::write(socket, asio::buffer(std::string("add 2 3\nadd 40 2\nquit\n")));
    std::string answers;
    try {
        asio::read(socket, asio::dynamic_buffer(answers));
    } catch (std::exception const&) { // the end of the connection
    }
    std::cout << answers;
    return answers == "5\n42\n";
}
