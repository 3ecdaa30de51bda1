# The web console, compiled in.
include(${CMAKE_SOURCE_DIR}/cmake/console.cmake)
tatara_console(${CMAKE_BINARY_DIR}/console)
target_sources(tatara_server PRIVATE ${CMAKE_BINARY_DIR}/console/console_files.cc)
target_compile_definitions(tatara_server_test PRIVATE TATARA_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
