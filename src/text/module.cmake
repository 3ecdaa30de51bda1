# Where the expected renderings lie (make_chat_cases.py).
if(TARGET tatara_text_test)
  target_compile_definitions(tatara_text_test PRIVATE TATARA_TEXT_TESTDATA="${dir}/testdata")
endif()
# Encodes files, for comparisons with other programs; built on demand: ninja tatara_encode_files.
add_executable(tatara_encode_files EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/tokenizers/encode_files.cc)
target_link_libraries(tatara_encode_files PRIVATE tatara_text tatara_weights $<LINK_ONLY:tatara_base>
                      nlohmann_json::nlohmann_json fmt::fmt)
target_include_directories(tatara_encode_files PRIVATE ${dir} ${dir}/include ${CMAKE_SOURCE_DIR}/src/weights/include
                           ${CMAKE_SOURCE_DIR}/src/numerics/include ${CMAKE_SOURCE_DIR}/src/base/include)
