// SPDX-License-Identifier: MIT

#include "orders.hpp"

#include <numeric>

std::string invoice(order const& of, price_source& prices) {
    // std::accumulate calls a lambda, which calls a virtual function: neither can be a coroutine.
    int const total = std::accumulate(of.items.begin(), of.items.end(), 0,
                                      [&](int sum, std::string const& item) { return sum + prices.price(item); });
    return of.customer + ": " + std::to_string(total);
}
