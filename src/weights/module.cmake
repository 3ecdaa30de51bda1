# The catalogue becomes part of the program, byte for byte.
set(catalogue_text ${CMAKE_BINARY_DIR}/generated/weights_catalogue_text.cc)
add_custom_command(
  OUTPUT ${catalogue_text}
  COMMAND ${CMAKE_COMMAND} -DINPUT=${CMAKE_SOURCE_DIR}/catalogue/models.toml -DOUTPUT=${catalogue_text}
          -P ${CMAKE_SOURCE_DIR}/src/weights/embed_catalogue.cmake
  DEPENDS ${CMAKE_SOURCE_DIR}/catalogue/models.toml ${CMAKE_SOURCE_DIR}/src/weights/embed_catalogue.cmake
  VERBATIM)
target_sources(tatara_weights PRIVATE ${catalogue_text})
