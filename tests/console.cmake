# The console's tests: types, parts, and the page in a headless browser.
set(console ${CMAKE_SOURCE_DIR}/console)
add_test(NAME console.packages COMMAND ${CMAKE_COMMAND} -DNPM=${TATARA_NPM} -DCONSOLE=${console} -DDEV=ON -P
                                       ${CMAKE_SOURCE_DIR}/cmake/console_packages.cmake)
set_tests_properties(console.packages PROPERTIES FIXTURES_SETUP console_packages TIMEOUT 900)
add_test(NAME console.types COMMAND ${TATARA_NODE} node_modules/typescript/bin/tsc --noEmit
         WORKING_DIRECTORY ${console})
add_test(NAME console.parts COMMAND ${TATARA_NODE} tools/test.mjs WORKING_DIRECTORY ${console})
add_test(NAME console.browser COMMAND ${TATARA_NODE} browser/run.mjs WORKING_DIRECTORY ${console})
set_tests_properties(console.types console.parts console.browser PROPERTIES FIXTURES_REQUIRED console_packages
                                                                           TIMEOUT 600)
# 77: no browser or no model here, and why is in the output; on CI that is a failure.
set_tests_properties(console.browser PROPERTIES SKIP_RETURN_CODE 77 RUN_SERIAL ON
                                                ENVIRONMENT "TATARA_PROGRAM=$<TARGET_FILE:tatara>")
