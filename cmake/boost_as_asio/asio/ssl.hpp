// SPDX-License-Identifier: MIT
#pragma once

#include <asio.hpp>

#include <boost/asio/ssl.hpp>
