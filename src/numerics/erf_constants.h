// Polynomials of erf in f64, by ascending power, shared by its scalar and vector forms
// (tools/fit_polynomials).
//
// Included by files compiled with extra ISA flags: constants only.
#pragma once

namespace tatara::numerics {

// erf(x) / x in x^2 for |x| < 1; erf in x - 1.5 for [1, 2); erf in x - 3 for [2, 4). Fitted like
// the others, errors 5e-16, 1e-13, 2e-15: far below f32's half unit.
constexpr double kErfSmall[] = {
    0x1.20dd750429b6bp+0,  -0x1.812746b037302p-2,  0x1.ce2f219fff6c9p-4,  -0x1.b82ce3023ccd8p-6,
    0x1.565bcb04f7db1p-8,  -0x1.c02d679f35d99p-11, 0x1.f99c25da00645p-14, -0x1.f4682b52397d2p-17,
    0x1.b5d364b66e98cp-20, -0x1.462928d200343p-23, 0x1.43f4636d0a01ep-27,
};
constexpr double kErfMiddle[] = {
    0x1.eea555713778bp-1,  0x1.e723726b82939p-4,  -0x1.6d5a95cf5a837p-3,  0x1.1c2a02bea0f1fp-3,
    -0x1.6d5a9718cae5ap-5, -0x1.e723722f4d6a6p-7, 0x1.3ca414f3b2668p-6,   -0x1.36d743aa8f052p-8,
    -0x1.35c480be99df2p-9, 0x1.c0398a8e6bd83p-10, -0x1.7544d3b47f3a1p-14, -0x1.0af0e8cf56852p-12,
    0x1.15102448d2c6fp-14, 0x1.33ccd42cbc499p-16,
};
constexpr double kErfLarge[] = {
    0x1.fffd1ac413601p-1,   0x1.2408e9bad674bp-13,  -0x1.b60d5e9a36c19p-12, 0x1.9db74b13caf75p-11,
    -0x1.11c85b06882f3p-10, 0x1.0a7b559607bfdp-10,  -0x1.82f23817f99d8p-11, 0x1.998b3e4dbbd8ep-12,
    -0x1.1aa5a3982a020p-13, 0x1.d2a80a4c802b2p-17,  0x1.05f7e5d9cc0eep-16,  -0x1.6a3783b9ffdbdp-17,
    0x1.974c02bc82609p-19,  0x1.0c81f49118145p-23,  -0x1.ebcc05e697c55p-22, 0x1.61ce6947591bcp-23,
    -0x1.4097149784ffbp-28, -0x1.026312e178ff1p-26, 0x1.0174b1b23451cp-28,
};

}  // namespace tatara::numerics
