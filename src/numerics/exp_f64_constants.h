// Constants of the f64 exp, shared by its scalar and vector forms.
//
// Included by files compiled with extra ISA flags: constants only.
#pragma once

namespace tatara::numerics {

// exp(x) = 2^n * e^r, n = rint(x * log2(e)), |r| <= ln(2)/2.
constexpr double kLog2EF64 = 0x1.71547652b82fep+0;
// ln(2) in 42 bits, so that its products with exponents are exact, and the rest.
constexpr double kLn2HighF64 = 0x1.62e42fefa3800p-1;
constexpr double kLn2LowF64 = 0x1.ef35793c76730p-45;
constexpr double kExpF64InputMin = -746.0;  // exp of anything below rounds to 0
constexpr double kExpF64InputMax = 710.0;   // exp of anything above overflows
// Taylor series, 1/13! first, 1/0! last; r^14/14! is below 2^-57.
constexpr double kExpF64Terms[] = {1.0 / 6227020800.0,
                                   1.0 / 479001600.0,
                                   1.0 / 39916800.0,
                                   1.0 / 3628800.0,
                                   1.0 / 362880.0,
                                   1.0 / 40320.0,
                                   1.0 / 5040.0,
                                   1.0 / 720.0,
                                   1.0 / 120.0,
                                   1.0 / 24.0,
                                   1.0 / 6.0,
                                   0.5,
                                   1.0,
                                   1.0};

}  // namespace tatara::numerics
