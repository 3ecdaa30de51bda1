# Flags of the per-ISA kernels. A file compiled with them includes only private headers whose functions
# have internal linkage (README.md); tools/check_objects refuses a weak symbol in those objects.
set(avx2_flags -mavx2 -mfma -mf16c)
set(avx512_flags ${avx2_flags} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni)
# GCC 12 warns of its own intrinsics' deliberately undefined registers (its bug 105593).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND avx512_flags -Wno-uninitialized -Wno-maybe-uninitialized)
endif()
if(TATARA_SANITIZE)  # kernels see checked shapes only; instrumented, each takes minutes to compile
  list(APPEND avx2_flags -fno-sanitize=all)
  list(APPEND avx512_flags -fno-sanitize=all)
endif()
file(GLOB avx2_sources CONFIGURE_DEPENDS ${dir}/avx2/*.cc)
file(GLOB avx512_sources CONFIGURE_DEPENDS ${dir}/avx512/*.cc)
# The AVX-512 sources once more, through SIMDe on AVX2: part of the test program only.
file(GLOB simde_sources CONFIGURE_DEPENDS ${dir}/simde/*_test.cc)
set_source_files_properties(${avx2_sources} PROPERTIES COMPILE_OPTIONS "${avx2_flags}")
set(simde_flags ${avx2_flags} -Wno-psabi)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # GCC 12's scalar replacement of aggregates crashes on SIMDe's unions
  list(APPEND simde_flags -fno-tree-sra)
endif()
set_source_files_properties(${simde_sources} PROPERTIES COMPILE_OPTIONS "${simde_flags}")
set_source_files_properties(${avx512_sources} PROPERTIES COMPILE_OPTIONS "${avx512_flags}")
# Products by type, columns and threads; built on demand: ninja tatara_matmul_benchmark.
add_executable(tatara_matmul_benchmark EXCLUDE_FROM_ALL ${dir}/matmul_benchmark.cc)
target_link_libraries(tatara_matmul_benchmark PRIVATE tatara_numerics $<LINK_ONLY:tatara_base> GTest::gtest)
target_include_directories(tatara_matmul_benchmark PRIVATE ${dir} ${dir}/include
                           ${CMAKE_SOURCE_DIR}/src/base/include)
# Attention and row operations; ninja tatara_float_benchmark.
add_executable(tatara_float_benchmark EXCLUDE_FROM_ALL ${dir}/float_benchmark.cc)
target_link_libraries(tatara_float_benchmark PRIVATE tatara_numerics $<LINK_ONLY:tatara_base>)
target_include_directories(tatara_float_benchmark PRIVATE ${dir}/include ${CMAKE_SOURCE_DIR}/src/base/include)
# Products of training in their three forms; ninja tatara_product_benchmark.
add_executable(tatara_product_benchmark EXCLUDE_FROM_ALL ${dir}/product_benchmark.cc)
target_link_libraries(tatara_product_benchmark PRIVATE tatara_numerics $<LINK_ONLY:tatara_base>)
target_include_directories(tatara_product_benchmark PRIVATE ${dir} ${dir}/include
                           ${CMAKE_SOURCE_DIR}/src/base/include)
