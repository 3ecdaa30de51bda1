# cmake -DINPUT=models.toml -DOUTPUT=text.cc -P embed_catalogue.cmake
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT}
     "#include \"catalogue_text.h\"\nnamespace tatara::weights {\n"
     "static constexpr unsigned char kBytes[] = {\n${bytes}0};\n"
     "std::string_view BuiltInCatalogue() {\n"
     "  return {reinterpret_cast<const char*>(kBytes), sizeof kBytes - 1};\n}\n"
     "}  // namespace tatara::weights\n")
