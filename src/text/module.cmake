# Where the expected renderings lie (make_chat_cases.py).
if(TARGET tatara_text_test)
  target_compile_definitions(tatara_text_test PRIVATE TATARA_TEXT_TESTDATA="${dir}/testdata")
endif()
