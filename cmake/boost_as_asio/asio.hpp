// SPDX-License-Identifier: MIT
// For a build on Boost.Asio: what a program that includes <asio.hpp> is to read, so that tests, examples and benchmarks
// are the same text on either Asio. A header of standalone Asio that has no counterpart in this folder can't slip in:
// it declares a namespace of the name that is an alias here.
#pragma once

#include <boost/asio.hpp>

namespace asio = boost::asio;
