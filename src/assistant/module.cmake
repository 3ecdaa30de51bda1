# The tests read the samples.
if(TARGET tatara_assistant_test)
  target_compile_definitions(tatara_assistant_test PRIVATE TATARA_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
endif()
