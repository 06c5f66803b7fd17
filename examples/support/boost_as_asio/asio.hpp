// SPDX-License-Identifier: MIT
// For a build on Boost.Asio: what a program that includes <asio.hpp> is to read, so that the quickstart is the same text.
#pragma once

#include <boost/asio.hpp>

namespace asio = boost::asio;
