# tatara_console(FOLDER): builds console/ with Node.js and npm and writes FOLDER/console_files.cc, the files
# of the page as constants (src/server/console_files.h). Packages are those of console/package-lock.json,
# installed by `npm ci` when that file's digest changes, from npm's cache where there is no network.
find_program(TATARA_NODE NAMES node nodejs)
find_program(TATARA_NPM npm)
set(node_version "")
if(TATARA_NODE)
  execute_process(COMMAND ${TATARA_NODE} --version OUTPUT_VARIABLE node_version OUTPUT_STRIP_TRAILING_WHITESPACE
                  ERROR_QUIET)
endif()
if(NOT TATARA_NPM OR NOT node_version MATCHES "^v([0-9]+)\\." OR CMAKE_MATCH_1 LESS 18)
  message(FATAL_ERROR "The web console is built with Node.js 18 or newer and npm: tools/install-deps build")
endif()

function(tatara_console folder)
  set(console ${CMAKE_SOURCE_DIR}/console)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${console}/src/*)
  list(FILTER sources EXCLUDE REGEX "\\.test\\.tsx?$")
  add_custom_command(
    OUTPUT ${folder}/packages.stamp
    COMMAND ${CMAKE_COMMAND} -DNPM=${TATARA_NPM} -DCONSOLE=${console} -P
            ${CMAKE_SOURCE_DIR}/cmake/console_packages.cmake
    COMMAND ${CMAKE_COMMAND} -E touch ${folder}/packages.stamp
    DEPENDS ${console}/package.json ${console}/package-lock.json ${CMAKE_SOURCE_DIR}/cmake/console_packages.cmake
    COMMENT "Packages of the console" VERBATIM)
  add_custom_command(
    OUTPUT ${folder}/console_files.cc
    COMMAND ${TATARA_NODE} ${console}/tools/build.mjs --out ${folder}
    DEPENDS ${sources} ${console}/tools/build.mjs ${console}/tools/embed.mjs ${folder}/packages.stamp
    COMMENT "Console" VERBATIM)
endfunction()
