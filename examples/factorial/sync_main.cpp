// SPDX-License-Identifier: MIT
// The top of the synchronous program.

#include "factorial.hpp"

#include <iostream>

int main() {
    bool right = print_factorial(5) == "120\n";
    right &= print_factorial(10) == "3628800\n";
    right &= print_factorial(20) == "2432902008176640000\n";
    if (!right)
        std::cerr << "factorial_sync: a value is wrong\n";
    return right ? 0 : 1;
}
